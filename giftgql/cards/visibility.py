"""Which caller sees which code, and how: the one place where codes are masked.

Source: the table «Who sees which code» in section 2 of the behaviour reference.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import Enum, auto

from giftgql.cards.models import Code, CodeEnding
from giftgql.codes import CodeText, CodeType, masked
from giftgql.permissions import Caller, Permission

USE = {
    CodeType.PHYSICAL: Permission.USE_PHYSICAL_GIFT_CARD_CODES,
    CodeType.EXTERNAL: Permission.USE_EXTERNAL_GIFT_CARD_CODES,
    CodeType.PERSONAL: Permission.USE_CRYPTO_GIFT_CARD_CODES,
    CodeType.DIGITAL: Permission.USE_CRYPTO_GIFT_CARD_CODES,
}
"""The permission without which codes of a type do not exist for a caller."""


def hidden(code: Code) -> str:
    """A code masked, as whoever may see that there is one may see it."""
    return masked(code.last_four)


def usable_by(caller: Caller) -> list[CodeType]:
    """The types of codes that exist for a caller who looks for cards."""
    return [kind for kind in CodeType if caller.may(USE[kind])]


class Sight(Enum):
    HIDDEN = auto()
    MASKED = auto()
    CLEAR = auto()


@dataclass(frozen=True, slots=True)
class SeenCode:
    """A code as one caller may see it; `text` is in clear unless `is_masked`.

    To show one that `is_revealing` is a reveal: a code that the server made, to somebody who
    neither asked for it just now nor typed it, and is not its member.
    """

    id: int
    kind: CodeType
    text: str
    is_masked: bool
    last_four: str
    expires_on: date | None
    created_at: datetime
    ended_at: datetime | None
    ending: CodeEnding | None
    is_revealing: bool = False

    def masked(self) -> "SeenCode":
        """The same for who may not see it in clear after all."""
        return replace(self, text=self.hidden, is_masked=True, is_revealing=False)

    @property
    def hidden(self) -> str:
        """The code masked, whether the caller may see it or not."""
        return masked(self.last_four)

    def __repr__(self) -> str:
        return f"SeenCode(id={self.id}, kind={self.kind})"


def sight(caller: Caller, kind: CodeType, *, owner: str | None, just_set: bool) -> Sight:
    """How a caller sees codes of this type on a card of this owner; `just_set` by itself."""
    if caller.member_id is not None:
        return Sight.CLEAR if caller.member_id == owner else Sight.HIDDEN
    if not just_set and not caller.may(USE[kind]):
        return Sight.HIDDEN
    if kind.is_generated and not caller.may(Permission.VIEW_UNMASKED_GIFT_CARD_CODES):
        return Sight.MASKED
    return Sight.CLEAR


def seen_by(
    caller: Caller,
    codes: Iterable[Code],
    *,
    owner: str | None,
    just_set: Collection[int],
    presented: Collection[int],
    unseal: Callable[[Code], CodeText],
) -> list[SeenCode]:
    """The codes that a caller may see; of `presented` ones it knows the text. Only those shown in
    clear are opened."""
    seen = []
    for code in codes:
        assert code.id is not None
        how = sight(caller, code.kind, owner=owner, just_set=code.id in just_set)
        if how is Sight.HIDDEN:
            continue
        is_known = caller.member_id is not None or code.id in just_set or code.id in presented
        text = unseal(code).clear if how is Sight.CLEAR else masked(code.last_four)
        seen.append(
            SeenCode(
                id=code.id,
                kind=code.kind,
                text=text,
                is_masked=how is Sight.MASKED,
                last_four=code.last_four,
                expires_on=code.expires_on,
                created_at=code.created_at,
                ended_at=code.ended_at,
                ending=code.ending,
                is_revealing=how is Sight.CLEAR and code.kind.is_generated and not is_known,
            )
        )
    return seen
