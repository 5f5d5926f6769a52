"""The audit trail as it is read: by the API, as a file, in the back office."""

import csv
import io

import pytest

from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.permissions import Caller, CallerKind, Origin, Permission
from giftgql.store import Store
from tests.backoffice import visitor
from tests.client import Client, Server
from tests.conftest import MakeClient, RunCommand, SetClock

TILL = Caller(CallerKind.CLIENT, "ggc_till").coming_from(Origin("192.0.2.7", "req-1"))
ANNA = Caller(CallerKind.STAFF, "ggp_anna").coming_from(Origin("192.0.2.8", "req-2"))
FIELDS = "id event subject caller facts createdAt address requestId sourceId"


async def happen(store: Store, clock: SetClock) -> None:
    """Three events, an hour apart, by two callers of two subjects."""
    for caller, event, subject, source in (
        (TILL, Event.CARD_ADDED, "card:1", "Till 7"),
        (ANNA, Event.CARD_BLOCKED, "card:1", None),
        (ANNA, Event.CARD_BLOCKED, "card:2", None),
    ):
        async with store.write(caller) as tx:
            await audit.record(tx, event, subject, source_id=source, reason="=HYPERLINK()")
        clock.forward(hours=1)


async def listed(caller: Client, given: str = "") -> list[str]:
    """Which events are listed: caller and subject of each."""
    of = f"({given})" if given else ""
    answer = await caller.run(f"{{ auditEvent{of} {{ results {{ {FIELDS} }} hasMoreResults }} }}")
    return [f"{each['caller'][-4:]} {each['subject']}" for each in answer["auditEvent"]["results"]]


async def test_events_are_found_by_who_what_when_where_and_of_what(
    store: Store, clock: SetClock, client_with: MakeClient
) -> None:
    auditor = await client_with(Permission.VIEW_AUDIT)
    made = await listed(auditor)
    await happen(store, clock)
    mine = ["till card:1", "anna card:1", "anna card:2"]
    assert await listed(auditor) == [*made, *mine]
    for given, found in (
        ('caller: "client:ggc_till"', mine[:1]),
        ("event: CARD_BLOCKED", mine[1:]),
        ('subject: "card:1"', mine[:2]),
        ('sourceId: "Till 7"', mine[:1]),
        ('begins: "2026-11-21T13:00:00Z"', mine[1:]),
        ('subject: "card:1", ends: "2026-11-21T13:00:00Z"', mine[:1]),
        ('event: CARD_BLOCKED, caller: "staff:ggp_anna", first: 1', mine[1:2]),
        ('event: CARD_BLOCKED, caller: "staff:ggp_anna", skip: 1', mine[2:]),
        ('subject: "card:9"', []),
    ):
        assert await listed(auditor, given) == found, given
    [shown] = (
        await auditor.run(f'{{ auditEvent(sourceId: "Till 7") {{ results {{ {FIELDS} }} }} }}')
    )["auditEvent"]["results"]
    del shown["id"]
    assert shown == {
        "event": "CARD_ADDED",
        "subject": "card:1",
        "caller": "client:ggc_till",
        "facts": {"reason": "=HYPERLINK()"},
        "createdAt": "2026-11-21T12:00:00+00:00",
        "address": "192.0.2.7",
        "requestId": "req-1",
        "sourceId": "Till 7",
    }


