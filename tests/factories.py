"""Records for tests, made through the services: a factory makes nothing that the program cannot."""

from collections.abc import Iterable
from itertools import count
from typing import Any

from giftgql.cards import service as cards
from giftgql.cards.service import NewCard, NewCode
from giftgql.clients import service as clients
from giftgql.clients.service import Credential
from giftgql.codes import CodeType
from giftgql.permissions import Channel, Permission
from giftgql.store import Store
from tests.client import Answer, Client

_numbers = count(1)

CODES = "codes { id codeType code isMasked expiresOn endedAt ending }"
CARD = f"""id memberId currency status balance expiresOn note metadata createdAt modifiedAt
    {CODES} codeHistory {{ id codeType code isMasked endedAt ending }}"""
MONEY = "id currency status balance held lifetimeTotal redeemed subtracted expiresOn"
TRANS = """id giftcardId transType status amount requestedAmount balance currency capturedAmount
    releasedAmount refundedAmount authorizedUntil relatedId error sourceId refNo reason caller
    createdAt endedAt"""


async def client(
    store: Store,
    *,
    permissions: Iterable[Permission] = (),
    roles: Iterable[str] = (),
    channel: Channel = Channel.IN_STORE,
    only_trusted: bool = False,
) -> Credential:
    async with store.write() as tx:
        return await clients.add(
            tx,
            f"client {next(_numbers)}",
            permissions=[permission.value for permission in permissions],
            roles=roles,
            channel=channel,
            only_trusted=only_trusted,
        )


async def member(caller: Client, member_id: str | None = None, **facts: Any) -> str:
    """Add a member; returns its id."""
    member_id = member_id or f"C{next(_numbers):09}"
    answer = await caller.run(
        "mutation ($m: MemberAddInput!) { memberAdd(member: $m) { id } }",
        m={"id": member_id, **facts},
    )
    return str(answer["memberAdd"]["id"])


async def card(caller: Client, **facts: Any) -> dict[str, Any]:
    """Add a card, with a physical code of its own if nothing else is given; returns it."""
    if not {"physicalCode", "externalCode", "addPersonalCode"} & facts.keys():
        facts["physicalCode"] = f"GC{next(_numbers):08}"
    return dict((await add(caller, **facts))["giftcardAdd"])


async def add(caller: Client, **facts: Any) -> Any:
    """Add a card; returns the answer."""
    return await caller.run(
        f"mutation ($g: GiftcardAddInput!) {{ giftcardAdd(giftcard: $g) {{ {CARD} }} }}", g=facts
    )


async def digital(store: Store, member_id: str | None = None) -> str:
    """A card with a digital code, which campaigns and orders will sell; returns its id."""
    code = NewCode(CodeType.DIGITAL, "digital")
    async with store.write() as tx:
        view = await cards.add(tx, NewCard([code], currency="EUR", member_id=member_id))
    return str(view.card.id)


async def edit(caller: Client, card_id: str, **facts: Any) -> Any:
    """Edit a card; returns the answer."""
    return await caller.run(
        f"mutation ($g: GiftcardEditInput!) {{ giftcardEdit(giftcard: $g) {{ {CARD} }} }}",
        g={"id": card_id, **facts},
    )


async def find(caller: Client, code: str, code_type: str | None = None) -> Any:
    """Look a card up by a code; returns the answer."""
    return await caller.run(
        "query ($c: String!, $t: CodeType) { giftcard(code: $c, codeType: $t) "
        f"{{ limitedByPermission hasMoreResults until results {{ {CARD} }} }} }}",
        c=code,
        t=code_type,
    )


async def listed(caller: Client, **arguments: Any) -> Any:
    """List cards: `await listed(admin, memberId=…, first=…)`; returns the answer."""
    return await caller.run(
        """query ($id: ID, $memberId: ID, $status: CardStatus, $lastFour: String,
                  $expiresBefore: Date, $first: Int! = 100, $skip: Int! = 0, $since: String) {
            giftcard(id: $id, memberId: $memberId, status: $status, lastFour: $lastFour,
                     expiresBefore: $expiresBefore, first: $first, skip: $skip, since: $since) """
        f"{{ limitedByPermission hasMoreResults until results {{ {CARD} }} }} }}",
        **arguments,
    )


async def member_token(caller: Client, member_id: str) -> str:
    """Mint a token for a member; returns it."""
    answer = await caller.run(
        "mutation ($id: ID!) { memberTokenAdd(member: {id: $id}) { token } }", id=member_id
    )
    return str(answer["memberTokenAdd"]["token"])


async def funded(caller: Client, amount: str = "10.00", **facts: Any) -> dict[str, Any]:
    """Add a card with an amount on it; returns it as it was before."""
    made = await card(caller, **facts)
    await top_up(caller, made, amount)
    return made


def code_of(made: dict[str, Any]) -> str:
    """The first code of a card."""
    return str(made["codes"][0]["code"])


