"""The form of a new campaign, and samples of the codes that it would make."""

from dataclasses import dataclass
from datetime import date
from typing import cast

from giftgql.backoffice.forms import Field, Form
from giftgql.backoffice.pages import Visit
from giftgql.campaigns.api import CodeConfigInput, GiftcardCampaignAddInput
from giftgql.campaigns.code_config import CHARSET, CodeConfig
from giftgql.campaigns.service import MOST_CARDS, NewCampaign
from giftgql.codes import CodeType
from giftgql.errors import InvalidInput
from giftgql.money import Money
from giftgql.products.api import ExpirationInput
from giftgql.products.expiration import ExpirationKind

SAMPLES = 3

CLEAR = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""Letters and digits that nobody takes for one another."""

PATTERN = "####-####-####-####"
"""Long enough to be used alone anywhere."""

KINDS = (CodeType.DIGITAL, CodeType.PHYSICAL)

_PERIODS = (
    *(("P6M", "6 months"), ("P1Y", "1 year")),
    *((f"P{n}Y", f"{n} years") for n in (2, 3, 4, 5, 10)),
)

FIELDSETS = (
    (
        "The cards",
        (
            Field("name", "Name", longest=100, help="For you; no holder sees it."),
            Field("count", "How many cards", "number", longest=8, help="More can be added later."),
            Field("value", "Value of each card", "amount"),
            Field("currency", "Currency", longest=3),
            Field(
                "startActivated",
                "Value is given",
                "choice",
                choices=(
                    ("", "when a card is sold or published"),
                    ("yes", "at once: cards are given away"),
                ),
            ),
        ),
    ),
    (
        "Validity",
        (
            Field("startsOn", "Can pay from", "day", is_needed=False, help="Empty: at once."),
            Field(
                "expiration",
                "Cards expire",
                "choice",
                choices=(
                    ("", "never"),
                    ("on", "on the day below"),
                    *((value, f"{words} after the sale") for value, words in _PERIODS),
                ),
            ),
            Field("expiration.on", "Last day", "day", is_needed=False),
            Field(
                "redemptionLimit",
                "Uses of each card",
                "number",
                is_needed=False,
                longest=7,
                help="Empty: as often as there is money.",
            ),
        ),
    ),
    (
        "The codes",
        (
            Field(
                "codeType",
                "Codes are",
                "choice",
                choices=(("DIGITAL", "sent by mail or app"), ("PHYSICAL", "printed on cards")),
            ),
            Field("codeConfig.prefix", "Begin with", is_needed=False, longest=32),
            Field(
                "codeConfig.pattern",
                "Pattern",
                longest=64,
                help="Each # is a random character. Dashes and spaces are for reading only.",
            ),
            Field(
                "codeConfig.charset",
                "Made of",
                "choice",
                choices=(
                    (CLEAR, "clear capitals and digits"),
                    (CHARSET, "all letters and digits"),
                    ("0123456789", "digits"),
                ),
            ),
            Field("codeConfig.postfix", "End with", is_needed=False, longest=32),
            Field(
                "pinLength",
                "Digits of the PIN",
                "number",
                is_needed=False,
                longest=2,
                help="Empty: no PIN. PINs are given out once, in the printer's file.",
            ),
        ),
    ),
)
LABELS = {field.name: field.label for _, fields in FIELDSETS for field in fields} | {
    "codeConfig": "The form of the codes",
    "expiration.after": "The time after the sale",
}


@dataclass(frozen=True)
class Sample:
    """Codes as they may come, and for how many cards there is room; None where that is for more
    than a campaign can have."""

    codes: list[str]
    most: int | None
    needs_pin: bool


def blank(visit: Visit) -> Form:
    """The form before anybody has typed into it."""
    return Form(
        {
            "currency": visit.store.settings.currency,
            "codeType": CodeType.DIGITAL,
            "codeConfig.pattern": PATTERN,
            "codeConfig.charset": CLEAR,
        }
    )


def read(visit: Visit, form: Form) -> NewCampaign:
    """What is to be made. Refuses as the API does."""
    reading = visit.context.reading()
    currency = form.needed("currency").upper()
    campaign = GiftcardCampaignAddInput(
        name=form.needed("name"),
        count=form.needed_number("count"),
        value=cast(Money, visit.wording.amount(form.needed("value"), "value")),
        currency=currency,
        code_type=_kind(form),
        code_config=_config(form),
        starts_on=form.day("startsOn"),
        expiration=_expiration(form),
        start_activated=form.text("startActivated") == "yes",
        pin_length=form.number("pinLength"),
        redemption_limit=form.number("redemptionLimit"),
    )
    return campaign.parsed(visit.store.settings.currency, reading.today)


def sample(form: Form) -> Sample:
    """Codes that nobody has. Refuses `INVALID_INPUT`."""
    config, kind = _config(form).parsed(), _kind(form)
    most = config.most_cards(kind)
    return Sample(
        config.make(SAMPLES, kind),
        most if most < MOST_CARDS else None,
        needs_pin=_needs_pin(config, kind) and form.text("pinLength") is None,
    )


def _needs_pin(config: CodeConfig, kind: CodeType) -> bool:
    return kind is CodeType.PHYSICAL or config.is_guessable(kind)


def _kind(form: Form) -> CodeType:
    kind = form.text("codeType") or ""
    if kind not in KINDS:
        raise InvalidInput("codeType", "is to be chosen")
    return CodeType[kind]


def _config(form: Form) -> CodeConfigInput:
    return CodeConfigInput(
        charset=form.text("codeConfig.charset"),
        prefix=form.text("codeConfig.prefix"),
        postfix=form.text("codeConfig.postfix"),
        pattern=form.text("codeConfig.pattern"),
    )


def _expiration(form: Form) -> ExpirationInput | None:
    wanted, on = form.text("expiration"), form.day("expiration.on")
    if wanted == "on":
        return ExpirationInput(kind=ExpirationKind.FIXED, on=_needed(on))
    if on is not None:
        raise InvalidInput("expiration.on", "is given, but not that cards expire on it")
    if wanted is None:
        return None
    return ExpirationInput(kind=ExpirationKind.RELATIVE, after=wanted)


def _needed(on: date | None) -> date:
    if on is None:
        raise InvalidInput("expiration.on", "is needed")
    return on
