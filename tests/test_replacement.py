"""Cards that are replaced on use: what a use leaves goes to a new card with a new code."""

from email.message import EmailMessage
from typing import Any

import pytest

from giftgql import work
from giftgql.permissions import Channel, Permission
from giftgql.store import Store
from tests import heirs, mailing
from tests.client import Client
from tests.conftest import ALL_BUT_UNMASKED, MakeClient, SetClock
from tests.factories import (
    balance,
    cancel,
    code_of,
    done,
    edit,
    find,
    funded,
    hold,
    member,
    movements,
    stand,
    top_up,
    trans,
    transfer,
)
from tests.heirs import are_clean, card, figures, heir, mails, owned, replaced, use

KEY = {"idempotencyKey": "once"}
REPLACEMENT = {"strategy": "REPLACEMENT"}
Card = dict[str, Any]


@pytest.fixture(autouse=True)
def replacing(store: Store) -> None:
    heirs.replace_on_use(store)


async def test_what_a_use_leaves_goes_to_a_new_card_with_a_new_code(
    admin: Client, store: Store, clock: SetClock
) -> None:
    facts: Card = {"expiresOn": "2027-01-31", "note": "Birthday", "metadata": {"shop": 7}}
    made = await owned(admin, addPersonalCode=True, physicalCode="GC49288331", **facts)
    trans = done(await use(admin, {"codes": [{"code": "GC49288331"}]}, "-60.00", sourceId="Till 7"))
    assert (trans["status"], trans["amount"], trans["balance"]) == ("COMPLETED", "-60.00", "40.00")
    assert (trans["giftcardId"], trans["keptWithoutAddress"]) == (made["id"], False)
    assert (trans["replacedBy"]["id"], trans["replacedBy"]["balance"]) == (
        trans["replacedById"],
        "40.00",
    )
    old, new = await card(admin, made["id"]), await card(admin, trans["replacedById"])
    assert (old["status"], old["balance"], old["codes"]) == ("REDEEMED", "0.00", [])
    assert {(each["codeType"], each["ending"]) for each in old["codeHistory"]} == {
        ("PHYSICAL", "CARD_REPLACED"),
        ("PERSONAL", "CARD_REPLACED"),
    }
    assert old["replacedBy"] == {
        "id": new["id"],
        **{"balance": "40.00", "codes": new["codes"], "codeHistory": []},
        **{"replaces": {"id": old["id"]}, "replacedBy": None},
    }
    assert new["replaces"]["id"] == old["id"]
    assert {each["code"] for each in new["replaces"]["codeHistory"]} >= {"GC49288331"}
    assert [(each["codeType"], each["isMasked"]) for each in new["codes"]] == [("DIGITAL", True)]
    alike = ("memberId", "expiresOn", "note", "metadata", "strategy", "productId")
    assert [new[name] for name in alike] == [old[name] for name in alike]
    assert new["strategy"] == "REPLACEMENT"
    assert await figures(admin, old["id"]) == ("0.00", "100.00", "60.00", "40.00", 1)
    assert await figures(admin, new["id"]) == ("40.00", "40.00", "0.00", "0.00", 0)
    [sent] = await mails(admin)
    assert (sent["giftcardId"], sent["address"]) == (new["id"], "ada@example.org")
    said = {"paid": 6_000, "left": 4_000, "last_four": "8331", "place": "Till 7"}
    assert sent["facts"] == {**said, "currency": "EUR", "recipient": "Ada", "order_no": None}
    _, used, out, came = await movements(admin)
    assert [used["id"], out["giftcardId"], came["giftcardId"]] == [
        *(trans["id"], old["id"], new["id"])
    ]
    assert (out["transType"], out["amount"], out["reason"]) == ("TRANSFER", "-40.00", "replacement")
    await are_clean(store)


