from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated

import strawberry

from giftgql.campaigns import models, service
from giftgql.campaigns.code_config import CodeConfig
from giftgql.campaigns.models import CampaignStatus
from giftgql.campaigns.repository import Criteria
from giftgql.campaigns.service import MOST_CARDS, NewCampaign
from giftgql.codes import CodeType
from giftgql.context import Context, Info
from giftgql.errors import InvalidInput
from giftgql.fields import mutation, query
from giftgql.jobs.api import Progress
from giftgql.money import Money, is_currency, positive_minor
from giftgql.permissions import Permission
from giftgql.products.api import ExpirationInput, ExpirationView
from giftgql.products.expiration import NEVER
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

SHORTEST_PIN, LONGEST_PIN = 4, 12
MOST_REDEMPTIONS = 1_000_000

register("How far a campaign is.")(CampaignStatus)


@strawberry.type(name="CodeConfig", description="What the codes of a campaign look like.")
class CodeConfigView:
    length: int = strawberry.field(description="How many characters the pattern has.")
    charset: str = strawberry.field(description="What the random characters are taken from.")
    prefix: str | None = strawberry.field(description="What each code begins with.")
    postfix: str | None = strawberry.field(description="What each code ends with.")
    pattern: str = strawberry.field(
        description="What stands between prefix and postfix: each `#` is a random character."
    )

    @classmethod
    def of(cls, config: CodeConfig) -> "CodeConfigView":
        return cls(
            length=config.length,
            charset=config.charset,
            prefix=config.prefix or None,
            postfix=config.postfix or None,
            pattern=config.pattern,
        )


@strawberry.input(description="What the codes of a campaign look like.")
class CodeConfigInput:
    length: int | None = optional("How many characters are random, by default 8.")
    charset: str | None = optional(
        "What they are taken from, by default the 62 letters and digits. Characters that read as "
        "the same in a code (a and A) are one; duplicates do not count."
    )
    prefix: str | None = optional("What each code begins with.")
    postfix: str | None = optional("What each code ends with.")
    pattern: str | None = optional(
        "In place of `length`: each `#` is a random character, all others stand for themselves."
    )

    def parsed(self) -> CodeConfig:
        return CodeConfig.read(
            length=given(self.length),
            charset=given(self.charset),
            prefix=given(self.prefix),
            postfix=given(self.postfix),
            pattern=given(self.pattern),
        )


@strawberry.type(description="Cards of one value that the server makes.")
class GiftCardCampaign:
    id: strawberry.ID = strawberry.field(description="The campaign's id.")
    name: str = strawberry.field(description="Its name.")
    status: CampaignStatus = strawberry.field(description="How far it is.")
    progress: Progress = strawberry.field(description="How many of its cards are made, how fast.")
    count: int = strawberry.field(description="How many cards it is to have.")
    value: Money = strawberry.field(description="What each card is worth.")
    currency: str = strawberry.field(description="ISO 4217 code of its cards.")
    code_type: CodeType = strawberry.field(description="The type of its codes.")
    code_config: CodeConfigView = strawberry.field(description="What its codes look like.")
    usable_online: bool = strawberry.field(
        description="Whether `ONLINE` clients can take funds by its codes: long ones, or together "
        "with their PIN. Codes with less than 64 random bits can be guessed."
    )
    starts_on: date | None = strawberry.field(description="The first day on which cards can pay.")
    expiration: ExpirationView = strawberry.field(description="When its cards expire.")
    starts_activated: bool = strawberry.field(
        description="Whether cards have their value from the beginning."
    )
    pin_length: int | None = strawberry.field(description="How many digits the PINs have.")
    redemption_limit: int | None = strawberry.field(
        description="How often each card can be redeemed; null: as often as it has funds."
    )
    created_at: datetime = strawberry.field(description="When it was added, UTC.")
    modified_at: datetime = strawberry.field(description="When it last changed, UTC.")

    @classmethod
    def of(cls, campaign: models.Campaign) -> "GiftCardCampaign":
        config = service.config(campaign)
        has_pin = campaign.pin_length is not None
        return cls(
            id=strawberry.ID(str(campaign.id)),
            name=campaign.name,
            status=campaign.status,
            progress=Progress(
                done=campaign.made, total=campaign.count, subject=service.subject(campaign)
            ),
            count=campaign.count,
            value=Money(campaign.value, campaign.currency),
            currency=campaign.currency,
            code_type=campaign.code_type,
            code_config=CodeConfigView.of(config),
            usable_online=has_pin or not service.needs_pin(campaign),
            starts_on=campaign.starts_on,
            expiration=ExpirationView.of(service.expiration(campaign)),
            starts_activated=campaign.is_activated,
            pin_length=campaign.pin_length,
            redemption_limit=campaign.redemption_limit,
            created_at=campaign.created_at,
            modified_at=campaign.modified_at,
        )


