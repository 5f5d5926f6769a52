from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from giftgql import codes
from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.cards import answers
from giftgql.cards.criteria import Criteria
from giftgql.cards.models import Code, CodeEnding, GiftCard
from giftgql.cards.views import CardView, ids, unseal, views
from giftgql.cards.visibility import USE, usable_by
from giftgql.choices import RedemptionStrategy
from giftgql.codes import CodeText, CodeType
from giftgql.errors import (
    CardReplaced,
    CodeTaken,
    CvvRequired,
    MemberMismatch,
    MemberNotFound,
    MemberRequired,
    NotFound,
    PastExpiration,
    PermissionDenied,
)
from giftgql.installation import service as installation
from giftgql.ledger import service as ledger
from giftgql.ledger.models import Account
from giftgql.members import service as members
from giftgql.paging import Page, cut, page_of
from giftgql.requests import service as requests
from giftgql.requests.service import Once
from giftgql.store import Reading, Transaction

ROTATION_BATCH = 500

_EXPIRES_SOURCE = {
    CodeType.PHYSICAL: "physicalExpiresOn",
    CodeType.PERSONAL: "personalExpiresOn",
    CodeType.EXTERNAL: "externalExpiresOn",
    CodeType.DIGITAL: "expiresOn",
}


@dataclass(frozen=True)
class NewCode:
    """A code to be added, and the inputs it came from. Generated types get their text here."""

    kind: CodeType
    source: str
    text: CodeText | None = None
    pin_verifier: str | None = field(default=None, repr=False)
    expires_on: date | None = None
    cvv_verifier: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NewCard:
    """A card to be made, with at least one code. Its funds are valid until the end of `expires_on`
    or until a moment, or for `validity` from when there are any. Its strategy is that of the
    settings if none is told. `facts` are further columns of it."""

    codes: Sequence[NewCode]
    currency: str
    member_id: str | None = None
    expires_on: date | None = None
    valid_until: datetime | None = None
    validity: str | None = None
    whole_only: bool = False
    most_uses: int | None = None
    strategy: RedemptionStrategy | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    request: Once | None = None


@dataclass(frozen=True)
class CardChange:
    """Changes of one card, all or nothing. `facts` has the note and metadata to be written."""

    card_id: int
    codes: Sequence[NewCode] = ()
    revoked: Mapping[CodeType, str] = field(default_factory=dict)
    member_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    request: Once | None = None

    @property
    def is_of_use(self) -> bool:
        """Whether it is about who can use the card, and how."""
        return bool(self.codes or self.revoked) or self.member_id is not None

    @property
    def told(self) -> dict[str, Any]:
        """What is changed, as the audit trail keeps it: no code, and no word of a note."""
        return {
            "codes": sorted(new.kind.value for new in self.codes),
            "revoked": sorted(kind.value for kind in self.revoked),
            "member": self.member_id,
            "changed": sorted(self.facts),
        }


async def add(tx: Transaction, new: NewCard) -> CardView:
    """Make a card with its codes: balance zero, not activated. With a key, once."""
    if (done := await requests.claim(tx, new.request)) is not None:
        return await answers.replayed(tx, done)
    card, account, live = await _made(tx, new)
    kinds = sorted(code.kind.value for code in live)
    await audit.record(tx, Event.CARD_ADDED, f"card:{card.id}", codes=kinds, member=new.member_id)
    return await answers.of_rows(tx, new.request, card, account, live=live, just_set=ids(live))


async def make(tx: Transaction, new: NewCard) -> int:
    """Make a card with its codes, as a part of what this transaction does; returns its id."""
    _, account, _ = await _made(tx, new)
    return account.id


async def _made(tx: Transaction, new: NewCard) -> tuple[GiftCard, Account, list[Code]]:
    _refuse_past(tx, new.expires_on, "expiresOn")
    if new.member_id is not None:
        await _require_member(tx, new.member_id)
    card = GiftCard(currency=new.currency, member_id=new.member_id, created_at=tx.now, **new.facts)
    strategy = new.strategy or tx.settings.strategy
    account = await ledger.open_account(
        tx,
        await tx.cards.add(card),
        new.currency,
        valid_until=new.valid_until or tx.end_of(new.expires_on),
        validity=new.validity,
        whole_only=new.whole_only,
        most_uses=new.most_uses,
        replaced_on_use=strategy is RedemptionStrategy.REPLACEMENT,
    )
    return card, account, await _add_codes(tx, _sealed(tx, card, new.codes))


