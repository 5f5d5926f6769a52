"""Products, pools, campaigns and issued cards for tests, made through the API."""

from typing import Any

from giftgql import work
from giftgql.cards import bulk
from giftgql.cards.bulk import NewCard
from giftgql.codes import CodeText, CodeType
from giftgql.ledger.orders import Funds
from giftgql.money import minor
from giftgql.pools import service as pools
from giftgql.store import Store
from tests.client import Answer, Client
from tests.factories import done

PRODUCT = """id name description imageUrl currency active automatic revision removed
    presets { id price value } custom { id minimum maximum } expiration { kind on after }"""
POOL = """id name systemName productId currency arbitraryValue faceValue partialRedemption
    isCvvRequired cardCount removed expiration { kind on after }"""
CAMPAIGN = """id name status progress { done total } count value currency codeType usableOnline
    codeConfig { length charset prefix postfix pattern } startsOn expiration { kind on after }
    startsActivated pinLength redemptionLimit"""
CARD = """id status currency balance lifetimeTotal redeemed subtracted expiresOn memberId productId
    poolId campaignId purchasedOn faceValue validFrom redemptionLimit redeemedCount removed
    recipient codes { codeType code isMasked }"""


async def change(caller: Client, name: str, of: str, shown: str, /, **given: Any) -> Answer:
    """Call a mutation with its one input; returns the answer."""
    kind = f"{name[0].upper()}{name[1:]}Input"
    query = f"mutation ($given: {kind}!) {{ {name}({of}: $given) {{ {shown} }} }}"
    return await caller.run(query, given=given)


async def product(caller: Client, **given: Any) -> dict[str, Any]:
    """Make a product, with one preset of 50 if nothing is said of variants; returns it."""
    if not {"presets", "custom"} & given.keys():
        given["presets"] = [{"price": "50.00", "value": "50.00"}]
    wanted = {"name": "A gift", **given}
    return done(await change(caller, "giftcardProductAdd", "product", PRODUCT, **wanted))


async def pool(caller: Client, **given: Any) -> dict[str, Any]:
    """Make a pool of cards of 50, if nothing else is said; returns it."""
    if not {"faceValue", "arbitraryValue"} & given.keys():
        given["faceValue"] = "50.00"
    wanted = {"name": "Boxes", "systemName": "boxes", **given}
    return done(await change(caller, "giftcardPoolAdd", "pool", POOL, **wanted))


async def campaign(caller: Client, **given: Any) -> dict[str, Any]:
    """Have cards made; returns the campaign as it is before they are."""
    wanted = {"name": "Gift cards October", "count": 5, "value": "100.00", **given}
    return done(await change(caller, "giftcardCampaignAdd", "campaign", CAMPAIGN, **wanted))


async def issue(caller: Client, product_: dict[str, Any], **given: Any) -> Answer:
    """Issue a card of a product, its first preset if nothing is said; returns the answer."""
    if not {"variantId", "value"} & given.keys() and product_.get("presets"):
        given["variantId"] = product_["presets"][0]["id"]
    wanted = {"productId": product_["id"], **given}
    return await change(caller, "giftcardIssue", "giftcard", CARD, **wanted)


async def cards(caller: Client, **arguments: Any) -> list[dict[str, Any]]:
    """Cards: `await cards(admin, campaignId=…)`."""
    kinds = {"status": "CardStatus", "since": "String"}
    asked = "".join(f", ${name}: {kinds.get(name, 'ID')}" for name in arguments)
    passed = "".join(f", {name}: ${name}" for name in arguments)
    query = f"""query ($first: Int! = 1000{asked}) {{
        giftcard(first: $first{passed}) {{ results {{ {CARD} }} }} }}"""
    return list((await caller.run(query, **arguments))["giftcard"]["results"])


async def stocked(
    store: Store,
    pool_: dict[str, Any],
    count: int = 1,
    *,
    value: str = "50.00",
    cvv: str | None = None,
    begin: str = "BOX",
) -> list[str]:
    """Put free cards into a pool, as an import does; returns their codes."""
    codes = [f"{begin}{number:06}" for number in range(count)]
    async with store.write() as tx:
        held = (await pools.held(tx, [pool_["systemName"]]))[pool_["systemName"]]
        assert held.id is not None
        new = [
            NewCard(
                code=CodeText(code),
                kind=CodeType.PHYSICAL,
                funds=Funds(
                    id=0,
                    currency=held.currency,
                    whole_only=not held.partial_redemption,
                    valid_until=tx.end_of(held.expires_on),
                    validity=held.expires_after,
                    opens_with=minor(value, held.currency),
                ),
                cvv=cvv,
                needs_pin=True,
                needs_cvv=held.is_cvv_required,
                is_free=True,
                pool_id=held.id,
            )
            for code in codes
        ]
        ready = bulk.prepared(store.vault, new, *await bulk.reserve(tx, count))
        assert not any(await bulk.add(tx, ready))
        await pools.count(tx, held.id, count)
    return codes


async def generated(store: Store, caller: Client, **given: Any) -> dict[str, Any]:
    """A campaign whose cards are made; returns it."""
    made = await campaign(caller, **given)
    await work.do_all(store)
    return await campaign_now(caller, made)


async def campaign_now(caller: Client, made: dict[str, Any]) -> dict[str, Any]:
    """A campaign as it is by now."""
    query = f"query ($id: ID!) {{ giftcardCampaign(id: $id) {{ results {{ {CAMPAIGN} }} }} }}"
    [found] = (await caller.run(query, id=made["id"]))["giftcardCampaign"]["results"]
    return dict(found)


async def publish(caller: Client, made: dict[str, Any], **given: Any) -> Answer:
    """Give a member a card of a campaign: `memberId=…, sourceId=…`; returns the answer."""
    wanted = {"campaignId": made["id"], **given}
    return await change(caller, "giftcardPublish", "giftcard", CARD, **wanted)


async def remove(caller: Client, card_id: str) -> Answer:
    """Remove a card; returns the answer."""
    return await change(
        caller, "giftcardRemove", "giftcard", CARD, id=card_id, reason="it was lost"
    )