async def campaigns_by_ids(
    context: Context, campaign_ids: Sequence[int]
) -> list[GiftCardCampaign | None]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        found = await service.by_ids(reading, campaign_ids)
    return [GiftCardCampaign.of(found[each]) if each in found else None for each in campaign_ids]


@strawberry.input(description="A campaign, whose cards are made after the answer.")
class GiftcardCampaignAddInput:
    name: str = strawberry.field(
        description="1 to 100 characters; `CONFLICT` where there is or was one of this name."
    )
    count: int = strawberry.field(description=f"How many cards, 1 to {MOST_CARDS}.")
    value: Money = strawberry.field(description="What each card is worth, more than 0.")
    currency: str | None = optional("ISO 4217 code; the server's own by default.")
    code_type: CodeType = strawberry.field(
        default=CodeType.DIGITAL, description="`DIGITAL`, or `PHYSICAL` for printed cards."
    )
    code_config: CodeConfigInput | None = optional(
        "What its codes look like, by default 8 letters and digits. `CODE_SPACE_EXHAUSTED` where "
        "there are too few such codes for so many cards, guesses considered."
    )
    starts_on: date | None = optional(
        "The first day on which cards can pay; before it `CARD_NOT_YET_VALID`."
    )
    expiration: ExpirationInput | None = optional(
        "By default cards do not expire. A relative one is counted from the sale or publication, "
        "of cards that start activated from when they are made."
    )
    start_activated: bool = strawberry.field(
        default=False,
        description="Give cards their value at once (booked to promotion). Else a sale, "
        "`giftcardPublish` or an `ADD` of just their value activates them.",
    )
    pin_length: int | None = optional(
        f"Give each card a PIN of so many digits, {SHORTEST_PIN} to {LONGEST_PIN}. The export "
        "gives them out once."
    )
    redemption_limit: int | None = optional("How often each card can be redeemed.")

    def parsed(self, own_currency: str, today: date) -> NewCampaign:
        currency = given(self.currency) or own_currency
        if not is_currency(currency):
            raise InvalidInput("currency", "is no ISO 4217 currency")
        if self.code_type not in (CodeType.DIGITAL, CodeType.PHYSICAL):
            raise InvalidInput("codeType", "must be DIGITAL or PHYSICAL")
        config, expiration = given(self.code_config), given(self.expiration)
        return NewCampaign(
            name=text(self.name, "name", 100),
            count=_within(self.count, "count", 1, MOST_CARDS),
            value=positive_minor(str(self.value), currency, "value"),
            currency=currency,
            code_type=self.code_type,
            config=config.parsed() if config else CodeConfig.read(),
            starts_on=given(self.starts_on),
            expiration=expiration.parsed(today) if expiration else NEVER,
            is_activated=self.start_activated,
            pin_length=_optional_within(self.pin_length, "pinLength", SHORTEST_PIN, LONGEST_PIN),
            redemption_limit=_optional_within(
                self.redemption_limit, "redemptionLimit", 1, MOST_REDEMPTIONS
            ),
        )


@strawberry.input(description="More cards for a campaign.")
class GiftcardCampaignExtendInput:
    id: strawberry.ID = strawberry.field(description="The campaign's id.")
    count: int = strawberry.field(description="How many more cards.")


@strawberry.input(description="A campaign, by its id.")
class GiftcardCampaignPauseInput:
    id: strawberry.ID = strawberry.field(description="The campaign's id.")


