from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any

import strawberry

from giftgql.context import Context, Info
from giftgql.errors import InvalidInput, NotFound
from giftgql.fields import mutation, query, resolved
from giftgql.money import Money, is_currency, positive_minor
from giftgql.permissions import Permission
from giftgql.pools import models, service
from giftgql.pools.repository import Criteria
from giftgql.pools.service import PoolRules
from giftgql.products.api import (
    ExpirationInput,
    ExpirationView,
    GiftCardProduct,
    products_by_ids,
)
from giftgql.products.expiration import NEVER, Expiration
from giftgql.values import (
    First,
    Results,
    Since,
    Skip,
    argument,
    given,
    known_id,
    optional,
    record_id,
    results,
    text,
)


@strawberry.type(description="Ready-made cards under common rules.")
class GiftCardPool:
    id: strawberry.ID = strawberry.field(description="The pool's id.")
    name: str = strawberry.field(description="Its name for people.")
    system_name: str = strawberry.field(description="Its name for systems and in files.")
    product_id: strawberry.ID = strawberry.field(description="The product its cards are sold as.")
    currency: str = strawberry.field(description="ISO 4217 code of all its cards.")
    arbitrary_value: bool = strawberry.field(description="Whether each card has its own value.")
    face_value: Money | None = strawberry.field(description="What all its cards are worth.")
    partial_redemption: bool = strawberry.field(
        description="Whether a card may be spent in parts; if not, it is spent whole or not."
    )
    is_cvv_required: bool = strawberry.field(
        description="Whether every payment with one of its cards needs the card's CVV."
    )
    expiration: ExpirationView = strawberry.field(description="When its cards expire.")
    card_count: int = strawberry.field(description="How many cards it holds.")
    removed: bool = strawberry.field(description="Whether it was removed.")
    created_at: datetime = strawberry.field(description="When it was made, UTC.")
    modified_at: datetime = strawberry.field(description="When it last changed, UTC.")

    @resolved(description="The product its cards are sold as.")
    async def product(self, info: Info) -> GiftCardProduct | None:
        return await info.context.load(products_by_ids, int(self.product_id))

    @classmethod
    def of(cls, pool: models.Pool) -> "GiftCardPool":
        face = pool.face_value
        return cls(
            id=strawberry.ID(str(pool.id)),
            name=pool.name,
            system_name=pool.system_name,
            product_id=strawberry.ID(str(pool.product_id)),
            currency=pool.currency,
            arbitrary_value=face is None,
            face_value=None if face is None else Money(face, pool.currency),
            partial_redemption=pool.partial_redemption,
            is_cvv_required=pool.is_cvv_required,
            expiration=ExpirationView.of(Expiration.of(pool.expires_on, pool.expires_after)),
            card_count=pool.cards,
            removed=pool.removed_at is not None,
            created_at=pool.created_at,
            modified_at=pool.modified_at,
        )


async def pools_by_ids(context: Context, pool_ids: Sequence[int]) -> list[GiftCardPool | None]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        found = await service.by_ids(reading, pool_ids)
    return [GiftCardPool.of(found[each]) if each in found else None for each in pool_ids]


@strawberry.input(description="A pool to be made; its product is made with it.")
class GiftcardPoolAddInput:
    name: str = strawberry.field(description="1 to 55 characters.")
    system_name: str = strawberry.field(
        description="1 to 64 printable ASCII characters; `CONFLICT` where it is taken."
    )
    currency: str | None = optional("ISO 4217 code; the server's own by default.")
    arbitrary_value: bool = strawberry.field(
        default=False, description="Whether each card has its own value. Else `faceValue` is it."
    )
    face_value: Money | None = optional("What all cards are worth, more than 0.")
    partial_redemption: bool = strawberry.field(
        default=True, description="Whether a card may be spent in parts."
    )
    is_cvv_required: bool = strawberry.field(
        default=False, description="Whether every payment needs the card's CVV."
    )
    expiration: ExpirationInput | None = optional("By default cards do not expire.")

    def parsed(self, own_currency: str, today: date) -> PoolRules:
        currency = given(self.currency) or own_currency
        if not is_currency(currency):
            raise InvalidInput("currency", "is no ISO 4217 currency")
        face, expiration = given(self.face_value), given(self.expiration)
        if self.arbitrary_value == (face is not None):
            raise InvalidInput("faceValue", "or arbitraryValue is needed, not both")
        return PoolRules(
            name=text(self.name, "name", 55),
            system_name=system_name(self.system_name),
            currency=currency,
            face_value=None if face is None else positive_minor(str(face), currency, "faceValue"),
            partial_redemption=self.partial_redemption,
            is_cvv_required=self.is_cvv_required,
            expiration=expiration.parsed(today) if expiration else NEVER,
        )