async def test_the_mail_brings_the_new_code_which_pays_and_is_replaced_in_turn(
    admin: Client, store: Store
) -> None:
    made, given = await owned(admin), list[str]()
    for amount in ("-60.00", "-15.00"):
        trans = done(await use(admin, made, amount))
        await work.do_all(store)
        *_, mail = mailing.sent(store)
        code = code_in(mail)
        assert mail["To"].addresses[0].addr_spec == "ada@example.org"
        assert code not in given
        given.append(code)
        made = {"id": trans["replacedById"], "codes": [{"code": code}]}
    assert (await use(admin, {"codes": [{"code": given[0]}]}, "-1.00")).code == "CARD_REPLACED"
    last = done(await use(admin, made, "-25.00"))
    assert (last["replacedById"], last["replacedBy"], last["balance"]) == (None, None, "0.00")
    assert len(await mails(admin)) == 2
    await top_up(admin, made, "5.00")
    assert (await card(admin, made["id"]))["balance"] == "5.00"
    await are_clean(store)


def code_in(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    [line] = [each for each in body.get_content().splitlines() if each.startswith("Code:")]
    return str(line.split()[-1]).replace("-", "")


async def test_the_old_code_answers_that_the_card_was_replaced_to_whatever_is_asked(
    admin: Client, store: Store
) -> None:
    made = await owned(admin, externalCode="WEB-1", physicalCode="GC49288331")
    other = await funded(admin)
    done(await edit(admin, made["id"], physicalCode="GC49288332"))
    _, new = await replaced(admin, store, {"codes": [{"code": "WEB-1"}]}, "-60.00")
    before = await card(admin, new["id"])
    signs = [(kind, sign) for kind in ("ADJUST", "EXTERNAL", "IMPORT") for sign in ("", "-")]
    for way in ({"code": "WEB-1"}, {"code": "GC49288332"}, {"giftcardId": made["id"]}):
        for kind, sign in (("ADD", ""), ("USE", "-"), *signs):
            facts = {"transType": kind, "amount": f"{sign}1.00", "reason": "because"}
            for only in (False, True):
                answer = await trans(admin, **way, **facts, authorizeOnly=only)
                assert (answer.code, answer.field) == ("CARD_REPLACED", None)
    recorded = await movements(admin, giftcardId=made["id"], status="DECLINED")
    assert {each["error"] for each in recorded} == {"CARD_REPLACED"}
    assert len(recorded) == 3 * 8 * 2
    for pair, field in (((made, other), None), ((other, made), "toId")):
        answer = await transfer(admin, pair[0]["id"], pair[1]["id"], amount="1.00")
        assert (answer.code, answer.field) == ("CARD_REPLACED", field)
    for change in ("Block", "Unblock", "Disable", "SecretUnlock"):
        answer = await stand(admin, change, made["id"])
        assert (answer.code, answer.field) == ("CARD_REPLACED", "id")
        assert answer.errors[0]["extensions"]["replacedById"] == new["id"]
    assert (await stand(admin, "Extend", made["id"], validFor="P1Y")).code == "CARD_REPLACED"
    changes: list[Card] = [
        *({"physicalCode": "NEW1"}, {"revokeExternalCode": True}, {"memberId": "C1"})
    ]
    for given in changes:
        assert (await edit(admin, made["id"], **given)).code == "CARD_REPLACED"
    assert done(await edit(admin, made["id"], note="gone"))["note"] == "gone"
    assert await card(admin, new["id"]) == before
    await are_clean(store)


async def test_a_replaced_card_is_found_by_the_code_that_it_had_to_the_end(
    admin: Client, store: Store
) -> None:
    made = await owned(admin, physicalCode="GC49288331")
    done(await edit(admin, made["id"], physicalCode="GC49288332"))
    await replaced(admin, store, {"codes": [{"code": "GC49288332"}]}, "-60.00")
    [found] = (await find(admin, "gc-4928 8332"))["giftcard"]["results"]
    assert (found["id"], found["codes"], found["balance"]) == (made["id"], [], "0.00")
    assert len(await movements(admin, code="GC49288332")) == 3
    answer = await balance(admin, "GC49288332")
    assert (answer.code, answer.field) == ("CARD_REPLACED", "code")
    assert (await find(admin, "GC49288331"))["giftcard"]["results"] == []
    answer = await trans(admin, code="GC49288331", transType="ADD", amount="1.00")
    assert answer.code == "NOT_FOUND"
    assert (await balance(admin, "GC49288331")).code == "SECRET_INVALID"
    live = await funded(admin, "5.00", externalCode="GC49288332")
    meant = done(await use(admin, live, "-5.00"))
    assert meant["giftcardId"] == live["id"], "a live code goes before one that has ended"
    typed = await use(admin, live, "-1.00", codeType="PHYSICAL")
    assert typed.code == "CARD_REPLACED"


async def test_online_the_old_codes_pin_is_asked_for_as_before(
    admin: Client, store: Store, client_with: MakeClient
) -> None:
    made = await owned(admin, physicalCode="GC49288331", physicalPin="1234")
    online = await client_with(*ALL_BUT_UNMASKED, channel=Channel.ONLINE)
    blind = await client_with(
        Permission.GIFT_CARD_TRANS_USE,
        Permission.USE_PHYSICAL_GIFT_CARD_CODES,
        channel=Channel.ONLINE,
    )
    done(await use(online, made, "-60.00", pin="1234"))
    for caller in (online, blind):
        assert (await use(caller, made, "-1.00", pin="1234")).code == "CARD_REPLACED"
        assert (await use(caller, made, "-1.00", pin="4321")).code == "SECRET_INVALID"
    assert (await use(blind, made, "-1.00")).code == "SECRET_INVALID"


async def test_while_a_hold_stands_the_card_is_not_used_and_then_it_is_replaced(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await owned(admin)
    held = await hold(admin, made, "-60.00", sourceId="Web")
    for amount, facts in (("-10.00", {}), ("-50.00", {}), ("-10.00", {"authorizeOnly": True})):
        assert (await use(admin, made, amount, **facts)).code == "CONFLICT"
    await top_up(admin, made, "5.00")
    taken = done(await heirs.capture(admin, held, "50.00", **KEY))
    assert (taken["amount"], taken["releasedAmount"], taken["balance"]) == (
        *("-50.00", "10.00"),
        "55.00",
    )
    assert await figures(admin, made["id"]) == ("0.00", "105.00", "50.00", "55.00", 1)
    assert await figures(admin, taken["replacedById"]) == ("55.00", "55.00", "0.00", "0.00", 0)
    [sent] = await mails(admin)
    assert (sent["facts"]["paid"], sent["facts"]["place"]) == (5_000, "Web")
    new = await heir(store, taken)
    done(await use(admin, new, "-5.00"))
    clock.forward(days=3)
    again = await heirs.capture(admin, held, "50.00", **KEY)
    assert again.is_replayed
    assert done(again)["replacedById"] == taken["replacedById"]
    assert (await heirs.capture(admin, held, "50.00")).code == "ALREADY_CAPTURED"
    await are_clean(store)


async def test_a_hold_that_is_given_up_or_captured_whole_leaves_the_card_as_it_was(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await owned(admin)
    done(await cancel(admin, (await hold(admin, made, "-60.00"))["id"]))
    await hold(admin, made, "-60.00", authorizeFor="PT1M")
    clock.forward(minutes=1)
    adding = await hold(admin, made, "10.00")
    assert (await use(admin, made, "-1.00")).code == "CONFLICT", "it could not be captured then"
    assert done(await heirs.capture(admin, adding, "10.00"))["replacedById"] is None
    whole = await hold(admin, made, "-110.00")
    taken = done(await heirs.capture(admin, whole, "110.00"))
    assert (taken["replacedById"], taken["keptWithoutAddress"]) == (None, False)
    await top_up(admin, made, "3.00")
    took = done(await use(admin, made, "-5.00", allowPartial=True))
    assert (took["amount"], took["replacedById"]) == ("-3.00", None)
    assert (await mails(admin), (await card(admin, made["id"]))["replacedBy"]) == ([], None)
    await are_clean(store)


async def test_without_an_address_the_code_keeps_what_is_left_and_the_answer_says_so(
    admin: Client, store: Store
) -> None:
    owner = await member(admin)
    made = await funded(admin, "100.00", memberId=owner)
    first = await use(admin, made, "-60.00", **KEY)
    kept = done(first)
    assert (kept["replacedById"], kept["keptWithoutAddress"]) == (None, True)
    assert (kept["balance"], await mails(admin)) == ("40.00", [])
    known = "mutation ($m: MemberEditInput!) { memberEdit(member: $m) { id } }"
    assert not (await admin.run(known, m={"id": owner, "email": "ada@example.org"})).errors
    trans = done(await use(admin, made, "-10.00"))
    assert (trans["keptWithoutAddress"], trans["replacedBy"]["balance"]) == (False, "30.00")
    again = await use(admin, made, "-60.00", **KEY)
    assert again.is_replayed
    assert done(again) == kept, "as it was then, though another use has replaced the card since"
    nobodys = await funded(admin, "5.00")
    assert done(await use(admin, nobodys, "-1.00"))["keptWithoutAddress"]
    await are_clean(store)


async def test_a_repeated_use_replaces_once_and_a_decline_keeps_its_answer(
    admin: Client, store: Store, clock: SetClock
) -> None:
    made = await owned(admin)
    for _ in range(2):
        declined = await use(admin, made, "-100.01", idempotencyKey="too much")
        assert declined.code == "INSUFFICIENT_FUNDS"
        await top_up(admin, made, "1.00")
    assert declined.is_replayed
    assert (await use(admin, made, "-1.00", idempotencyKey="too much")).code == (
        "IDEMPOTENCY_CONFLICT"
    )
    first = await use(admin, made, "-60.00", **KEY)
    for _ in range(2):
        clock.forward(hours=1)
        again = await use(admin, made, "-60.00", **KEY)
        assert again.is_replayed
        assert again.body["data"] == first.body["data"]
    assert (await use(admin, made, "-61.00", **KEY)).code == "IDEMPOTENCY_CONFLICT"
    other = await owned(admin)
    assert (await use(admin, other, "-60.00", **KEY)).code == "IDEMPOTENCY_CONFLICT"
    assert (await card(admin, other["id"]))["balance"] == "100.00"
    replaced_ = await use(admin, made, "-1.00", idempotencyKey="late")
    again = await use(admin, made, "-1.00", idempotencyKey="late")
    assert (replaced_.code, again.code, again.is_replayed) == (*["CARD_REPLACED"] * 2, True)
    assert len(await mails(admin)) == 1
    await are_clean(store)


async def test_what_has_expired_is_not_replaced(
    admin: Client, store: Store, clock: SetClock
) -> None:
    """A hold outlives the funds; what it leaves goes to breakage, and comes back if extended."""
    made = await owned(admin, expiresOn="2026-11-30")
    held = await hold(admin, made, "-60.00", authorizeFor="P30D")
    clock.forward(days=20)
    taken = done(await heirs.capture(admin, held, "50.00"))
    assert (taken["replacedById"], taken["keptWithoutAddress"]) == (None, False)
    await work.sweep(store)
    assert await figures(admin, made["id"]) == ("0.00", "100.00", "50.00", "50.00", 1)
    done(await stand(admin, "Extend", made["id"], validFor="P1Y"))
    trans = done(await use(admin, made, "-10.00"))
    new = await card(admin, trans["replacedById"])
    assert (new["balance"], new["expiresOn"]) == ("40.00", "2027-12-11")
    await are_clean(store)


async def test_members_see_both_of_their_cards_and_others_neither(
    admin: Client, store: Store, server: Any, client_with: MakeClient
) -> None:
    made = await owned(admin)
    _, new = await replaced(admin, store, made, "-60.00")
    owner = (await card(admin, made["id"]))["memberId"]
    app = await client_with(role="app-backend")
    token = await app.run(
        "mutation ($id: ID!) { memberTokenAdd(member: {id: $id}) { token } }", id=owner
    )
    holder = server.client(token["memberTokenAdd"]["token"])
    query = """{ me { giftcards { results { id balance codes { code isMasked }
        replacedBy { id codes { code } } replaces { id }
        transactions { results { replacedBy { id } } } } } } }"""
    old, its = (await holder.run(query))["me"]["giftcards"]["results"]
    assert old["replacedBy"] == {"id": its["id"], "codes": [{"code": code_of(new)}]}
    assert its["replaces"] == {"id": old["id"]}
    assert [each["replacedBy"] for each in old["transactions"]["results"]].count(
        {"id": new["id"]}
    ) == 1
    blind = await client_with(Permission.GIFT_CARD_TRANS_USE, Permission.USE_CRYPTO_GIFT_CARD_CODES)
    spent = done(await use(blind, new, "-1.00"))
    assert spent["replacedById"] is not None
    assert spent["replacedBy"] is None, "who may look for no card sees none"


# What cards are replaced