@strawberry.input(description="A campaign, by its id.")
class GiftcardCampaignResumeInput:
    id: strawberry.ID = strawberry.field(description="The campaign's id.")


@strawberry.input(description="A campaign, by its id.")
class GiftcardCampaignCancelInput:
    id: strawberry.ID = strawberry.field(description="The campaign's id.")


@strawberry.type
class CampaignQuery:
    @query(
        requires=Permission.MANAGE_CAMPAIGNS,
        description="Campaigns, by id, name or status, or all, ordered by id.",
    )
    async def giftcard_campaign(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument("The campaign's id.")] = None,
        name: Annotated[str | None, argument("Its exact name.")] = None,
        status: Annotated[CampaignStatus | None, argument("How far it is.")] = None,
        first: First = 100,
        skip: Skip = 0,
        since: Since = None,
    ) -> Results[GiftCardCampaign] | None:
        criteria = Criteria(None if id is None else record_id(id) or 0, name, status)
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.page(reading, criteria, first=first, skip=skip, since=since)
        return results([GiftCardCampaign.of(each) for each in page.rows], page)


@strawberry.type
class CampaignMutation:
    @mutation(
        requires=Permission.MANAGE_CAMPAIGNS,
        description="Add a campaign. It answers at once, `IN_PROGRESS`; its cards are made after.",
    )
    async def giftcard_campaign_add(
        self, info: Info, campaign: Annotated[GiftcardCampaignAddInput, argument("The campaign.")]
    ) -> GiftCardCampaign | None:
        reading = info.context.reading()
        new = campaign.parsed(reading.settings.currency, reading.today)
        async with info.context.write() as tx:
            made = await service.add(tx, new)
        return GiftCardCampaign.of(made)

    @mutation(
        requires=Permission.MANAGE_CAMPAIGNS,
        description="Have more cards made. `CODE_SPACE_EXHAUSTED` as for a new campaign.",
    )
    async def giftcard_campaign_extend(
        self,
        info: Info,
        campaign: Annotated[GiftcardCampaignExtendInput, argument("Which, and how many.")],
    ) -> GiftCardCampaign | None:
        more = _within(campaign.count, "count", 1, MOST_CARDS)
        async with info.context.write() as tx:
            extended = await service.extend(tx, known_id(campaign.id, "id", "campaign"), more)
        return GiftCardCampaign.of(extended)

    @mutation(requires=Permission.MANAGE_CAMPAIGNS, description="Stop making cards, until resumed.")
    async def giftcard_campaign_pause(
        self, info: Info, campaign: Annotated[GiftcardCampaignPauseInput, argument("Which.")]
    ) -> GiftCardCampaign | None:
        async with info.context.write() as tx:
            paused = await service.pause(tx, known_id(campaign.id, "id", "campaign"))
        return GiftCardCampaign.of(paused)

    @mutation(
        requires=Permission.MANAGE_CAMPAIGNS,
        description="Go on making cards of a campaign that was paused or has failed.",
    )
    async def giftcard_campaign_resume(
        self, info: Info, campaign: Annotated[GiftcardCampaignResumeInput, argument("Which.")]
    ) -> GiftCardCampaign | None:
        async with info.context.write() as tx:
            resumed = await service.resume(tx, known_id(campaign.id, "id", "campaign"))
        return GiftCardCampaign.of(resumed)

    @mutation(
        requires=Permission.MANAGE_CAMPAIGNS,
        description="Make no more cards, for good. Cards that are made stay as they are.",
    )
    async def giftcard_campaign_cancel(
        self, info: Info, campaign: Annotated[GiftcardCampaignCancelInput, argument("Which.")]
    ) -> GiftCardCampaign | None:
        async with info.context.write() as tx:
            cancelled = await service.cancel(tx, known_id(campaign.id, "id", "campaign"))
        return GiftCardCampaign.of(cancelled)


def _within(value: int, field: str, least: int, most: int) -> int:
    if not least <= value <= most:
        raise InvalidInput(field, f"must be {least} to {most}")
    return value


def _optional_within(value: int | None, field: str, least: int, most: int) -> int | None:
    wanted = given(value)
    return None if wanted is None else _within(wanted, field, least, most)
