"""The outbox: committed with its cause or not at all, seen and managed by staff."""

from datetime import timedelta
from typing import Any

import pytest

from giftgql import work
from giftgql.jobs import service as jobs
from giftgql.jobs.models import JobState
from giftgql.mail import service as mail
from giftgql.outbox import service as outbox
from giftgql.outbox.mails import CardUsed, Mail
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import factories, mailing
from tests.client import Answer, Client
from tests.conftest import MakeClient, SetClock
from tests.factories import done
from tests.stock import change

MESSAGE = """id channel topic state giftcardId orderId endpointId address facts dueAt attempts error
    createdBy createdAt endedAt"""


async def listed(caller: Client, **arguments: Any) -> Answer:
    kinds = {"state": "OutboxState", "channel": "OutboxChannel", "first": "Int!"}
    kinds |= dict.fromkeys(("topic", "since"), "String")
    asked = ", ".join(f"${name}: {kinds.get(name, 'ID')}" for name in arguments) or "$_: ID"
    passed = ", ".join(f"{name}: ${name}" for name in arguments)
    named = f"({passed})" if passed else ""
    query = f"query ({asked}) {{ outbox{named} {{ until results {{ {MESSAGE} }} }} }}"
    return await caller.run(query if passed else query.replace("($_: ID)", ""), **arguments)


async def shown(caller: Client, **arguments: Any) -> list[dict[str, Any]]:
    return list((await listed(caller, **arguments))["outbox"]["results"])


async def act(caller: Client, verb: str, message_id: int | str) -> Answer:
    return await change(caller, f"outbox{verb}", "outbox", MESSAGE, id=str(message_id))


async def test_a_message_is_committed_with_its_cause_or_not_at_all(store: Store) -> None:
    card_id = await factories.digital(store)

    async def fail_after_putting() -> None:
        async with store.write() as tx:
            about = Mail(address="a@b.org", content=mailing.brought(), card_id=int(card_id))
            await outbox.put(tx, about)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_putting()
    await work.do_all(store)
    assert mailing.sent(store) == []
    message_id = await mailing.put(store, card_id)
    assert mailing.sent(store) == [], "it is sent after the commit, by its job"
    await work.do_all(store)
    assert len(mailing.sent(store)) == 1
    found = await mailing.message(store, message_id)
    assert (found.state, found.attempts, found.error) == ("SENT", 0, None)
    assert found.ended_at is not None


async def test_a_message_waits_until_it_is_due_unless_it_is_tried_now(
    admin: Client, store: Store, clock: SetClock
) -> None:
    christmas = clock.now + timedelta(days=34)
    first, second = [await mailing.put(store, due_at=christmas) for _ in range(2)]
    clock.now = christmas - timedelta(seconds=1)
    await work.do_all(store)
    assert mailing.sent(store) == []
    assert done(await act(admin, "Retry", first))["dueAt"] == clock.now.isoformat()
    await work.do_all(store)
    assert [each["id"] for each in await shown(admin, state="SENT")] == [str(first)]
    clock.forward(seconds=1)
    await work.do_all(store)
    assert [each["id"] for each in await shown(admin, state="SENT")] == [str(first), str(second)]
    assert len(mailing.sent(store)) == 2


async def test_what_waits_about_a_card_or_an_order_can_be_cancelled(
    admin: Client, store: Store, clock: SetClock
) -> None:
    due_at = clock.now + timedelta(days=1)
    one, other = [await factories.digital(store) for _ in range(2)]
    for card_id, order_id in ((one, 1), (one, 2), (other, 2)):
        await mailing.put(store, card_id, order_id=order_id, due_at=due_at)
    async with store.write() as tx:
        assert await outbox.cancel_waiting(tx, card_id=int(other), order_id=1) == 0
        assert await outbox.cancel_waiting(tx, order_id=2) == 2
        assert await outbox.cancel_waiting(tx, order_id=2) == 0
    clock.forward(days=2)
    await work.do_all(store)
    found = await shown(admin)
    assert [each["state"] for each in found] == ["SENT", "CANCELLED", "CANCELLED"]
    assert found[1]["endedAt"] == (due_at - timedelta(days=1)).isoformat()
    assert len(mailing.sent(store)) == 1
    async with store.read() as reading:
        job = await jobs.latest(reading, mail.JOB, int(found[1]["id"]))
    assert job is not None
    assert job.state is JobState.CANCELLED


