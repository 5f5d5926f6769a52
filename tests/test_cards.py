"""giftcardAdd: what a card is made of, and what is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest

from giftgql.permissions import Permission
from giftgql.settings import Settings
from giftgql.store import Store
from tests.client import Client
from tests.conftest import MakeClient, SetClock
from tests.factories import add, card, find, listed, member

NOT_CODES = {
    "empty": "",
    "three characters": "123",
    "three once normalised": "1-2 3",
    "nothing once normalised": "- - -",
    "65 characters": "A" * 65,
    "65 with separators": "ABCD" + " " * 61,
    "tab": "GC\t4928",
    "line end": "GC4928\n",
    "null": "GC\x004928",
    "delete": "GC4928\x7f",
    "umlaut": "GÄ4928",
    "full-width digits": "４９２８",  # noqa: RUF001  they look like digits
    "emoji": "🎁🎁🎁🎁",
    "soft hyphen": "GC\u00ad4928",
}
NOT_PINS = ["", "123", "1" * 13, "12a4", " 1234", "1234\n", "١٢٣٤", "-123", "12.4"]


@pytest.fixture
async def full(client_with: MakeClient) -> Client:
    """May do everything."""
    return await client_with(*Permission)


async def test_a_new_card_is_empty_and_not_activated(admin: Client) -> None:
    made = await card(admin, physicalCode="GC49288330")
    assert (made["status"], made["balance"], made["currency"]) == ("NOT_ACTIVATED", "0.00", "EUR")
    found = (await find(admin, "gc-4928 8330", "PHYSICAL"))["giftcard"]
    assert [each["id"] for each in found["results"]] == [made["id"]]
    assert found["limitedByPermission"] is False


async def test_a_card_keeps_what_it_was_made_with(admin: Client, clock: SetClock) -> None:
    owner = await member(admin)
    made = await card(
        admin,
        physicalCode="GC 49-28",
        physicalPin="1234",
        physicalExpiresOn="2026-12-01",
        addPersonalCode=True,
        personalExpiresOn="2026-12-02",
        externalCode="ex/34802",
        externalExpiresOn="2026-12-03",
        memberId=owner,
        currency="KWD",
        expiresOn="2027-12-31",
        note="Two lines,\nand a gift 🎁",
        metadata={"shop": 7, "tags": ["é", None, 1.5, {"deep": True}]},
    )
    assert made["memberId"] == owner
    assert (made["currency"], made["balance"]) == ("KWD", "0.000")
    assert made["expiresOn"] == "2027-12-31"
    assert made["note"] == "Two lines,\nand a gift 🎁"
    assert made["metadata"] == {"shop": 7, "tags": ["é", None, 1.5, {"deep": True}]}
    assert made["createdAt"] == made["modifiedAt"] == "2026-11-21T12:00:00+00:00"
    assert [(c["codeType"], c["expiresOn"]) for c in made["codes"]] == [
        ("PHYSICAL", "2026-12-01"),
        ("PERSONAL", "2026-12-02"),
        ("EXTERNAL", "2026-12-03"),
    ]
    assert made["codes"][0]["code"] == "GC 49-28"
    assert made["codes"][2]["code"] == "ex/34802"
    assert (await listed(admin, id=made["id"]))["giftcard"]["results"] == [made]


async def test_a_currency_shows_its_own_decimals(admin: Client) -> None:
    balances = {c: (await card(admin, currency=c))["balance"] for c in ("EUR", "JPY", "KWD", "CLF")}
    assert balances == {"EUR": "0.00", "JPY": "0", "KWD": "0.000", "CLF": "0.0000"}


async def test_an_unknown_currency_is_refused(admin: Client) -> None:
    for currency in ("", "eur", "EURO", "XXX", "XAU", "ÄÖÜ", "E R"):
        answer = await add(admin, physicalCode="GC4928", currency=currency)
        assert (currency, answer.code, answer.field) == (currency, "INVALID_INPUT", "currency")
    assert (await listed(admin))["giftcard"]["results"] == []


async def test_a_card_needs_a_code(admin: Client) -> None:
    owner = await member(admin)
    for facts in (
        {},
        {"memberId": owner},
        {"addPersonalCode": False, "memberId": owner},
        {"physicalCode": None, "externalCode": None},
    ):
        answer = await add(admin, **facts)
        assert (answer.code, answer.field) == ("INVALID_INPUT", "giftcard")
    assert (await listed(admin))["giftcard"]["results"] == []


@pytest.mark.parametrize("field", ["physicalCode", "externalCode"])
async def test_what_is_no_code_is_refused_and_never_looked_up(admin: Client, field: str) -> None:
    for what, text in NOT_CODES.items():
        answer = await add(admin, **{field: text})
        assert (what, answer.code, answer.field) == (what, "INVALID_INPUT", field)
        answer = await find(admin, text)
        assert (what, answer.code, answer.field) == (what, "INVALID_INPUT", "code")
    assert (await listed(admin))["giftcard"]["results"] == []


async def test_codes_of_4_to_64_characters_are_shown_as_given_and_found(admin: Client) -> None:
    printable = "".join(chr(point) for point in range(0x21, 0x7F))
    for text in ("1234", "1 2-3 5", " x;'\"% ", "A" * 64, "ABCD" + " " * 60, printable[:60]):
        made = await card(admin, externalCode=text)
        assert [code["code"] for code in made["codes"]] == [text]
        found = (await find(admin, text.lower(), "EXTERNAL"))["giftcard"]["results"]
        assert [each["id"] for each in found] == [made["id"]]


async def test_printed_codes_tell_look_alikes_apart(admin: Client) -> None:
    texts = ("O0I1L", "00I1L", "O0L1L", "O011L", "OOI1L")
    made = [(await card(admin, physicalCode=text))["id"] for text in texts]
    for text, card_id in zip(texts, made, strict=True):
        found = (await find(admin, text))["giftcard"]["results"]
        assert [each["id"] for each in found] == [card_id]
    assert (await find(admin, "OOI1l-"))["giftcard"]["results"][0]["id"] == made[-1]
    assert (await find(admin, "O0IIL"))["giftcard"]["results"] == []


async def test_generated_codes_are_found_however_they_are_read_aloud(full: Client) -> None:
    owner = await member(full)
    made = [await card(full, addPersonalCode=True, memberId=owner) for _ in range(5)]
    for each in made:
        text = each["codes"][0]["code"]
        spoken = text.replace("0", "o").replace("1", "l").lower()
        written = text.replace("0", "O").replace("1", "I")
        for read in (text, spoken, written, "-".join(text), f" {text[:9]} {text[9:]}"):
            found = (await find(full, read))["giftcard"]["results"]
            assert [one["id"] for one in found] == [each["id"]]


async def test_a_code_is_unique_within_its_type_however_it_is_written(admin: Client) -> None:
    for field in ("physicalCode", "externalCode"):
        await card(admin, **{field: "GC4928"})
        for text in ("GC4928", "gc4928", " gc-49 28-"):
            answer = await add(admin, **{field: text})
            assert (answer.code, answer.field) == ("CODE_TAKEN", field)
    assert len((await listed(admin))["giftcard"]["results"]) == 2


async def test_a_taken_code_leaves_nothing_of_the_card(admin: Client) -> None:
    await card(admin, externalCode="EX34802")
    answer = await add(admin, physicalCode="GC4928", externalCode="EX34802")
    assert (answer.code, answer.field) == ("CODE_TAKEN", "externalCode")
    assert (await find(admin, "GC4928"))["giftcard"]["results"] == []
    assert (await add(admin, physicalCode="GC4928")).code is None


async def test_the_same_text_in_two_types_gives_both_cards(admin: Client) -> None:
    printed = await card(admin, physicalCode="SAME-TEXT")
    external = await card(admin, externalCode="same text")
    both = (await find(admin, "sametext"))["giftcard"]["results"]
    assert [each["id"] for each in both] == [printed["id"], external["id"]]
    for kind, made in (("PHYSICAL", printed), ("EXTERNAL", external)):
        found = (await find(admin, "sametext", kind))["giftcard"]["results"]
        assert [each["id"] for each in found] == [made["id"]]
    assert (await find(admin, "sametext", "PERSONAL"))["giftcard"]["results"] == []


async def test_cards_found_by_one_text_come_by_id(admin: Client) -> None:
    made = [await card(admin, externalCode="SAME"), await card(admin, physicalCode="SAME")]
    both = (await find(admin, "SAME"))["giftcard"]["results"]
    assert [each["id"] for each in both] == [each["id"] for each in made]


async def test_the_same_text_in_two_types_of_one_card_gives_it_once(admin: Client) -> None:
    made = await card(admin, physicalCode="SAME", externalCode="SAME")
    assert (await find(admin, "same"))["giftcard"]["results"] == [made]


async def test_what_looks_masked_can_be_no_code_and_finds_nothing(admin: Client) -> None:
    for text in ("*" * 12 + "1234", "**** **** ****-1234", "*" * 12, "*" * 40):
        for field in ("physicalCode", "externalCode"):
            answer = await add(admin, **{field: text})
            assert (answer.code, answer.field) == ("INVALID_INPUT", field)
        assert (await find(admin, text))["giftcard"]["results"] == []


async def test_a_pin_has_4_to_12_digits(admin: Client) -> None:
    for pin in NOT_PINS:
        answer = await add(admin, physicalCode="GC4928", physicalPin=pin)
        assert (pin, answer.code, answer.field) == (pin, "INVALID_INPUT", "physicalPin")
    for number, pin in enumerate(("0000", "012345678912")):
        assert (await add(admin, physicalCode=f"GC492{number}", physicalPin=pin)).code is None


async def test_what_belongs_to_a_code_is_refused_without_it(admin: Client) -> None:
    other = {"externalCode": "EX34802"}
    printed = {"physicalCode": "GC4928"}
    for facts, field in (
        ({**other, "physicalPin": "1234"}, "physicalPin"),
        ({**other, "physicalExpiresOn": "2999-01-01"}, "physicalExpiresOn"),
        ({**other, "personalExpiresOn": "2999-01-01"}, "personalExpiresOn"),
        ({**printed, "externalExpiresOn": "2999-01-01"}, "externalExpiresOn"),
    ):
        answer = await add(admin, **facts)
        assert (answer.code, answer.field) == ("INVALID_INPUT", field)
    assert (await listed(admin))["giftcard"]["results"] == []


async def test_a_personal_code_needs_a_member_who_exists(admin: Client) -> None:
    answer = await add(admin, addPersonalCode=True)
    assert (answer.code, answer.field) == ("MEMBER_REQUIRED", "memberId")
    answer = await add(admin, addPersonalCode=True, memberId="C-nobody")
    assert (answer.code, answer.field) == ("MEMBER_NOT_FOUND", "memberId")
    for nobody in ("", "x" * 65, "Cä", "C\n1"):
        answer = await add(admin, physicalCode="GC4928", memberId=nobody)
        assert (answer.code, answer.field) == ("INVALID_INPUT", "memberId")
    assert (await listed(admin))["giftcard"]["results"] == []


async def test_an_expiry_in_the_past_is_refused_and_today_is_not_past(
    admin: Client, clock: SetClock
) -> None:
    everything = {
        "physicalCode": "GC4928",
        "externalCode": "EX34802",
        "addPersonalCode": True,
        "memberId": await member(admin),
    }
    for field in ("expiresOn", "physicalExpiresOn", "personalExpiresOn", "externalExpiresOn"):
        answer = await add(admin, **everything, **{field: "2026-11-20"})
        assert (answer.code, answer.field) == ("PAST_EXPIRATION", field)
    assert (await listed(admin))["giftcard"]["results"] == []
    today = dict.fromkeys(("expiresOn", "physicalExpiresOn", "externalExpiresOn"), "2026-11-21")
    assert (await add(admin, **everything, **today)).code is None


async def test_a_day_ends_in_the_configured_time_zone(
    store: Store, client_with: MakeClient
) -> None:
    values = {**store.settings.model_dump(), "time_zone": "Pacific/Auckland"}
    store.settings = Settings(**values, _env_file=None)
    store.clock = SetClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))  # 22 November, 01:00
    caller = await client_with(*Permission)
    answer = await add(caller, physicalCode="GC4928", expiresOn="2026-11-21")
    assert answer.code == "PAST_EXPIRATION"
    made = await card(caller, physicalCode="GC4928", expiresOn="2026-11-22")
    store.clock.forward(hours=22, minutes=59)
    assert (await find(caller, "GC4928"))["giftcard"]["results"][0]["status"] == "NOT_ACTIVATED"
    store.clock.forward(minutes=1)  # midnight in Auckland, 11:00 on the 22nd in UTC
    assert (await find(caller, "GC4928"))["giftcard"]["results"][0]["status"] == "EXPIRED"
    expired = (await listed(caller, status="EXPIRED"))["giftcard"]["results"]
    assert [each["id"] for each in expired] == [made["id"]]


async def test_an_expired_code_is_still_listed_and_found(admin: Client, clock: SetClock) -> None:
    made = await card(admin, physicalCode="GC4928", physicalExpiresOn="2026-11-22")
    clock.forward(days=3)
    found = (await find(admin, "GC4928"))["giftcard"]["results"]
    assert found == [made]
    assert found[0]["codes"][0]["expiresOn"] == "2026-11-22"
    assert found[0]["status"] == "NOT_ACTIVATED"


async def test_a_note_has_1_to_1000_characters_and_lines(admin: Client) -> None:
    for note in ("", "x" * 1001, "bell\a", "null\x00", "\x85"):
        answer = await add(admin, physicalCode="GC4928", note=note)
        assert (note, answer.code, answer.field) == (note, "INVALID_INPUT", "note")
    for kept in ("é" * 1000, "a\r\n\tb", None):
        assert (await card(admin, note=kept))["note"] == kept


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels > 1 else {"a": 1}


@pytest.mark.parametrize(
    "bad",
    [
        {"a": "x" * 4_089},
        {"é" * 2_046: 1},
        nested(6),
        {"a": [[[[[1]]]]]},
        {"a": 2**53},
        {"a": [-(2**53)]},
        {"a": "\x00"},
        {"\x00": "a"},
    ],
    ids=lambda bad: str(bad)[:20],
)
async def test_metadata_beyond_its_bounds_is_refused(admin: Client, bad: dict[str, Any]) -> None:
    answer = await add(admin, physicalCode="GC4928", metadata=bad)
    assert (answer.code, answer.field) == ("INVALID_INPUT", "metadata")
    assert (await listed(admin))["giftcard"]["results"] == []


async def test_metadata_within_its_bounds_is_kept(admin: Client) -> None:
    edge = 2**53 - 1
    for fine in ({}, {"a": "x" * 4_088}, nested(5), {"a": [edge, -edge, 0.1, True, None, ""]}):
        assert (await card(admin, metadata=fine))["metadata"] == fine


async def test_metadata_that_is_no_object_does_not_fit(admin: Client) -> None:
    for value in ([], [{"a": 1}], "a", '{"a": 1}', 7, 1.5, True):
        answer = await add(admin, physicalCode="GC4928", metadata=value)
        assert answer.code == "GRAPHQL_VALIDATION_FAILED"
    assert (await listed(admin))["giftcard"]["results"] == []


async def test_metadata_with_a_number_beyond_json_is_refused(admin: Client) -> None:
    for number in ("1e999", "-1e999"):
        answer = await admin.run(
            f'mutation {{ giftcardAdd(giftcard: {{physicalCode: "GC4928", '
            f"metadata: {{a: {number}}}}}) {{ metadata }} }}"
        )
        assert answer.code in ("INVALID_INPUT", "GRAPHQL_VALIDATION_FAILED")
    assert (await listed(admin))["giftcard"]["results"] == []


async def test_a_refused_mutation_leaves_its_neighbours_answers(admin: Client) -> None:
    answer = await admin.run(
        """mutation {
            one: giftcardAdd(giftcard: {physicalCode: "GC49281"}) { codes { code } }
            two: giftcardAdd(giftcard: {physicalCode: "gc-49281"}) { codes { code } }
            three: giftcardAdd(giftcard: {physicalCode: "GC49283"}) { codes { code } }
        }"""
    )
    assert answer.code == "CODE_TAKEN"
    assert answer.errors[0]["path"] == ["two"]
    assert answer.body["data"] == {
        "one": {"codes": [{"code": "GC49281"}]},
        "two": None,
        "three": {"codes": [{"code": "GC49283"}]},
    }
    assert len((await listed(admin))["giftcard"]["results"]) == 2


async def test_making_a_card_needs_its_permission(client_with: MakeClient, admin: Client) -> None:
    others = await client_with(*(set(Permission) - {Permission.CREATE_GIFT_CARD}))
    answer = await add(others, physicalCode="GC4928")
    assert answer.code == "PERMISSION_DENIED"
    assert answer.errors[0]["extensions"]["permission"] == "CreateGiftCard"
    assert answer.body["data"] == {"giftcardAdd": None}
    assert (await listed(admin))["giftcard"]["results"] == []
