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
from tests.client import Client

_numbers = count(1)

CODES = "codes { id codeType code isMasked expiresOn endedAt ending }"
CARD = f"""id memberId currency status balance expiresOn note metadata createdAt modifiedAt
    {CODES} codeHistory {{ id codeType code isMasked endedAt ending }}"""


async def client(
    store: Store,
    *,
    permissions: Iterable[Permission] = (),
    roles: Iterable[str] = (),
    channel: Channel = Channel.IN_STORE,
) -> Credential:
    async with store.write() as tx:
        return await clients.add(
            tx,
            f"client {next(_numbers)}",
            permissions=[permission.value for permission in permissions],
            roles=roles,
            channel=channel,
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