@strawberry.input(
    description="Changes of a pool; what is left out stays. `POOL_FROZEN` where it holds cards "
    "and more than its name would change."
)
class GiftcardPoolEditInput:
    id: strawberry.ID = strawberry.field(description="The pool's id.")
    name: str | None = optional("1 to 55 characters.")
    system_name: str | None = optional("1 to 64 printable ASCII characters.")
    face_value: Money | None = optional("What all cards are worth; null: each has its own value.")
    partial_redemption: bool | None = optional("Whether a card may be spent in parts.")
    is_cvv_required: bool | None = optional("Whether every payment needs the card's CVV.")
    expiration: ExpirationInput | None = optional("When its cards expire.")

    def parsed(self, currency: str, today: date) -> dict[str, Any]:
        """The rules that are given; `currency` is the pool's, which never changes."""
        rules: dict[str, Any] = {}
        if given(self.name) is not None:
            rules["name"] = text(str(self.name), "name", 55)
        if given(self.system_name) is not None:
            rules["system_name"] = system_name(str(self.system_name))
        if self.face_value is not strawberry.UNSET:
            rules["face_value"] = self.face_value and positive_minor(
                str(self.face_value), currency, "faceValue"
            )
        for name in ("partial_redemption", "is_cvv_required"):
            if (wanted := given(getattr(self, name))) is not None:
                rules[name] = wanted
        if (expiration := given(self.expiration)) is not None:
            rules["expiration"] = expiration.parsed(today)
        return rules


@strawberry.input(description="An empty pool to be removed.")
class GiftcardPoolRemoveInput:
    id: strawberry.ID = strawberry.field(description="The pool's id.")


@strawberry.type
class PoolQuery:
    @query(
        requires=Permission.MANAGE_POOLS,
        description="Pools, by id or all. Removed ones come in a synchronisation only, as "
        "`removed`.",
    )
    async def giftcard_pool(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument("The pool's id.")] = None,
        system_name: Annotated[str | None, argument("Its name for systems.")] = None,
        first: First = 100,
        skip: Skip = 0,
        since: Since = None,
    ) -> Results[GiftCardPool] | None:
        criteria = Criteria(None if id is None else record_id(id) or 0, system_name)
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.page(reading, criteria, first=first, skip=skip, since=since)
        return results([GiftCardPool.of(each) for each in page.rows], page)


@strawberry.type
class PoolMutation:
    @mutation(requires=Permission.MANAGE_POOLS, description="Make a pool, and its product.")
    async def giftcard_pool_add(
        self, info: Info, pool: Annotated[GiftcardPoolAddInput, argument("The pool.")]
    ) -> GiftCardPool | None:
        reading = info.context.reading()
        wanted = pool.parsed(reading.settings.currency, reading.today)
        async with info.context.write() as tx:
            made = await service.add(tx, wanted)
        return GiftCardPool.of(made)

    @mutation(
        requires=Permission.MANAGE_POOLS,
        description="Change a pool, and its product with it. Its rules are frozen once it holds "
        "cards.",
    )
    async def giftcard_pool_edit(
        self, info: Info, pool: Annotated[GiftcardPoolEditInput, argument("The changes.")]
    ) -> GiftCardPool | None:
        wanted = known_id(pool.id, "id", "pool")
        async with info.context.read() as reading:
            found = await service.by_ids(reading, [wanted])
        if wanted not in found:
            raise NotFound("id", "pool")
        changes = pool.parsed(found[wanted].currency, reading.today)
        async with info.context.write() as tx:
            changed = await service.edit(tx, wanted, changes)
        return GiftCardPool.of(changed)

    @mutation(
        requires=Permission.MANAGE_POOLS,
        description="Remove an empty pool, and its product. `POOL_NOT_EMPTY` where it holds cards.",
    )
    async def giftcard_pool_remove(
        self, info: Info, pool: Annotated[GiftcardPoolRemoveInput, argument("The pool.")]
    ) -> GiftCardPool | None:
        async with info.context.write() as tx:
            removed = await service.remove(tx, known_id(pool.id, "id", "pool"))
        return GiftCardPool.of(removed)


def system_name(value: str) -> str:
    if not value.isascii() or value != value.strip():
        raise InvalidInput("systemName", "must be printable ASCII without spaces around it")
    return text(value, "systemName", 64)
