from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, delete, false, func, or_, update
from sqlalchemy import select as sql_select
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.cards.criteria import Criteria, Sums
from giftgql.cards.models import CardStatus, Code, CodeEnding, GiftCard, PrintedPin, QuickPin
from giftgql.codes import CodeType
from giftgql.ledger.models import Account
from giftgql.paging import Cut
from giftgql.rows import (
    Columns,
    Joined,
    Rows,
    Write,
    insert_unless_there,
    page_query,
    reserve_ids,
    rows_by,
)

PRESENTED = (
    *("fingerprint", "ending", "id", "card_id", "kind", "expires_on"),
    *("pin_verifier", "cvv_verifier", "needs_pin", "needs_cvv"),
)


class CardRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, card: GiftCard) -> int:
        self.session.add(card)
        await self.session.flush()
        assert card.id is not None
        return card.id

    async def get(self, card_id: int) -> GiftCard | None:
        return await self.session.get(GiftCard, card_id)

    async def by_ids(self, card_ids: Collection[int]) -> Sequence[GiftCard]:
        query = select(GiftCard).where(col(GiftCard.id).in_(card_ids))
        return (await self.session.exec(query)).all()

    async def update(self, card: GiftCard, facts: Mapping[str, Any]) -> None:
        for name, value in facts.items():
            setattr(card, name, value)
        await self.session.flush()

    async def ids_of_member(self, member_id: str) -> Sequence[int]:
        query = (
            select(GiftCard.id).where(GiftCard.member_id == member_id).order_by(col(GiftCard.id))
        )
        return [each for each in (await self.session.exec(query)).all() if each is not None]

    async def forget_words(self, card_ids: Collection[int]) -> None:
        """Leave no note, metadata or recipient of cards."""
        gone = dict.fromkeys(("note", "details", "recipient"))
        change = update(GiftCard).where(col(GiftCard.id).in_(card_ids)).values(**gone)
        await self.session.exec(change)

    async def find_by_fingerprints(
        self, fingerprints: Collection[bytes]
    ) -> Sequence[tuple[bytes, GiftCard, Account, Code | None]]:
        """The cards with a live code of these fingerprints, each with each of its live codes; and
        those that had one until they were replaced, once, with none."""
        found = await self.session.exec(_BY_FINGERPRINT, params={"fingerprints": fingerprints})
        return found.all()

    async def presented(self, fingerprints: Collection[bytes]) -> Rows:
        """The codes of these fingerprints, as `PRESENTED`; and of their cards currency, revision,
        and whether they are replaced on use."""
        card = Joined(Account, ("currency", "revision", "replaced_on_use"), by="card_id")
        keys = [(each,) for each in fingerprints]
        return await rows_by(self.session, Code, PRESENTED, ("fingerprint",), keys, joined=card)

    async def page(
        self, cut: Cut, criteria: Criteria, now: datetime
    ) -> Sequence[tuple[GiftCard, Account]]:
        """One row more than the page shows; removed cards only in a synchronisation."""
        query = select(GiftCard, Account).join(Account, col(Account.id) == GiftCard.id)
        for column, wanted in (
            (GiftCard.id, criteria.card_id),
            (GiftCard.member_id, criteria.member_id),
            (GiftCard.product_id, criteria.product_id),
            (GiftCard.pool_id, criteria.pool_id),
            (GiftCard.campaign_id, criteria.campaign_id),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        if criteria.after_id is not None:
            query = query.where(col(GiftCard.id) > criteria.after_id)
        if cut.window is None:
            query = query.where(col(GiftCard.removed_at).is_(None))
        if criteria.valid_until is not None:
            query = query.where(col(Account.valid_until) <= criteria.valid_until)
        if criteria.last_four is not None:
            with_code = select(Code.card_id).where(
                Code.last_four == criteria.last_four,
                col(Code.kind).in_(criteria.kinds),
                col(Code.ended_at).is_(None),
            )
            query = query.where(col(GiftCard.id).in_(with_code))
        if criteria.status is not None:
            query = query.where(has_status(criteria.status, now))
        return (await self.session.exec(page_query(query, Account, cut))).all()

    async def page_of_each(
        self, cut: Cut, member_ids: Collection[str]
    ) -> Sequence[tuple[GiftCard, Account]]:
        """The same page of each member's cards, with one row more than it shows."""
        place = func.row_number().over(
            partition_by=col(GiftCard.member_id), order_by=col(GiftCard.id)
        )
        ranked = (
            select(GiftCard, place.label("place"))
            .where(col(GiftCard.member_id).in_(member_ids), col(GiftCard.removed_at).is_(None))
            .subquery()
        )
        card = aliased(GiftCard, ranked)
        shown = ranked.c.place.between(cut.skip + 1, cut.skip + cut.first + 1)
        query = select(card, Account).join(Account, col(Account.id) == card.id)
        return (await self.session.exec(query.where(shown).order_by(col(card.id)))).all()

    async def live_codes(self, card_ids: Collection[int]) -> Sequence[Code]:
        query = select(Code).where(col(Code.card_id).in_(card_ids), col(Code.ended_at).is_(None))
        return (await self.session.exec(query)).all()

    async def codes_with_cvv(self, card_ids: Collection[int]) -> Sequence[Code]:
        """The codes of these cards whose CVV every payment needs, the newest last. One that has
        been revoked counts as well: its CVV goes on to guard the card."""
        query = select(Code).where(col(Code.card_id).in_(card_ids), col(Code.needs_cvv))
        return (await self.session.exec(query.order_by(col(Code.id)))).all()

    async def ended_codes(self, card_ids: Collection[int], *, newest: int) -> Sequence[Code]:
        """The `newest` ended codes of each card, the one that ended last first."""
        place = func.row_number().over(
            partition_by=col(Code.card_id),
            order_by=(col(Code.ended_at).desc(), col(Code.id).desc()),
        )
        ranked = (
            select(Code, place.label("place"))
            .where(col(Code.card_id).in_(card_ids), col(Code.ended_at).is_not(None))
            .subquery()
        )
        ended = aliased(Code, ranked)
        query = select(ended).where(ranked.c.place <= newest).order_by(ranked.c.place)
        return (await self.session.exec(query)).all()

    async def codes_by_ids(self, code_ids: Collection[int]) -> Sequence[Code]:
        query = select(Code).where(col(Code.id).in_(code_ids))
        return (await self.session.exec(query)).all()

    async def known_fingerprints(self, fingerprints: Collection[bytes]) -> frozenset[bytes]:
        """Those of the fingerprints that are of a code, live or ended."""
        # A list, not a join: PostgreSQL keeps a join's plan, and one made for few codes is slow.
        query = select(Code.fingerprint).where(col(Code.fingerprint).in_(fingerprints))
        return frozenset((await self.session.exec(query)).all())

    async def add_code(self, code: Code) -> int | None:
        """Add a code; None if its fingerprint is or was another's. Waits for a running add."""
        values = code.model_dump(exclude={"id"})
        insert = insert_unless_there(self.session, Code, "fingerprint").values(values)
        added = (await self.session.exec(insert.returning(col(Code.id)))).first()
        return None if added is None else added[0]

    async def set_seal(self, code_id: int, ciphertext: bytes, cipher_key: int) -> None:
        seal = update(Code).where(col(Code.id) == code_id)
        await self.session.exec(seal.values(ciphertext=ciphertext, cipher_key=cipher_key))

    async def set_verifiers(
        self, code_id: int, before: Mapping[str, str], verifiers: Mapping[str, str]
    ) -> None:
        same = [col(getattr(Code, name)) == value for name, value in before.items()]
        change = update(Code).where(col(Code.id) == code_id, *same)
        await self.session.exec(change.values(**verifiers))

    async def end_code(self, code_id: int, ending: CodeEnding, *, at: datetime) -> None:
        """End a live code; its row stays."""
        live = (col(Code.id) == code_id) & col(Code.ended_at).is_(None)
        await self.session.exec(update(Code).where(live).values(ended_at=at, ending=ending))

    async def forget_pins_of(self, card_id: int) -> None:
        """Those of a card's codes that are to be hardened or printed."""
        mine = select(Code.id).where(Code.card_id == card_id)
        for model in (QuickPin, PrintedPin):
            await self.session.exec(delete(model).where(col(model.code_id).in_(mine)))

    async def codes_sealed_otherwise(self, cipher_key: int, *, at_most: int) -> Sequence[Code]:
        """Codes sealed with any other key, locked against another rotation."""
        query = (
            select(Code)
            .where(Code.cipher_key != cipher_key)
            .order_by(col(Code.id))
            .limit(at_most)
            .with_for_update()
        )
        return (await self.session.exec(query)).all()

    # Many cards at once

    async def reserve_ids(self, many: int) -> Sequence[int]:
        return await reserve_ids(self.session, GiftCard, many)

    async def reserve_code_ids(self, many: int) -> Sequence[int]:
        return await reserve_ids(self.session, Code, many)

    async def pools_of(self, fingerprints: Collection[bytes]) -> dict[bytes, int | None]:
        """The pool of the card of each code that is there; None of one that has ended."""
        query = (
            select(Code.fingerprint, GiftCard.pool_id, Code.ended_at)
            .join(GiftCard, col(GiftCard.id) == Code.card_id)
            .where(col(Code.fingerprint).in_(fingerprints))
        )
        found = (await self.session.exec(query)).all()
        return {print_: None if ended_at else pool_id for print_, pool_id, ended_at in found}

    @staticmethod
    def cards_to_add(columns: Columns, rows: Rows) -> Write:
        return Write(GiftCard, columns, rows)

    @staticmethod
    def codes_to_add(columns: Columns, rows: Rows) -> Write:
        return Write(Code, columns, rows)

    @staticmethod
    def quick_pins_to_add(rows: Rows) -> Write:
        """Codes whose PINs are to be hardened."""
        return Write(QuickPin, ("code_id",), rows)

    @staticmethod
    def printed_pins_to_add(rows: Rows) -> Write:
        return Write(PrintedPin, ("code_id", "ciphertext", "cipher_key"), rows)

    async def quick_pins(self, *, at_most: int) -> dict[int, str]:
        """Verifiers to be hardened, by their codes' ids; None of a code that has no PIN now."""
        query = (
            select(QuickPin.code_id, Code.pin_verifier)
            .join(Code, col(Code.id) == QuickPin.code_id)
            .order_by(col(QuickPin.code_id))
            .limit(at_most)
        )
        return {row[0]: row[1] or "" for row in (await self.session.exec(query)).all()}

    async def forget_quick_pins(self, code_ids: Collection[int]) -> None:
        done = col(QuickPin.code_id).in_(code_ids)
        await self.session.exec(delete(QuickPin).where(done))

    async def printed_codes(
        self, campaign_id: int, kind: CodeType, *, after: int, at_most: int
    ) -> Sequence[tuple[Code, datetime | None, PrintedPin | None]]:
        """The live codes of a type of a campaign's cards after one, with the end of validity."""
        query = (
            select(Code, Account.valid_until, PrintedPin)
            .join(GiftCard, col(GiftCard.id) == Code.card_id)
            .join(Account, col(Account.id) == GiftCard.id)
            .outerjoin(PrintedPin, col(PrintedPin.code_id) == Code.id)
            .where(
                GiftCard.campaign_id == campaign_id,
                col(GiftCard.id) > after,
                col(GiftCard.removed_at).is_(None),
                Code.kind == kind,
                col(Code.ended_at).is_(None),
            )
            .order_by(col(GiftCard.id))
            .limit(at_most)
        )
        return (await self.session.exec(query)).all()

    async def has_printed_pins(self, campaign_id: int) -> bool:
        mine = _codes_of(campaign_id)
        query = select(PrintedPin.code_id).where(col(PrintedPin.code_id).in_(mine)).limit(1)
        return (await self.session.exec(query)).first() is not None

    async def forget_printed_pins(self, campaign_id: int, *, up_to: int) -> None:
        """Those of a campaign's cards up to an id."""
        mine = _codes_of(campaign_id).where(col(GiftCard.id) <= up_to)
        await self.session.exec(delete(PrintedPin).where(col(PrintedPin.code_id).in_(mine)))

    # Cards that nobody has yet

    async def lock_free(
        self,
        *,
        pool_id: int | None,
        campaign_id: int | None,
        value: int | None,
        now: datetime,
        skip_locked: bool,
    ) -> int | None:
        """The first card of a pool or campaign that is marked as free and neither stopped nor
        expired; its account is locked, and nothing else."""
        until = col(Account.valid_until)
        query = (
            select(GiftCard.id)
            .join(Account, col(Account.id) == GiftCard.id)
            .where(col(GiftCard.is_free), ~col(Account.blocked), ~col(Account.closed))
            .where(or_(until.is_(None), until > now))
            .order_by(col(GiftCard.id))
            .limit(1)
            .with_for_update(skip_locked=skip_locked, of=Account)
        )
        if pool_id is not None:
            query = query.where(GiftCard.pool_id == pool_id)
        if campaign_id is not None:
            query = query.where(GiftCard.campaign_id == campaign_id)
        if value is not None:
            query = query.where(Account.opens_with == value)
        return (await self.session.exec(query)).first()

    async def fresh(self, card_id: int) -> GiftCard | None:
        """A card as it is in the database now, whatever this session has seen of it before."""
        query = select(GiftCard).where(GiftCard.id == card_id)
        fresh = query.execution_options(populate_existing=True)
        return (await self.session.exec(fresh)).first()

    async def sums(self, column: str, ids: Collection[int], now: datetime) -> dict[int, Sums]:
        """What all cards of each pool or campaign come to."""
        of = getattr(GiftCard, column)
        status = case(*((has_status(each, now), each.value) for each in CardStatus))
        amounts = (Account.posted, Account.lifetime, Account.redeemed, Account.uses)
        query = (
            sql_select(of, status.label("status"), func.count(), *(func.sum(a) for a in amounts))
            .select_from(GiftCard)
            .join(Account, col(Account.id) == GiftCard.id)
            .where(of.in_(ids), col(GiftCard.removed_at).is_(None))
            .group_by(of, "status")
        )
        found = {each: Sums() for each in ids}
        for owner, name, count, posted, lifetime, redeemed, uses in (
            await self.session.exec(query)  # type: ignore[call-overload]
        ).all():
            sums = found[owner]
            sums.by_status[CardStatus[name]] = count
            sums.posted += int(posted)
            sums.lifetime += int(lifetime)
            sums.redeemed += int(redeemed)
            sums.uses += int(uses)
        return found


def _codes_of(campaign_id: int) -> Any:
    return (
        select(Code.id)
        .join(GiftCard, col(GiftCard.id) == Code.card_id)
        .where(GiftCard.campaign_id == campaign_id)
    )


def has_status(status: CardStatus, now: datetime) -> ColumnElement[bool]:
    """Whether an account makes its card be shown with this status: `CardStatus.of`, in SQL."""
    blocked, closed = col(Account.blocked), col(Account.closed)
    expired = func.coalesce(col(Account.valid_until) <= now, false())
    posted, lifetime = col(Account.posted), col(Account.lifetime)
    stopped = or_(closed, blocked, expired)
    match status:
        case CardStatus.DISABLED:
            return and_(closed)
        case CardStatus.BLOCKED:
            return and_(blocked, ~closed)
        case CardStatus.EXPIRED:
            return and_(expired, ~closed, ~blocked)
        case CardStatus.NOT_ACTIVATED:
            return and_(lifetime == 0, ~stopped)
        case CardStatus.REDEEMED:
            return and_(posted == 0, lifetime > 0, ~stopped)
        case CardStatus.ACTIVATED:
            return and_(posted > 0, ~stopped)


_given = aliased(Code)
_BY_FINGERPRINT = (
    select(_given.fingerprint, GiftCard, Account, Code)
    .join_from(GiftCard, _given, col(_given.card_id) == GiftCard.id)
    .join(Account, col(Account.id) == GiftCard.id)
    .outerjoin(Code, and_(col(Code.card_id) == GiftCard.id, col(Code.ended_at).is_(None)))
    .where(
        col(_given.fingerprint).in_(bindparam("fingerprints", expanding=True)),
        or_(col(_given.ended_at).is_(None), col(_given.ending) == CodeEnding.CARD_REPLACED),
    )
    .order_by(col(GiftCard.id))
)
