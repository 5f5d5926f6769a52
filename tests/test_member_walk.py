"""What a member's app gets: all of its own, and nothing of another member's, whatever it asks.

Which root fields a member's token opens is in `test_visibility`: none but `me`. Here every field
that can be reached from it is asked for, on every way.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import zxingcpp
from graphql import GraphQLObjectType, build_schema, get_named_type, is_leaf_type

from giftgql import schema
from giftgql.store import Store
from tests import factories, ordering
from tests.client import Client, Server
from tests.heirs import replace_on_use

DEEPEST = 5
"""Fields on a way below `me`: so deep a walk comes round to cards again. With 9 it takes a
minute, and finds no more."""

OWN, OTHER = "OWN-1", "CANARY-2"
CANARIES = ("canary", "4711.13", "4697.76", "13.37")
"""What only records of another member say: texts, and amounts that no sum of one's own comes to."""


@dataclass
class Found:
    """The records that answers told of, by their type, and the ids that they named."""

    ids: dict[str, set[str]] = field(default_factory=dict)
    named: dict[str, set[str]] = field(default_factory=dict)

    def add(self, value: Any) -> None:
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                self._add_record(each)

    def _add_record(self, record: dict[str, Any]) -> None:
        for name, value in record.items():
            if name == "id":
                self.ids.setdefault(record["__typename"], set()).add(value)
            elif name.endswith("Id") and value is not None:
                self.named.setdefault(name, set()).add(value)
            self.add(value)


