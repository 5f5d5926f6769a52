"""What Prometheus is told: who may ask, what is counted, and that no label says too much."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from giftgql import condition, exposition, migrations, work
from giftgql.app import create_app, ended
from giftgql.errors import ErrorCode
from giftgql.jobs import service as jobs
from giftgql.jobs.runner import Lane, Work
from giftgql.jobs.service import Lease, NotDone
from giftgql.store import Store, Transaction
from tests import factories
from tests.client import Client, InProcess

TOKEN = "a token of sixteen characters or more"
Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def values(told: str) -> Values:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(told)
        for sample in family.samples
    }


def value(found: Values, name: str, **labels: str) -> float:
    return found.get((f"giftgql_{name}", tuple(sorted(labels.items()))), 0.0)


async def told(store: Store) -> Values:
    return values((await exposition.text(store)).decode())


@asynccontextmanager
async def over(store: Store, **settings: Any) -> AsyncIterator[InProcess]:
    app = create_app(store.settings.model_copy(update=settings), store)
    async with app.router.lifespan_context(app), InProcess(app) as http:
        yield http


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_metrics_are_shown_to_who_has_the_token(store: Store) -> None:
    async with over(store) as http:
        assert (await http.get("/metrics")).status_code == 404
    async with over(store, metrics_token=TOKEN) as http:
        for given in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {TOKEN}"}):
            refused = await http.get("/metrics", headers=given)
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        shown = await http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    assert shown.status_code == 200
    assert shown.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    found = values(shown.text)
    assert value(found, "database_up") == value(found, "loop_answers") == 1
    assert value(found, "requests_total", kind="metrics", outcome="4xx") >= 1
    form = migrations.newest()
    assert value(found, "migration", database=form, program=form) == 1


async def test_what_an_alarm_waits_for_is_told_before_it_happens_first(store: Store) -> None:
    """Prometheus sees no growth in a number that was not there before."""
    for kinds in work.LANES:
        Lane(store, work.WORKS, kinds)
    found = {(name, *dict(labels).values()) for name, labels in await told(store)}
    wanted: set[tuple[str, ...]]
    wanted = {("giftgql_jobs_dead_total", kind) for kind in work.WORKS}
    wanted |= {("giftgql_outbox_messages", channel, "DEAD") for channel in ("MAIL", "WEBHOOK")}
    wanted |= {
        ("giftgql_requests_total", kind, outcome)
        for kind in {*ended._KINDS.values(), "query", "mutation", "other"}
        for outcome in ("INTERNAL", "5xx")
    }
    assert wanted - found == set()


async def test_requests_movements_and_pins_are_counted(store: Store, admin: Client) -> None:
    before = await told(store)
    await factories.card(admin, physicalCode="COUNTED-1", physicalPin="4711")
    await factories.trans(admin, code="COUNTED-1", transType="ADD", amount="5.00")
    for pin in ("4711", "4712"):
        await factories.trans(admin, code="COUNTED-1", pin=pin, transType="USE", amount="-1.00")
    await admin.run('{ giftcard(code: "COUNTED-1") { results { id } } }')
    await admin.run("{ nonsense }")
    after = await told(store)

    def more(name: str, **labels: str) -> float:
        return value(after, name, **labels) - value(before, name, **labels)

    assert more("requests_total", kind="mutation", outcome="OK") == 3
    assert more("requests_total", kind="mutation", outcome="SECRET_INVALID") == 1
    assert more("requests_total", kind="query", outcome="OK") == 1
    assert more("requests_total", kind="graphql", outcome="GRAPHQL_VALIDATION_FAILED") == 1
    assert more("request_seconds_count", kind="mutation") == 4
    assert more("batch_movements_sum") == more("movement_wait_seconds_count") == 2
    assert more("pins_total", work="check") == 2
    assert more("pins_total", work="set") == 1
    assert more("reads_together_count") >= 1
    assert value(after, "movements_waiting") == value(after, "pins_waiting", work="check") == 0


async def test_labels_say_nothing_of_what_was_sent(store: Store, admin: Client) -> None:
    sent = "ZQXJKV"
    await factories.card(admin, physicalCode=f"{sent}-1", note=sent)
    await factories.trans(admin, code=f"{sent}-1", transType="ADD", amount="5.00", sourceId=sent)
    await admin.run(f'query {sent} {{ giftcard(code: "{sent}") {{ results {{ {sent}: id }} }} }}')
    await admin.run(f"{{ {sent} }}")
    for path in (f"/{sent}", f"//{sent}", f"/exports/{sent}", f"/office/{sent}?{sent}"):
        await admin.http.get(path, headers={"X-Request-ID": sent, "Authorization": sent})
    shown = (await exposition.text(store)).decode()
    assert sent.lower() not in shown.lower()
    kinds = set(re.findall(r'giftgql_requests_total\{kind="([^"]*)"', shown))
    assert kinds >= {"query", "mutation", "graphql", "other", "export", "office"}


# The port


def ask(port: int) -> Values:
    return values(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text)


async def get(port: int) -> Values:
    return await asyncio.to_thread(ask, port)


async def test_each_process_tells_on_the_next_port_that_is_free(store: Store) -> None:
    store.settings = store.settings.model_copy(update={"metrics_port": free_port()})
    first = store.settings.metrics_port
    assert first is not None
    async with exposition.told(store):
        assert value(await get(first), "database_up") == 1
        async with exposition.told(store):
            found = [port for port in range(first + 1, first + 9) if await answers(port)]
        assert found
    assert not await answers(first)


async def answers(port: int) -> bool:
    try:
        return value(await get(port), "loop_answers") == 1
    except httpx.HTTPError:
        return False


async def test_a_process_whose_event_loop_is_stuck_still_tells(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condition, "PATIENCE", -0.9)  # a tenth of a second, with what is added
    store.settings = store.settings.model_copy(update={"metrics_port": free_port()})
    assert store.settings.metrics_port is not None
    async with exposition.told(store):
        with ThreadPoolExecutor(1) as thread:
            found = thread.submit(ask, store.settings.metrics_port).result()  # it is stuck here
    assert value(found, "loop_answers") == 0
    assert not any(name == "giftgql_database_up" for name, _ in found)
    assert any(name == "giftgql_build_info" for name, _ in found)


# What the database knows


async def test_jobs_and_messages_are_told_by_where_they_stand(store: Store) -> None:
    async def fails(store: Store, lease: Lease) -> bool:
        raise NotDone("The endpoint is down")

    async with store.write() as tx:
        late = tx.now - timedelta(hours=2)
        await jobs.add(tx, "mail", 1, run_at=late)
        await jobs.add(tx, "mail", 2, run_at=tx.now + timedelta(hours=2))
        await jobs.add(tx, "webhook", 7)
        for state in ("WAITING", "DEAD", "SENT"):
            await add_mail(tx, state, late)
    await Lane(store, {"webhook": Work(fails)}, ["webhook"]).do_next()
    async with store.write() as tx:
        assert await jobs.claim_of(tx, "mail", 2, "somebody") is not None
    found = await told(store)
    assert value(found, "jobs", kind="mail", state="due") == 1
    assert value(found, "jobs", kind="mail", state="running") == 1
    assert value(found, "jobs", kind="webhook", state="failing") == 1
    assert value(found, "webhooks_failing") == 1
    assert value(found, "jobs_failed_total", kind="webhook") >= 1
    assert 7_200 <= value(found, "jobs_overdue_seconds", kind="mail") < 7_300
    assert value(found, "outbox_messages", channel="MAIL", state="WAITING") == 1
    assert value(found, "outbox_messages", channel="MAIL", state="DEAD") == 1
    assert 7_200 <= value(found, "outbox_overdue_seconds", channel="MAIL") < 7_300


async def add_mail(tx: Transaction, state: str, due: datetime) -> None:
    is_sqlite = tx.settings.sqlite_file is not None
    given = due.strftime("%Y-%m-%d %H:%M:%S.%f") if is_sqlite else due
    statement = text(
        "INSERT INTO outbox_message (channel, topic, state, facts, due_at, attempts, created_by, "
        "created_at, changed_in) VALUES ('MAIL', 'x', :state, '{}', :due, 0, 'x', :due, 0)"
    )
    await (await tx.session.connection()).execute(statement, {"state": state, "due": given})


async def test_counts_end_where_they_would_cost_too_much(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condition, "MOST", 2)
    async with store.write() as tx:
        for number in range(5):
            await jobs.add(tx, "mail", number + 1)
    assert value(await told(store), "jobs", kind="mail", state="due") == 2


async def test_a_database_that_does_not_answer_is_told_as_down(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(condition, "PATIENCE", 0.0)
    found = await told(store)
    assert value(found, "database_up") == 0
    assert value(found, "loop_answers") == 1
    assert value(found, "pool_size", pool="read") > 0
    assert not any(name == "giftgql_jobs" for name, _ in found)


# What is made of it

MONITORING = Path(__file__).parent.parent / "monitoring"


def named(expression: str) -> set[str]:
    """The metrics that an expression of PromQL names, without what we record ourselves."""
    without_texts = re.sub(r'"[^"]*"', "", expression)
    return set(re.findall(r"\b(giftgql_\w+|process_\w+)(?!\w*:)", without_texts))


async def test_rules_dashboard_and_page_name_only_metrics_that_are_told(store: Store) -> None:
    known = set()
    for family in text_string_to_metric_families((await exposition.text(store)).decode()):
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        known |= {family.name + end for end in ends.get(family.type, [""])}
    rules = [
        rule
        for group in yaml.safe_load((MONITORING / "giftgql.rules.yml").read_text())["groups"]
        for rule in group["rules"]
    ]
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    in_rules = set[str]().union(*(named(rule["expr"]) for rule in rules))
    on_dashboard = set[str]().union(*map(named, shown))
    assert (in_rules | on_dashboard) - known == set()
    ours = {name.removesuffix("_count").removesuffix("_sum") for name in known}
    ours = {name for name in ours if name.startswith("giftgql_")}
    seen = {re.sub("_(bucket|sum|count)$", "", name) for name in on_dashboard}
    assert {re.sub("_bucket$", "", name) for name in ours} - seen == set(), "shown nowhere"
    outcomes = set(re.findall(r'outcome=~?"([^"]+)"', " ".join(rule["expr"] for rule in rules)))
    assert {each for of in outcomes for each in of.split("|")} <= {*ErrorCode, "5xx"}
    recorded = {rule["record"] for rule in rules if "record" in rule}
    used = set(re.findall(r"giftgql:[\w:]+", " ".join(rule["expr"] for rule in rules)))
    assert used <= recorded
    for rule in rules:
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("page", "ticket")
            assert rule["annotations"].keys() == {"summary", "do"}, rule["alert"]
        for brackets in ("()", "{}", "[]"):
            assert len({rule["expr"].count(each) for each in brackets}) == 1, rule
