import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Any

import strawberry

from giftgql.choices import RedemptionStrategy
from giftgql.context import Context, Info
from giftgql.errors import InvalidInput, InvalidRange, NotFound
from giftgql.fields import mutation, query
from giftgql.money import Money, is_currency, positive_minor
from giftgql.permissions import Permission
from giftgql.products import service
from giftgql.products.expiration import NEVER, Expiration, ExpirationKind
from giftgql.products.models import ProductSort
from giftgql.products.repository import Criteria
from giftgql.products.service import NewProduct, Preset, ProductChange, ProductView, Range
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
    register,
    results,
    text,
)

MOST_PRESETS = 200

register("When cards expire.")(ExpirationKind)
register("What a list of products is ordered by.")(ProductSort)


@strawberry.type(name="Expiration", description="When cards expire.")
class ExpirationView:
    kind: ExpirationKind = strawberry.field(description="The kind of policy.")
    on: date | None = strawberry.field(description="`FIXED`: the last day of all cards.")
    after: str | None = strawberry.field(
        description="`RELATIVE`: an ISO 8601 period such as `P6M`, counted from the purchase."
    )

    @classmethod
    def of(cls, expiration: Expiration) -> "ExpirationView":
        return cls(kind=expiration.kind, on=expiration.on, after=expiration.after)


@strawberry.input(description="When cards expire: not, on a day, or a time after their purchase.")
class ExpirationInput:
    kind: ExpirationKind = strawberry.field(description="The kind of policy.")
    on: date | None = optional("Needed for `FIXED`: the last day, not in the past.")
    after: str | None = optional(
        "Needed for `RELATIVE`: an ISO 8601 period of years, months, weeks and days, `P1D` to "
        "`P100Y`. A day that a month does not have is its last one."
    )

    def parsed(self, today: date) -> Expiration:
        return Expiration.given(self.kind, given(self.on), given(self.after), today=today)


@strawberry.type(description="A fixed denomination.")
class PresetVariant:
    id: strawberry.ID = strawberry.field(description="The variant's id, for `giftcardIssue`.")
    price: Money = strawberry.field(description="What the buyer pays.")
    value: Money = strawberry.field(description="What is on the card then.")


@strawberry.type(description="A range that the buyer chooses a value from; the price is the value.")
class CustomVariant:
    id: strawberry.ID = strawberry.field(description="The variant's id, for `giftcardIssue`.")
    minimum: Money = strawberry.field(description="The smallest value.")
    maximum: Money = strawberry.field(description="The largest value.")


@strawberry.input(description="A fixed denomination. Price and value may differ.")
class PresetVariantInput:
    price: Money = strawberry.field(description="What the buyer pays, more than 0.")
    value: Money = strawberry.field(description="What is on the card then, more than 0.")


@strawberry.input(description="A range for the buyer to choose from: the minimum is smaller.")
class CustomVariantInput:
    minimum: Money = strawberry.field(description="The smallest value, more than 0.")
    maximum: Money = strawberry.field(description="The largest value.")


@strawberry.type(description="A template of gift cards that can be bought.")
class GiftCardProduct:
    id: strawberry.ID = strawberry.field(description="The product's id.")
    name: str = strawberry.field(description="Its name.")
    description: str | None = strawberry.field(description="What is said of it.")
    image_url: str | None = strawberry.field(description="Where its image is.")
    currency: str = strawberry.field(description="ISO 4217 code of all its amounts.")
    presets: list[PresetVariant] = strawberry.field(description="Its fixed denominations.")
    custom: CustomVariant | None = strawberry.field(description="Its range to choose from.")
    expiration: ExpirationView = strawberry.field(description="When its cards expire.")
    active: bool = strawberry.field(description="Whether it can be sold.")
    automatic: bool = strawberry.field(description="Whether it is a pool's, made with it.")
    strategy: RedemptionStrategy = strawberry.field(
        description="What becomes of what a use leaves on its cards."
    )
    revision: int = strawberry.field(description="Goes up with each change; needed to change it.")
    removed: bool = strawberry.field(description="Whether it was removed; its cards were not.")
    created_at: datetime = strawberry.field(description="When it was made, UTC.")
    modified_at: datetime = strawberry.field(description="When it last changed, UTC.")

    @classmethod
    def of(cls, view: ProductView) -> "GiftCardProduct":
        product = view.product

        def money(minor: int | None) -> Money:
            return Money(minor or 0, product.currency)

        chosen = next((each for each in view.variants if each.is_custom), None)
        return cls(
            id=strawberry.ID(str(product.id)),
            name=product.name,
            description=product.description,
            image_url=product.image_url,
            currency=product.currency,
            presets=[
                PresetVariant(
                    id=strawberry.ID(str(each.id)), price=money(each.price), value=money(each.value)
                )
                for each in view.variants
                if not each.is_custom
            ],
            custom=None
            if chosen is None
            else CustomVariant(
                id=strawberry.ID(str(chosen.id)),
                minimum=money(chosen.minimum),
                maximum=money(chosen.maximum),
            ),
            expiration=ExpirationView.of(view.expiration),
            active=product.is_active,
            automatic=product.is_automatic,
            strategy=product.strategy,
            revision=product.revision,
            removed=product.removed_at is not None,
            created_at=product.created_at,
            modified_at=product.modified_at,
        )