async def money(caller: Client, card_id: str) -> dict[str, Any]:
    """What a card shows of its money."""
    query = f"query ($id: ID!) {{ giftcard(id: $id) {{ results {{ {MONEY} }} }} }}"
    [found] = (await caller.run(query, id=card_id))["giftcard"]["results"]
    return dict(found)


async def trans(caller: Client, **facts: Any) -> Answer:
    """Move money or authorise it; returns the answer."""
    return await _change(caller, "giftcardTransAdd", facts)


async def top_up(caller: Client, made: dict[str, Any], amount: str, **facts: Any) -> dict[str, Any]:
    """Add funds through a card's first code; returns the transaction."""
    return done(await trans(caller, code=code_of(made), transType="ADD", amount=amount, **facts))


async def spend(caller: Client, made: dict[str, Any], amount: str, **facts: Any) -> dict[str, Any]:
    """Take funds through a card's first code, "-1.00"; returns the transaction."""
    return done(await trans(caller, code=code_of(made), transType="USE", amount=amount, **facts))


async def hold(caller: Client, made: dict[str, Any], amount: str, **facts: Any) -> dict[str, Any]:
    """Authorise an amount through a card's first code, of either sign; returns it."""
    kind = "USE" if amount.startswith("-") else "ADD"
    facts = {"transType": kind, "amount": amount, "authorizeOnly": True, **facts}
    return done(await trans(caller, code=code_of(made), **facts))


async def capture(caller: Client, trans_id: str, amount: str | None = None, **facts: Any) -> Answer:
    """Capture an authorisation; returns the answer."""
    given = {"id": trans_id, "amount": amount, **facts}
    return await _change(caller, "giftcardTransCapture", given)


async def cancel(caller: Client, trans_id: str, **facts: Any) -> Answer:
    """Cancel an authorisation; returns the answer."""
    return await _change(caller, "giftcardTransCancel", {"id": trans_id, **facts})


async def undo(caller: Client, key: str, **facts: Any) -> Answer:
    """Undo whatever an idempotency key of the caller did; returns the answer."""
    return await _change(caller, "giftcardTransCancel", {"ofKey": key, **facts})


async def refund(caller: Client, trans_id: str, amount: str | None = None, **facts: Any) -> Answer:
    """Refund a transaction; returns the answer."""
    given = {"id": trans_id, "amount": amount, **facts}
    return await _change(caller, "giftcardTransRefund", given)


async def transfer(caller: Client, from_id: str, to_id: str, **facts: Any) -> Answer:
    """Move funds from one card to another; returns the answer."""
    given = {"id": from_id, "toId": to_id, **facts}
    return await _change(caller, "giftcardTransfer", given, of="giftcard")


async def stand(caller: Client, change: str, card_id: str, **facts: Any) -> Answer:
    """Change what stops a card: `await stand(admin, "Block", card["id"])`; returns the answer."""
    given = {"id": card_id, "reason": f"a reason to {change}", **facts}
    return await _change(caller, f"giftcard{change}", given, of="giftcard", shown=MONEY)


async def movements(caller: Client, **arguments: Any) -> list[dict[str, Any]]:
    """Transactions: `await movements(admin, giftcardId=…, status=…)`."""
    answer = await listed_trans(caller, **arguments)
    return list(answer["giftcardTrans"]["results"])


async def listed_trans(caller: Client, **arguments: Any) -> Answer:
    """List transactions; returns the answer."""
    return await caller.run(
        """query ($id: ID, $giftcardId: ID, $code: String, $codeType: CodeType, $memberId: ID,
                  $status: TransStatus, $transType: MovementType, $sourceId: String,
                  $refNo: String, $begins: DateTime, $ends: DateTime,
                  $first: Int! = 100, $skip: Int! = 0, $since: String) {
            giftcardTrans(id: $id, giftcardId: $giftcardId, code: $code, codeType: $codeType,
                          memberId: $memberId, status: $status, transType: $transType,
                          sourceId: $sourceId, refNo: $refNo, begins: $begins, ends: $ends,
                          first: $first, skip: $skip, since: $since) """
        f"{{ limitedByPermission hasMoreResults until results {{ {TRANS} }} }} }}",
        **arguments,
    )


async def balance(caller: Client, code: str, **facts: Any) -> Answer:
    """Check a balance for a card's holder; returns the answer."""
    return await caller.run(
        """query ($code: String!, $codeType: CodeType, $pin: String, $cvv: String) {
            giftcardBalance(code: $code, codeType: $codeType, pin: $pin, cvv: $cvv)
                { balance currency status expiresOn } }""",
        code=code,
        **facts,
    )


def done(answer: Answer) -> dict[str, Any]:
    """The record that an answer with one field holds: all went well."""
    assert not answer.errors, answer.errors
    [record] = answer.body["data"].values()
    return dict(record)


async def _change(
    caller: Client, name: str, given: dict[str, Any], *, of: str = "trans", shown: str = TRANS
) -> Answer:
    kind = f"{name[0].upper()}{name[1:]}Input"
    query = f"mutation ($given: {kind}!) {{ {name}({of}: $given) {{ {shown} }} }}"
    return await caller.run(query, given=given)