async def edit(tx: Transaction, change: CardChange, *, with_history: bool = False) -> CardView:
    """Add, replace and revoke codes of a card. Ended codes stop working at once: the card's
    account is locked, so that no money moves through them from now on."""
    funds = await ledger.lock(tx, change.card_id)
    if (done := await requests.claim(tx, change.request)) is not None:
        return await answers.replayed(tx, done, with_history=with_history)
    card = await tx.cards.get(change.card_id)
    if funds is None or card is None or card.removed_at is not None:
        raise NotFound("id", "gift card")
    if funds.replaced_by is not None and change.is_of_use:
        raise CardReplaced(funds.replaced_by)
    owner = await _settled_owner(tx, card, change.member_id)
    is_free = card.is_free and owner is None
    await tx.cards.update(card, {**change.facts, "member_id": owner, "is_free": is_free})
    new = _sealed(tx, card, change.codes)
    await _refuse_taken(tx, new)
    kept = await _end_codes(tx, funds.id, change)
    added = await _add_codes(tx, new)
    is_reached_otherwise = bool(change.codes or change.revoked)
    await ledger.touch(tx, funds.id, is_reached_otherwise=is_reached_otherwise)
    await audit.record(tx, Event.CARD_EDITED, f"card:{funds.id}", **change.told)
    account = (await ledger.accounts(tx, [funds.id]))[funds.id]
    return await answers.of_rows(
        tx,
        change.request,
        card,
        account,
        live=[*kept, *added],
        just_set=ids(added),
        with_history=with_history,
    )


async def find(
    reading: Reading, code: CodeText, kind: CodeType | None, *, with_history: bool = False
) -> list[CardView]:
    """The cards with this live code, of a type or of any; types the caller may not use do not
    exist for it. Ended codes and masked values find nothing; an expired code still does, and one
    that ended when its card was replaced."""
    if kind is not None:
        reading.caller.require(USE[kind])
        kinds = [kind]
    else:
        kinds = usable_by(reading.caller)
        if not kinds:
            raise PermissionDenied(USE[CodeType.PHYSICAL].value)
    prints = [print_ for each in kinds if (print_ := reading.vault.fingerprint(each, code))]
    found = [pair for print_ in prints for pair in await reading.together(_by_fingerprints, print_)]
    pairs = {account.id: (card, account) for card, account, _ in found}
    live = {code.id: code for _, _, code in found if code is not None}.values()
    by_id = [pairs[card_id] for card_id in sorted(pairs)]
    typed = ids([code for code in live if code.fingerprint in prints])
    return await views(reading, by_id, live=list(live), presented=typed, with_history=with_history)


async def page(
    reading: Reading,
    criteria: Criteria,
    *,
    first: int,
    skip: int,
    since: str | None = None,
    with_history: bool = False,
) -> Page[CardView]:
    """Cards by id, or in the order in which they changed."""
    where = cut(first, skip, await installation.window(reading, since, Account, int))
    pairs = await reading.cards.page(where, criteria, reading.now)
    found = page_of([account for _, account in pairs], where)
    shown = await views(reading, pairs[:first], with_history=with_history)
    return Page(shown, found.has_more, found.until)


async def pages_of_members(
    reading: Reading, member_ids: Sequence[str], *, first: int, skip: int, with_history: bool
) -> dict[str, Page[CardView]]:
    """The same page of the cards of each of these members."""
    where = cut(first, skip)
    cards = await reading.cards.page_of_each(where, member_ids)
    of_member: dict[str, list[CardView]] = {member_id: [] for member_id in member_ids}
    for view in await views(reading, cards, with_history=with_history):
        assert view.card.member_id is not None
        of_member[view.card.member_id].append(view)
    return {
        member_id: Page(mine[:first], len(mine) > first) for member_id, mine in of_member.items()
    }


async def view(reading: Reading, card_id: int) -> CardView:
    """One card that is there."""
    return (await by_ids(reading, [card_id]))[card_id]


async def by_ids(
    reading: Reading, card_ids: Sequence[int], *, with_history: bool = False
) -> dict[int, CardView]:
    accounts = await ledger.accounts(reading, card_ids)
    pairs = [(card, accounts[card.id]) for card in await reading.cards.by_ids(card_ids) if card.id]
    found = await views(reading, pairs, with_history=with_history)
    return {shown.account.id: shown for shown in found}


async def texts(reading: Reading, card_id: int) -> list[CodeText]:
    """A card's live codes in clear, for the server itself."""
    return [unseal(reading, code) for code in await reading.cards.live_codes([card_id])]


async def end_replaced(tx: Transaction, card_id: int) -> None:
    """End all codes of a card that this transaction replaces. Its account is locked: no money moves
    through them from now on."""
    for code in await tx.cards.live_codes([card_id]):
        assert code.id is not None
        await tx.cards.end_code(code.id, CodeEnding.CARD_REPLACED, at=tx.now)
    await ledger.touch(tx, card_id, is_reached_otherwise=True)