async def products_by_ids(
    context: Context, product_ids: Sequence[int]
) -> list[GiftCardProduct | None]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        found = await service.by_ids(reading, product_ids)
    return [GiftCardProduct.of(found[each]) if each in found else None for each in product_ids]


class _ProductFacts:
    """What adding and editing a product have in common."""

    name: str | None
    description: str | None
    image_url: str | None
    strategy: RedemptionStrategy | None

    def facts(self) -> dict[str, Any]:
        """The facts that are given, read."""
        facts: dict[str, Any] = {}
        if given(self.name) is not None:
            facts["name"] = text(str(self.name), "name", 55)
        if self.description is not strawberry.UNSET:
            facts["description"] = self.description and text(
                self.description, "description", 3_000, lines=True
            )
        if self.image_url is not strawberry.UNSET:
            facts["image_url"] = self.image_url and _image_url(self.image_url)
        if given(self.strategy) is not None:
            facts["strategy"] = self.strategy
        return facts


@strawberry.input(description="A product to be made. `NO_VARIANTS` without a preset or a range.")
class GiftcardProductAddInput(_ProductFacts):
    name: str = strawberry.field(description="1 to 55 characters.")
    description: str | None = optional("Up to 3,000 characters.")
    image_url: str | None = optional("An http(s) address, up to 2,000 characters.")
    currency: str | None = optional("ISO 4217 code; the server's own by default.")
    presets: list[PresetVariantInput] | None = optional("Up to 200 fixed denominations.")
    custom: CustomVariantInput | None = optional("A range to choose from.")
    expiration: ExpirationInput | None = optional("By default cards do not expire.")
    active: bool = strawberry.field(default=True, description="Whether it can be sold.")
    strategy: RedemptionStrategy | None = optional(
        "What becomes of what a use leaves on its cards; by default as the settings say."
    )

    def parsed(self, own_currency: str, today: date) -> NewProduct:
        currency = given(self.currency) or own_currency
        if not is_currency(currency):
            raise InvalidInput("currency", "is no ISO 4217 currency")
        expiration = given(self.expiration)
        custom = given(self.custom)
        return NewProduct(
            **self.facts(),
            currency=currency,
            presets=_presets(given(self.presets) or [], currency),
            custom=None if custom is None else _range(custom, currency),
            expiration=expiration.parsed(today) if expiration else NEVER,
            is_active=self.active,
        )


@strawberry.input(
    description="Changes of a product. What is left out stays. Presets that are given replace all "
    "there were; one with the same price and value keeps its id."
)
class GiftcardProductEditInput(_ProductFacts):
    id: strawberry.ID = strawberry.field(description="The product's id.")
    revision: int = strawberry.field(
        description="The revision that was read; `STALE_REVISION` where it is no longer that."
    )
    name: str | None = optional("1 to 55 characters.")
    description: str | None = optional("Up to 3,000 characters; null empties it.")
    image_url: str | None = optional("An http(s) address; null empties it.")
    presets: list[PresetVariantInput] | None = optional("All fixed denominations; null: none.")
    custom: CustomVariantInput | None = optional("The range to choose from; null: none.")
    expiration: ExpirationInput | None = optional("For cards sold from now on.")
    active: bool | None = optional("Whether it can be sold.")
    strategy: RedemptionStrategy | None = optional("For cards sold from now on.")

    def parsed(self, currency: str, today: date) -> ProductChange:
        """`currency` is the product's, which never changes."""
        facts = self.facts()
        if given(self.active) is not None:
            facts["is_active"] = self.active
        expiration, custom = given(self.expiration), given(self.custom)
        sets_presets = self.presets is not strawberry.UNSET
        return ProductChange(
            product_id=known_id(self.id, "id", "product"),
            revision=self.revision,
            facts=facts,
            expiration=expiration.parsed(today) if expiration else None,
            presets=_presets(given(self.presets) or [], currency) if sets_presets else None,
            custom=None if custom is None else _range(custom, currency),
            sets_custom=self.custom is not strawberry.UNSET,
        )


