"""Cards as one caller may see them: their money, and those of their codes that are shown."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from giftgql.cards.models import CardStatus, Code, GiftCard, shown_status
from giftgql.cards.visibility import SeenCode, seen_by
from giftgql.codes import CodeText, CodeType
from giftgql.ledger import service as ledger
from giftgql.ledger.models import Account
from giftgql.store import Reading

HISTORY = 100
"""How many ended codes of a card are shown, newest first."""

_ORDER = {kind: place for place, kind in enumerate(CodeType)}


@dataclass(frozen=True)
class CardView:
    """A card as one caller may see it, until the last day of its funds; `is_limited` where codes
    were left out."""

    card: GiftCard
    account: Account
    balance: int
    held: int
    uses: int
    now: datetime
    expires_on: date | None
    codes: Sequence[SeenCode]
    history: Sequence[SeenCode] = ()
    is_limited: bool = False
    is_replayed: bool = False

    @property
    def is_revealing(self) -> bool:
        """Whether to show its codes would be a reveal."""
        return any(code.is_revealing for code in (*self.codes, *self.history))

    def masked(self) -> "CardView":
        """The same without what would be revealed."""
        codes, history = (
            [code.masked() if code.is_revealing else code for code in each]
            for each in (self.codes, self.history)
        )
        return replace(self, codes=codes, history=history)

    @property
    def status(self) -> CardStatus:
        return shown_status(self.account, self.now)


async def views(
    reading: Reading,
    cards: Sequence[tuple[GiftCard, Account]],
    *,
    live: Sequence[Code] | None = None,
    just_set: Collection[int] = (),
    presented: Collection[int] = (),
    with_history: bool = False,
) -> list[CardView]:
    """Cards with their codes as the caller may see them; reads the codes that are not given. The
    caller has just set, or `presented`, those of these ids."""
    card_ids = [account.id for _, account in cards]
    if live is None:
        live = await reading.cards.live_codes(card_ids) if card_ids else []
    ended: Sequence[Code] = ()
    if with_history and card_ids:
        ended = await reading.cards.ended_codes(card_ids, newest=HISTORY)
    live_by_card, ended_by_card = _by_card(live), _by_card(ended)

    figures = await ledger.available(reading, [account for _, account in cards])

    found = []
    for card, account in cards:
        mine, gone = live_by_card[account.id], ended_by_card[account.id]
        how: Any = {"owner": card.member_id, "just_set": just_set, "presented": presented}
        shown, history = (
            seen_by(reading.caller, each, **how, unseal=lambda code: unseal(reading, code))
            for each in (mine, gone)
        )
        balance, held, uses, _ = figures[account.id]
        found.append(
            CardView(
                card=card,
                account=account,
                balance=balance,
                held=held,
                uses=uses,
                now=reading.now,
                expires_on=reading.last_day(account.valid_until),
                codes=shown,
                history=history,
                is_limited=len(shown) + len(history) < len(mine) + len(gone),
            )
        )
    return found


def ids(found: Sequence[Code]) -> list[int]:
    return [code.id for code in found if code.id is not None]


def _by_card(found: Sequence[Code]) -> Mapping[int, list[Code]]:
    """Codes of each card; the order given is kept for ended ones, live ones go by type."""
    by_card: dict[int, list[Code]] = defaultdict(list)
    for code in sorted(found, key=lambda code: code.ended_at is None and _ORDER[code.kind]):
        by_card[code.card_id].append(code)
    return by_card


def unseal(reading: Reading, code: Code) -> CodeText:
    return reading.vault.unseal(
        code.kind,
        code.ciphertext,
        code.cipher_key,
        card_id=code.card_id,
        fingerprint=code.fingerprint,
    )