async def reseal(tx: Transaction) -> int:
    """Encrypt the next codes with the primary key; returns how many, 0 when all are."""
    primary = tx.vault.ring.primary
    batch = await tx.cards.codes_sealed_otherwise(primary, at_most=ROTATION_BATCH)
    for code in batch:
        assert code.id is not None
        sealed = tx.vault.seal(code.kind, unseal(tx, code), card_id=code.card_id)
        await tx.cards.set_seal(code.id, sealed.ciphertext, sealed.cipher_key)
    return len(batch)


async def _by_fingerprints(
    reading: Reading, prints: Sequence[bytes]
) -> list[list[tuple[GiftCard, Account, Code | None]]]:
    """For each fingerprint the card with this code, once with each of its live codes."""
    found: dict[bytes, list[tuple[GiftCard, Account, Code | None]]] = defaultdict(list)
    for print_, card, account, code in await reading.cards.find_by_fingerprints(prints):
        found[print_].append((card, account, code))
    return [found[print_] for print_ in prints]


def _sealed(tx: Transaction, card: GiftCard, new: Sequence[NewCode]) -> list[tuple[Code, str]]:
    """The rows of new codes, each with the input it came from, in order of their fingerprints:
    two adds then take what they share in one order, and cannot wait for each other."""
    assert card.id is not None
    rows = []
    for each in new:
        if each.kind is CodeType.PERSONAL and card.member_id is None:
            raise MemberRequired
        _refuse_past(tx, each.expires_on, _EXPIRES_SOURCE[each.kind])
        sealed = tx.vault.seal(each.kind, each.text or codes.generate(), card_id=card.id)
        row = Code(
            card_id=card.id,
            kind=each.kind,
            fingerprint=sealed.fingerprint,
            index_key=sealed.index_key,
            ciphertext=sealed.ciphertext,
            cipher_key=sealed.cipher_key,
            last_four=sealed.last_four,
            pin_verifier=each.pin_verifier,
            cvv_verifier=each.cvv_verifier,
            needs_pin=each.kind is CodeType.PHYSICAL,
            needs_cvv=each.cvv_verifier is not None,
            expires_on=each.expires_on,
            created_at=tx.now,
        )
        rows.append((row, each.source))
    return sorted(rows, key=lambda pair: pair[0].fingerprint)


async def _refuse_taken(tx: Transaction, new: Sequence[tuple[Code, str]]) -> None:
    """Refuse codes that are there already before ending any: two cards that want each other's
    would end their own and then wait for the other's end."""
    taken = await tx.cards.known_fingerprints([row.fingerprint for row, _ in new]) if new else ()
    for row, source in new:
        if row.fingerprint in taken:
            raise CodeTaken(source)


async def _add_codes(tx: Transaction, new: Sequence[tuple[Code, str]]) -> list[Code]:
    for row, source in new:
        row.id = await tx.cards.add_code(row)
        if row.id is None:
            raise CodeTaken(source)
    return [row for row, _ in new]


async def _end_codes(tx: Transaction, card_id: int, change: CardChange) -> list[Code]:
    """End the codes that are revoked or replaced; returns the live ones that stay."""
    live = {code.kind: code for code in await tx.cards.live_codes([card_id])}
    added = {new.kind: new for new in change.codes}
    for kind, name in change.revoked.items():
        if kind not in live:
            raise NotFound(name, f"live {kind.value.lower()} code on the card")
    for kind, code in live.items():
        if kind in added or kind in change.revoked:
            assert code.id is not None
            ending = CodeEnding.REPLACED if kind in added else CodeEnding.REVOKED
            if code.needs_cvv and kind in added and added[kind].cvv_verifier is None:
                raise CvvRequired("physicalCvv")
            await tx.cards.end_code(code.id, ending, at=tx.now)
    return [code for kind, code in live.items() if kind not in added.keys() | change.revoked.keys()]


async def _settled_owner(tx: Transaction, card: GiftCard, member_id: str | None) -> str | None:
    """The card's owner after a change: the first one given stays."""
    if member_id is None or member_id == card.member_id:
        return card.member_id
    if card.member_id is not None:
        raise MemberMismatch
    await _require_member(tx, member_id)
    return member_id


async def _require_member(tx: Transaction, member_id: str) -> None:
    if not await members.named(tx, [member_id]):
        raise MemberNotFound


def _refuse_past(tx: Transaction, expires_on: date | None, name: str) -> None:
    if expires_on is not None and expires_on < tx.today:
        raise PastExpiration(name)