async def test_a_message_that_fails_for_a_day_is_dead_until_it_is_tried_again(
    admin: Client, store: Store, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailing.impatient(monkeypatch)
    card_id = await factories.digital(store)
    assert (await factories.stand(admin, "Block", card_id, reason="Lost")).code is None
    message_id = str(await mailing.put(store, card_id))
    await work.do_all(store)
    [waiting] = await shown(admin)
    assert (waiting["state"], waiting["attempts"]) == ("WAITING", 1)
    assert (waiting["error"], waiting["endedAt"]) == ("CARD_BLOCKED", None)
    clock.forward(minutes=1)
    await work.do_all(store)
    [dead] = await shown(admin, state="DEAD")
    assert (dead["attempts"], dead["error"]) == (2, "CARD_BLOCKED")
    assert dead["endedAt"] == clock.now.isoformat()
    clock.forward(days=1)
    assert (await act(admin, "Resend", message_id)).code == "CONFLICT"
    assert (await factories.stand(admin, "Unblock", card_id, reason="Found")).code is None
    tried = done(await act(admin, "Retry", message_id))
    assert (tried["state"], tried["endedAt"]) == ("WAITING", None)
    await work.do_all(store)
    [now] = await shown(admin)
    assert (now["state"], now["attempts"], now["error"]) == ("SENT", 2, None)


def test_mails_are_tried_for_about_a_day() -> None:
    patience = work.WORKS[mail.JOB].patience
    pauses = [patience.pause(failures) for failures in range(1, patience.attempts)]
    assert pauses[:3] == [timedelta(seconds=each) for each in (10, 20, 40)]
    assert max(pauses) == timedelta(minutes=30)
    assert timedelta(hours=24) < sum(pauses, timedelta()) < timedelta(hours=25)
    assert work.WORKS[work.SWEEP].patience.pause(8) == timedelta(minutes=4, seconds=16)


async def test_a_sent_message_is_sent_once_more_as_a_new_one(admin: Client, store: Store) -> None:
    content = mailing.brought(sender="Bob", message="For you")
    first = await mailing.put(store, content=content, order_id=7)
    assert (await act(admin, "Resend", first)).code == "CONFLICT"
    await work.do_all(store)
    assert (await act(admin, "Retry", first)).code == "CONFLICT"
    copy = done(await act(admin, "Resend", first))
    await work.do_all(store)
    before, after = await shown(admin, orderId="7")
    same = ("channel", "topic", "giftcardId", "orderId", "address", "facts", "state")
    assert {name: before[name] for name in same} == {name: after[name] for name in same}
    assert after["id"] == copy["id"]
    assert before["createdBy"] == "server:giftgql"
    assert after["createdBy"].startswith("client:")
    one, other = mailing.sent(store)
    assert one["Message-ID"] != other["Message-ID"]
    assert mailing.body(one, "plain") == mailing.body(other, "plain")


async def test_messages_are_listed_and_synchronised(admin: Client, store: Store) -> None:
    card_id = await factories.digital(store)
    first = await mailing.put(store, card_id, order_id=1)
    answer = (await listed(admin, since=""))["outbox"]
    assert [each["id"] for each in answer["results"]] == [str(first)]
    used = CardUsed(currency="JPY", paid=500, left=0, last_four="4F2K")
    second = await mailing.put(store, card_id, used)
    await work.do_all(store)
    changed = (await listed(admin, since=answer["until"]))["outbox"]["results"]
    assert {each["id"] for each in changed} == {str(first), str(second)}
    for arguments, found in (
        ({"id": str(first)}, [first]),
        ({"id": "x"}, []),
        ({"orderId": "1"}, [first]),
        ({"giftcardId": card_id, "channel": "MAIL"}, [first, second]),
        ({"topic": "USAGE"}, [second]),
        ({"channel": "WEBHOOK"}, []),
        ({"state": "SENT", "first": 1}, [first]),
        ({"state": "WAITING"}, []),
    ):
        answers = await shown(admin, **arguments)  # type: ignore[arg-type]
        assert [each["id"] for each in answers] == [str(each) for each in found], arguments
    [one] = await shown(admin, topic="USAGE")
    assert one["facts"] == {
        **{"currency": "JPY", "paid": 500, "left": 0, "last_four": "4F2K"},
        **{"recipient": None, "order_no": None, "place": None},
    }
    assert (await listed(admin, topic="")).field == "topic"


async def test_the_outbox_needs_its_permission_and_a_message(
    client_with: MakeClient, store: Store
) -> None:
    message_id = await mailing.put(store)
    manager = await client_with(role="manager")
    assert (await listed(manager)).code == "PERMISSION_DENIED"
    for verb in ("Retry", "Resend"):
        assert (await act(manager, verb, message_id)).code == "PERMISSION_DENIED"
    keeper = await client_with(Permission.MANAGE_OUTBOX)
    for verb in ("Retry", "Resend"):
        for unknown in ("99", "x"):
            assert (await act(keeper, verb, unknown)).code == "NOT_FOUND"
