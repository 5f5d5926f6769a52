"""Cards that are replaced on use, for tests: made through the API, and looked at with what took
their places."""

from typing import Any

from giftgql.cards import mentions
from giftgql.choices import RedemptionStrategy
from giftgql.reports import service as reports
from giftgql.store import Store
from tests.client import Answer, Client
from tests.factories import code_of, done, funded, member

CODES = "codes { id codeType code isMasked } codeHistory { codeType code ending }"
CARD = f"""id memberId status balance held lifetimeTotal redeemed subtracted redeemedCount
    redemptionLimit expiresOn note metadata strategy productId poolId campaignId recipient {CODES}
    replacedBy {{ id balance {CODES} replaces {{ id }} replacedBy {{ id balance }} }}
    replaces {{ id codeHistory {{ code ending }} }}"""
TRANS = """id giftcardId transType status amount balance releasedAmount refundedAmount relatedId
    replacedById replacedBy { id balance codes { code isMasked } } keptWithoutAddress"""


def replace_on_use(store: Store) -> None:
    """From now on cards that no product says otherwise of are made to be replaced on use."""
    strategy = {"strategy": RedemptionStrategy.REPLACEMENT}
    store.settings = store.settings.model_copy(update=strategy)


async def owned(caller: Client, amount: str = "100.00", **facts: Any) -> dict[str, Any]:
    """A card with a printed code and an amount on it whose owner has an address."""
    owner = await member(caller, name="Ada", email="ada@example.org")
    return await funded(caller, amount, memberId=owner, **facts)


async def use(caller: Client, made: dict[str, Any], amount: str, **facts: Any) -> Answer:
    """Take an amount through a card's first code, `"-1.00"`."""
    wanted = {"code": code_of(made), "transType": "USE", "amount": amount, **facts}
    return await asked(caller, "giftcardTransAdd", wanted)


async def asked(caller: Client, mutation: str, given: dict[str, Any]) -> Answer:
    """Call a mutation of transactions; the answer tells what took the card's place."""
    kind = f"{mutation[0].upper()}{mutation[1:]}Input"
    query = f"mutation ($given: {kind}!) {{ {mutation}(trans: $given) {{ {TRANS} }} }}"
    return await caller.run(query, given=given)


async def capture(caller: Client, trans: dict[str, Any], amount: str, **facts: Any) -> Answer:
    return await asked(
        caller, "giftcardTransCapture", {"id": trans["id"], "amount": amount, **facts}
    )


async def trans(caller: Client, trans_id: str) -> dict[str, Any]:
    """A transaction as it is listed."""
    query = f"query ($id: ID!) {{ giftcardTrans(id: $id) {{ results {{ {TRANS} }} }} }}"
    [found] = (await caller.run(query, id=trans_id))["giftcardTrans"]["results"]
    return dict(found)


async def card(caller: Client, card_id: str) -> dict[str, Any]:
    """A card, with what took its place and whose place it took."""
    query = f"query ($id: ID!) {{ giftcard(id: $id) {{ results {{ {CARD} }} }} }}"
    [found] = (await caller.run(query, id=card_id))["giftcard"]["results"]
    return dict(found)


async def heir(store: Store, trans: dict[str, Any]) -> dict[str, Any]:
    """The card that has what a use left, with its code in clear as the mail brings it."""
    card_id = str(trans["replacedById"])
    async with store.read() as reading:
        code = await mentions.code_to_send(reading, int(card_id))
    assert code is not None
    return {"id": card_id, "codes": [{"code": code.clear}]}


async def replaced(caller: Client, store: Store, made: dict[str, Any], amount: str) -> Any:
    """Use a part of a card; the transaction, and the card that has the rest."""
    trans = done(await use(caller, made, amount))
    return trans, await heir(store, trans)


async def figures(caller: Client, card_id: str) -> tuple[Any, ...]:
    """Balance, lifetime total, redeemed, subtracted, and how often it was used."""
    found = await card(caller, card_id)
    names = ("balance", "lifetimeTotal", "redeemed", "subtracted", "redeemedCount")
    return tuple(found[name] for name in names)


async def mails(caller: Client) -> list[dict[str, Any]]:
    """The messages about replaced cards in the outbox."""
    query = '{ outbox(topic: "REPLACEMENT") { results { giftcardId address facts } } }'
    return list((await caller.run(query))["outbox"]["results"])


async def are_clean(store: Store) -> None:
    """What `giftgql verify` would find is nothing."""
    async with store.snapshot() as reading:
        assert await reports.check(reading) == []