async def test_the_trail_is_for_who_may_view_it(client_with: MakeClient) -> None:
    others = frozenset(Permission) - {Permission.VIEW_AUDIT}
    nobody = await client_with(*others)
    assert (await nobody.run("{ auditEvent { until } }")).code == "PERMISSION_DENIED"
    headers = {"Authorization": f"Bearer {nobody.token}"}
    assert (await nobody.http.get("/exports/audit.csv", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", 3),
        ("event=CARD_BLOCKED", 2),
        ("subject=card:1&caller=client:ggc_till", 1),
        ("sourceId=Till%207", 1),
        ("from=2026-11-22", 0),
        ("from=2026-11-21&to=2026-11-21&event=CARD_BLOCKED", 2),
    ],
)
async def test_the_trail_is_exported_as_safe_csv_and_says_so_itself(
    store: Store, clock: SetClock, client_with: MakeClient, query: str, found: int
) -> None:
    auditor = await client_with(Permission.VIEW_AUDIT)
    await happen(store, clock)
    answer = await auditor.http.get(
        f"/exports/audit.csv?{query}", headers={"Authorization": f"Bearer {auditor.token}"}
    )
    head, *rows = csv.reader(io.StringIO(answer.text.removeprefix("\ufeff")))
    assert head[:5] == ["EventId", "CreatedAt", "Event", "Subject", "Caller"]
    ours = [row for row in rows if row[4] in ("client:ggc_till", "staff:ggp_anna")]
    assert len(ours) == found
    assert {row[-1] for row in ours} <= {'{"reason":"=HYPERLINK()"}'}
    async with store.read() as reading:
        [event] = await reading.audit.find_by_subject("audit")
    assert (event.event, event.address) == (Event.CODES_EXPORTED, "127.0.0.1")
    refused = await auditor.http.get(
        "/exports/audit.csv?event=NOTHING", headers={"Authorization": f"Bearer {auditor.token}"}
    )
    assert refused.status_code == 400


def test_the_command_exports_the_trail(command: RunCommand) -> None:
    assert command("member", "add", "M1")[0] == 0
    code, said = command("export", "audit", "--event", "MEMBER_ADDED")
    assert code == 0
    head, row = csv.reader(io.StringIO(said.removeprefix("\ufeff")))
    assert dict(zip(head, row, strict=True))["Subject"] == "member:M1"
    assert command("export", "audit", "--subject", "card:9")[0] == 0


async def test_the_back_office_shows_who_did_what(
    server: Server, store: Store, clock: SetClock
) -> None:
    await happen(store, clock)
    auditor = await visitor(server, store, Permission.VIEW_AUDIT)
    page = await auditor.open("/office/audit")
    for shown in ("A card was blocked.", "card 2", "reason: =HYPERLINK()", "192.0.2.7", "Till 7"):
        assert shown in page.text
    assert 'href="/office/cards/2"' in page.html
    page = await auditor.open("/office/audit?event=CARD_ADDED&source=Till+7&from=2026-11-21")
    assert page.text.count("A card was made.") == 1
    assert "A card was blocked." not in page.text
    assert "Nothing like that was done" in (await auditor.open("/office/audit?subject=no")).text
    assert (await auditor.open("/office/audit?from=yesterday")).status == 422
    assert (await auditor.open("/office/audit?event=NOTHING")).status == 422
    nobody = await visitor(server, store, Permission.VIEW_REPORTS)
    assert (await nobody.open("/office/audit")).status == 403


@pytest.mark.parametrize("name", ["caller", "subject", "source"])
async def test_what_nothing_can_be_named_is_refused_by_the_page(
    server: Server, store: Store, name: str
) -> None:
    auditor = await visitor(server, store, Permission.VIEW_AUDIT)
    assert (await auditor.open(f"/office/audit?{name}=%00")).status == 422


async def test_days_and_moments_at_the_ends_of_the_calendar_are_no_fault(
    server: Server, store: Store, admin: Client
) -> None:
    store.settings = store.settings.model_copy(update={"time_zone": "Asia/Tokyo"})
    auditor = await visitor(server, store, Permission.VIEW_AUDIT)
    for asked in ("from=0001-01-01", "to=9999-12-31"):
        assert (await auditor.open(f"/office/audit?{asked}")).status == 200
    for asked in ('begins: "0001-01-01T00:00:00+14:00"', 'ends: "9999-12-31T23:59:59-12:00"'):
        for listed in ("auditEvent", "giftcardTrans"):
            answer = await admin.run(f"{{ {listed}({asked}) {{ results {{ id }} }} }}")
            assert answer.code == "INVALID_INPUT"