def ways(of: GraphQLObjectType, gone: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """All ways from a type over fields of records, which take no field more than twice."""
    yield gone
    if len(gone) == DEEPEST:
        return
    for name, each in of.fields.items():
        below = get_named_type(each.type)
        if isinstance(below, GraphQLObjectType) and gone.count(name) < 2:
            yield from ways(below, (*gone, name))


def document(start: GraphQLObjectType, way: tuple[str, ...]) -> str:
    """All that the record at the end of a way says; on the way only who each is."""
    text, end = "", start
    for name in way:
        rows = "(first: 20)" if end.fields[name].args else ""
        named = " id" if "id" in end.fields else ""
        text += f"{{ __typename{named} {name}{rows} "
        end = _type_of(end, name)
    said = [name for name, each in end.fields.items() if is_leaf_type(get_named_type(each.type))]
    return f"{{ me {text}{{ __typename {' '.join(said)} }}{' }' * len(way)} }}"


def _type_of(of: GraphQLObjectType, name: str) -> GraphQLObjectType:
    found = get_named_type(of.fields[name].type)
    assert isinstance(found, GraphQLObjectType)
    return found


async def known(admin: Client, member_id: str, name: str) -> None:
    facts = {"name": name, "email": f"{name}@example.org", "phone": f"{name} 1"}
    await factories.member(admin, member_id, **facts, metadata={"about": name})


async def lives(store: Store, admin: Client, member_id: str, name: str, amounts: list[str]) -> Any:
    """What a member can have: codes, holds, refunds, a card that was replaced, and one with which
    another member's order was paid."""
    added, used = amounts
    card = await factories.funded(
        admin, added, memberId=member_id, addPersonalCode=True, physicalCode=f"GC-{name}-1"
    )
    spent = await factories.spend(admin, card, used, refNo=name, sourceId=name)
    factories.done(await factories.refund(admin, spent["id"], "0.01", refNo=name))
    await factories.hold(admin, card, "-0.02", refNo=name)
    settings = store.settings
    replace_on_use(store)
    heir = await factories.funded(
        admin, added, memberId=member_id, physicalCode=f"GC-{name}-2", note="of the staff"
    )
    await factories.spend(admin, heir, used)
    store.settings = settings
    paid = {"giftcards": ordering.paying(card), "memberId": OTHER}
    customer = {"name": "Canary", "email": "canary@example.org"}
    order = ordering.goods("0.03", name="Canary shoes")
    await ordering.placed(admin, order, **paid, customer=customer)
    return card


async def ids_of(admin: Client, member_id: str) -> dict[str, set[str]]:
    """What there is of a member."""
    answer = await admin.run(
        """query ($m: ID!) {
            giftcard(memberId: $m) { results { id codes { id } codeHistory { id } } }
            giftcardTrans(memberId: $m) { results { id } } }""",
        m=member_id,
    )
    cards, trans = answer["giftcard"]["results"], answer["giftcardTrans"]["results"]
    codes = [code for card in cards for code in (*card["codes"], *card["codeHistory"])]
    named = {
        "GiftCard": cards,
        "GiftCardTrans": trans,
        "Code": codes,
        "Member": [{"id": member_id}],
    }
    return {name: {each["id"] for each in records} for name, records in named.items()}


async def test_no_way_from_a_member_leads_to_anything_of_another_one(
    admin: Client, store: Store, server: Server
) -> None:
    await known(admin, OWN, "mine")
    await known(admin, OTHER, "canary")
    mine = await lives(store, admin, OWN, "mine", ["50.00", "-5.00"])
    theirs = await lives(store, admin, OTHER, "canary", ["4711.13", "-13.37"])
    for a, b in ((mine, theirs), (theirs, mine)):
        factories.done(await factories.transfer(admin, a["id"], b["id"], amount="0.04"))
    app = server.client(await factories.member_token(admin, OWN))
    member = build_schema(schema.build().as_str()).type_map["Member"]
    assert isinstance(member, GraphQLObjectType)

    found, asked = Found(), 0
    for way in ways(member):
        answer = await app.run(document(member, way))
        said = json.dumps(answer.body).lower()
        assert [each for each in CANARIES if each in said] == [], way
        if answer.errors:  # cards within cards, or more than a document may hold
            assert {each["extensions"]["code"] for each in answer.errors} == {
                "OPERATION_TOO_COMPLEX"
            }, (way, answer.body)
            assert "data" not in answer.body, way
            continue
        asked += 1
        found.add(answer["me"])
    own = await ids_of(admin, OWN)
    assert asked > 80
    assert {name: ids for name, ids in found.ids.items() if name in own} == own
    assert found.ids.keys() == own.keys(), "of products, orders and the like nothing is told"
    assert found.named.pop("memberId") == {OWN}
    assert found.named.keys() <= {"giftcardId", "relatedId", "replacedById", "sourceId"}
    assert found.named["giftcardId"] | found.named["replacedById"] <= own["GiftCard"]
    assert found.named["relatedId"] <= own["GiftCardTrans"]


def drawn(svg: str) -> Any:
    """The modules of a drawn QR code as pixels, each 4 wide."""
    size = int(re.findall(r'viewBox="0 0 (\d+) \1"', svg)[0])
    rows = [bytearray(b"\xff" * size * 4) for _ in range(size * 4)]
    x, y = 0, 0.0
    for step, right, down in re.findall(
        r"([Mmh])(-?\d+)(?: (-?[\d.]+))?", svg.rsplit('d="', maxsplit=1)[-1]
    ):
        if step == "h":
            for row in rows[int(y) * 4 : int(y) * 4 + 4]:
                row[x * 4 : (x + int(right)) * 4] = bytes(int(right) * 4)
        if step == "M":
            x, y = int(right), float(down)
        else:
            x, y = x + int(right), y + float(down or 0)
    return memoryview(b"".join(rows)).cast("B", [size * 4, size * 4])


async def test_a_member_s_codes_can_be_scanned_and_its_answers_are_kept_by_nobody(
    admin: Client, server: Server, store: Store
) -> None:
    owner = await factories.member(admin)
    card = await factories.card(admin, memberId=owner, addPersonalCode=True, physicalCode="GC-4928")
    query = """{ codes { code qrCode isMasked } codeHistory { qrCode } }"""
    app = server.client(await factories.member_token(admin, owner))
    headers = {"Authorization": f"Bearer {app.token}"}
    body = {"query": f"{{ me {{ giftcards {{ results {query} }} }} }}"}
    response = await app.http.post("/graphql", json=body, headers=headers)
    assert response.headers["cache-control"] == "no-store"
    assert not {"etag", "last-modified", "set-cookie"} & response.headers.keys()
    shown = response.json()
    assert response.content == json.dumps(shown, separators=(",", ":")).encode()
    (mine,) = shown["data"]["me"]["giftcards"]["results"]
    for code in mine["codes"]:
        (read,) = zxingcpp.read_barcodes(drawn(code["qrCode"]))
        assert read.text == code["code"]
    assert len(mine["codes"]) == 2
    store.settings = store.settings.model_copy(update={"max_rows": 1_000})
    five = " ".join(f"a{n}: qrCode" for n in range(5))
    many = f"{{ me {{ giftcards(first: 10) {{ results {{ codes {{ {five} }} }} }} }} }}"
    assert (await app.run(many)).code == "OPERATION_TOO_COMPLEX", "the tenth with the rows"

    await factories.edit(admin, card["id"], revokePhysicalCode=True)
    document = f"query ($id: ID!) {{ giftcard(id: $id) {{ results {query} }} }}"
    (seen,) = (await admin.run(document, id=card["id"]))["giftcard"]["results"]
    assert [(code["isMasked"], code["qrCode"]) for code in seen["codes"]] == [(True, None)]
    assert seen["codeHistory"] == [{"qrCode": None}]