@strawberry.input(description="A product to be removed.")
class GiftcardProductRemoveInput:
    id: strawberry.ID = strawberry.field(description="The product's id.")


@strawberry.type
class ProductQuery:
    @query(
        requires=(
            *(Permission.MANAGE_PRODUCTS, Permission.CREATE_GIFT_CARD, Permission.CREATE_ORDER),
        ),
        description="Products, by id or all that fit. Removed ones come in a synchronisation "
        "only, as `removed`.",
    )
    async def giftcard_product(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument("The product's id.")] = None,
        name: Annotated[str | None, argument("A part of the name, in whatever case.")] = None,
        active: Annotated[bool | None, argument("Whether it can be sold.")] = None,
        currency: Annotated[str | None, argument("ISO 4217 code.")] = None,
        sort: Annotated[
            ProductSort | None, argument("The order; not with `since`. By default `ID`.")
        ] = None,
        descending: Annotated[bool, argument("The other way round; not with `since`.")] = False,
        first: First = 100,
        skip: Skip = 0,
        since: Since = None,
    ) -> Results[GiftCardProduct] | None:
        if since is not None and (sort is not None or descending):
            raise InvalidInput("sort", "does not go with since, which has its own order")
        criteria = Criteria(
            product_id=None if id is None else record_id(id) or 0,
            name=None if name is None else text(name, "name", 55),
            is_active=active,
            currency=currency,
            sort=sort or ProductSort.ID,
            descending=descending,
        )
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.page(reading, criteria, first=first, skip=skip, since=since)
        return results([GiftCardProduct.of(each) for each in page.rows], page)


@strawberry.type
class ProductMutation:
    @mutation(requires=Permission.MANAGE_PRODUCTS, description="Make a product.")
    async def giftcard_product_add(
        self, info: Info, product: Annotated[GiftcardProductAddInput, argument("The product.")]
    ) -> GiftCardProduct | None:
        reading = info.context.reading()
        new = product.parsed(reading.settings.currency, reading.today)
        async with info.context.write() as tx:
            view = await service.add(tx, new)
        return GiftCardProduct.of(view)

    @mutation(
        requires=Permission.MANAGE_PRODUCTS,
        description="Change a product. Cards already sold keep what they were sold with. "
        "`STALE_REVISION` where it has changed since it was read.",
    )
    async def giftcard_product_edit(
        self, info: Info, product: Annotated[GiftcardProductEditInput, argument("The changes.")]
    ) -> GiftCardProduct | None:
        wanted = known_id(product.id, "id", "product")
        async with info.context.read() as reading:
            found = await service.by_ids(reading, [wanted])
        if wanted not in found:
            raise NotFound("id", "product")
        change = product.parsed(found[wanted].product.currency, reading.today)
        async with info.context.write() as tx:
            view = await service.edit(tx, change)
        return GiftCardProduct.of(view)

    @mutation(
        requires=Permission.MANAGE_PRODUCTS,
        description="Remove a product. Its cards are not touched.",
    )
    async def giftcard_product_remove(
        self,
        info: Info,
        product: Annotated[GiftcardProductRemoveInput, argument("The product.")],
    ) -> GiftCardProduct | None:
        async with info.context.write() as tx:
            view = await service.remove(tx, known_id(product.id, "id", "product"))
        return GiftCardProduct.of(view)


def _presets(given_: Sequence[PresetVariantInput], currency: str) -> list[Preset]:
    if len(given_) > MOST_PRESETS:
        raise InvalidInput("presets", f"are more than {MOST_PRESETS}")
    found = [
        Preset(
            positive_minor(str(each.price), currency, "presets.price"),
            positive_minor(str(each.value), currency, "presets.value"),
        )
        for each in given_
    ]
    if len(set(found)) < len(found):
        raise InvalidInput("presets", "has the same price and value twice")
    return found


def _range(given_: CustomVariantInput, currency: str) -> Range:
    minimum = positive_minor(str(given_.minimum), currency, "custom.minimum")
    maximum = positive_minor(str(given_.maximum), currency, "custom.maximum")
    if minimum >= maximum:
        raise InvalidRange("custom")
    return Range(minimum, maximum)


def _image_url(value: str) -> str:
    address = text(value, "imageUrl", 2_000)
    if not re.fullmatch(r"https?:/{2}[^/\s]\S*", address):
        raise InvalidInput("imageUrl", "is no http(s) address")
    return address
