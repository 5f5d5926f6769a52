"""Books of any size, made in bulk: cards with consistent movements of every sort.

Movements are numbered over all cards: number n is of card n modulo the cards, in the layer n
divided by them. A card goes through `PATTERN` again and again, so that what it comes to is known
without asking the database. Only tests and benches use this: it goes past the ledger's service.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.codes import CodeText, CodeType
from giftgql.ledger.models import SystemAccount
from giftgql.store import Store

BATCH = 200_000
IDS_BELOW = 10**12
"""Ids made here are small: those that the server makes come after them."""

SPAN = timedelta(days=300)
CLIENT = "client:ggc_bulk"


@dataclass(frozen=True)
class Step:
    """One movement of the pattern; `about` is the step that it undoes."""

    type: str
    amount: int
    state: str = "POSTED"
    against: SystemAccount | None = None
    captured: int = 0
    ending: str | None = None
    about: int | None = None
    root: str | None = None
    price: int | None = None

    @property
    def moved(self) -> int:
        if self.state == "HELD":
            return self.captured if self.amount > 0 else -self.captured
        return self.amount if self.state == "POSTED" else 0


_TENDER, _REDEMPTION = SystemAccount.TENDER, SystemAccount.REDEMPTION
_ADJUSTMENT, _BREAKAGE = SystemAccount.ADJUSTMENT, SystemAccount.BREAKAGE
_PROMOTION = SystemAccount.PROMOTION

PATTERN = (
    Step("ADD", 5_000, against=_TENDER),
    Step("USE", -649, against=_REDEMPTION),
    Step("USE", -100, against=_REDEMPTION),
    Step("USE", -1_000, "HELD", _REDEMPTION, captured=700, ending="CAPTURED"),
    Step("USE", -500, "HELD", _REDEMPTION, ending="CANCELLED"),
    Step("REFUND", 200, against=_REDEMPTION, about=1, root="USE"),
    Step("USE", -10_000_000, "DECLINED"),
    Step("ADD", 300, "HELD", _TENDER, captured=300, ending="CAPTURED"),
    Step("USE", -100, "HELD", _REDEMPTION, ending="TIMED_OUT"),
    Step("REFUND", 700, against=_REDEMPTION, about=3, root="USE"),
    Step("REFUND", -50, against=_REDEMPTION, about=9, root="USE"),
    Step("ADJUST", -25, against=_ADJUSTMENT),
    Step("ADJUST", 30, against=_ADJUSTMENT),
    Step("REFUND", 25, against=_ADJUSTMENT, about=11, root="ADJUST"),
    Step("EXTERNAL", -10, against=SystemAccount.EXTERNAL),
    Step("IMPORT", 40, against=SystemAccount.IMPORT),
    Step("REFUND", -100, against=_TENDER, about=0, root="ADD"),
    Step("EXPIRE", -60, against=_BREAKAGE),
    Step("EXPIRE", 60, against=_BREAKAGE),
    Step("TRANSFER", -70),
    Step("USE", -4_000, against=_REDEMPTION),
    Step("ADD", 500, against=_TENDER, price=450),
    Step("REFUND", -100, against=_TENDER, about=21, root="ADD", price=90),
    Step("REFUND", 100, against=_TENDER, about=22, root="ADD", price=90),
    Step("ADD", 50, against=_PROMOTION, price=0),
    Step("ADD", 10, against=_TENDER, price=12),
    Step("REFUND", -10, against=_TENDER, about=25, root="ADD", price=12),
)
TRANSFER = 19
"""Cards of even places send to their neighbours, which get as much."""

FACE_VALUE = PATTERN[0].amount
FUNDS_FROM = {"ADD", "ADJUST", "EXTERNAL", "IMPORT", "TRANSFER"}


@dataclass(frozen=True)
class Books:
    """What was made: `cards` cards from `first_card` on, movements from `first_movement` on."""

    first_card: int
    cards: int
    first_movement: int
    movements: int

    def card(self, place: int) -> int:
        return self.first_card + place

    def movement(self, place: int, layer: int) -> int:
        """The id of a card's movement in a layer, which is a step of the pattern at first."""
        return self.first_movement + layer * self.cards + place


async def fill(store: Store, cards: int, movements: int, *, with_keys: bool = False) -> Books:
    """Make cards, each with the physical code `BULK` and its id, and their movements.

    Both numbers are rounded up to even ones. `with_keys` adds the request that made a movement.
    """
    cards, movements = cards + cards % 2, movements + movements % 2
    async with store.write() as tx:
        await _no_timeout(tx.session)
        books = Books(
            await _next_id(tx.session, "gift_card"),
            cards,
            await _next_id(tx.session, "movement"),
            movements,
        )
        await _add_cards(tx.session, books)
    await _add_codes(store, books)
    for low, high in _batches(books):
        async with store.write() as tx:
            await _no_timeout(tx.session)
            await _add_movements(tx.session, books, low, high, with_keys=with_keys)
    return books


def totals(movements: int, place: int) -> dict[str, int]:
    """What the account of a card comes to after so many movements."""
    found = {"posted": 0, "lifetime": 0, "redeemed": 0}
    whole, rest = divmod(movements, len(PATTERN))
    for number, step in enumerate(PATTERN):
        moved = step.moved
        if number == TRANSFER and place % 2:
            moved = -moved
        times = whole + (number < rest)
        found["posted"] += times * moved
        if step.type in FUNDS_FROM and moved > 0:
            found["lifetime"] += times * moved
        if "USE" in (step.type, step.root):
            found["redeemed"] -= times * moved
    found["uses"] = whole * _uses(len(PATTERN)) + _uses(rest)
    return found


def _uses(steps: int) -> int:
    """How many uses of the first steps have moved more than was refunded of them."""
    left = {n: step.moved for n, step in enumerate(PATTERN[:steps]) if step.type == "USE"}
    for step in PATTERN[:steps]:
        about = step.about
        while about is not None and PATTERN[about].about is not None:
            about = PATTERN[about].about
        if step.root == "USE" and about is not None:
            left[about] += step.moved
    return sum(each != 0 for each in left.values())


def _batches(books: Books) -> Iterator[tuple[int, int]]:
    """Numbers from and to, whole layers of one pass through the pattern at a time."""
    size = max(1, min(len(PATTERN), BATCH // books.cards)) * books.cards
    in_pass = len(PATTERN) * books.cards
    low = 0
    while low < books.movements:
        high = min(low + size, (low // in_pass + 1) * in_pass, books.movements)
        yield low, high
        low = high


async def _add_cards(session: AsyncSession, books: Books) -> None:
    series = f"""WITH RECURSIVE n(i) AS (
        SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {books.cards}
    )"""
    made_at = _moment(session, str(_epoch(datetime.now(UTC) - SPAN) - 3_600))
    await _run(
        session,
        f"""INSERT INTO gift_card (id, currency, created_at)
        {series} SELECT {books.first_card} + i, 'EUR', {made_at} FROM n""",
    )
    each, more = divmod(books.movements, books.cards)
    for parity in (0, 1):
        for count, where in ((each + 1, f"i < {more}"), (each, f"i >= {more}")):
            sums = totals(count, parity)
            await _run(
                session,
                f"""INSERT INTO account (id, currency, posted, held, lifetime, redeemed, uses,
                    opens_with, blocked, closed, whole_only, open_holds, revision, modified_at,
                    changed_in)
                {series} SELECT {books.first_card} + i, 'EUR', {sums["posted"]}, 0,
                    {sums["lifetime"]}, {sums["redeemed"]}, {sums["uses"]}, {FACE_VALUE}, FALSE,
                    FALSE, FALSE, 0, 0, {made_at}, {_this_transaction(session)}
                FROM n WHERE {where} AND i % 2 = {parity}""",
            )
    if _is_postgresql(session):
        await _run(session, "SELECT setval('gift_card_id_seq', (SELECT MAX(id) FROM gift_card))")


async def _add_codes(store: Store, books: Books) -> None:
    for low in range(0, books.cards, 10_000):
        rows = []
        for place in range(low, min(low + 10_000, books.cards)):
            card_id = books.card(place)
            sealed = store.vault.seal(
                CodeType.PHYSICAL, CodeText(f"BULK{card_id:08}"), card_id=card_id
            )
            rows.append({**vars_of(sealed), "card_id": card_id, "kind": "PHYSICAL"})
        async with store.write() as tx:
            await _no_timeout(tx.session)
            made_at = _moment(tx.session, str(_epoch(datetime.now(UTC) - SPAN)))
            await _run(
                tx.session,
                "INSERT INTO code (card_id, kind, fingerprint, index_key, ciphertext, cipher_key, "
                "last_four, created_at) VALUES (:card_id, :kind, :fingerprint, :index_key, "
                f":ciphertext, :cipher_key, :last_four, {made_at})",
                rows,
            )


def vars_of(sealed: Any) -> dict[str, Any]:
    names = ("fingerprint", "index_key", "ciphertext", "cipher_key", "last_four")
    return {name: getattr(sealed, name) for name in names}


async def _add_movements(
    session: AsyncSession, books: Books, low: int, high: int, *, with_keys: bool
) -> None:
    """Movements, postings, ends of holds and requests with numbers from `low` to below `high`."""
    this, made = _this_transaction(session), _made(session, books, low, high)
    await _run(
        session,
        f"""INSERT INTO movement (id, account_id, type, state, amount, asked, balance, price,
            against, error, hold_until, about_id, caller, source_id, ref_no, created_at, changed_in)
        {made} SELECT id, account_id, type, state, amount, amount, balance,
            CASE WHEN price >= 0 THEN price END,
            CASE WHEN type <> 'TRANSFER' THEN NULLIF(against, 0) END,
            CASE WHEN state = 'DECLINED' THEN 'INSUFFICIENT_FUNDS' END,
            CASE WHEN state = 'HELD' THEN {_moment(session, "at + 3600")} END,
            CASE WHEN type = 'TRANSFER' AND amount > 0 THEN id - 1
                 WHEN about >= 0 THEN id - (k - about) * {books.cards} END,
            '{CLIENT}', 'till ' || CAST(n % 20 AS VARCHAR(5)), CAST(n AS VARCHAR(20)),
            {_moment(session, "at")}, {this}
        FROM made ORDER BY id""",
    )
    await _add_postings(session, made)
    await _run(
        session,
        f"""INSERT INTO hold_end (hold_id, ending, captured, released, balance, caller,
            created_at, changed_in)
        {made} SELECT id, ending, ABS(moved), ABS(amount) - ABS(moved), ended_balance, '{CLIENT}',
            {_moment(session, "CASE WHEN ending = 'TIMED_OUT' THEN at + 3700 ELSE at + 60 END")},
            {this}
        FROM made WHERE ending <> '' ORDER BY id""",
    )
    if with_keys:
        as_json = "::json" if _is_postgresql(session) else ""
        await _run(
            session,
            f"""INSERT INTO request (caller, key, mutation, fingerprint, outcome, created_at)
            {made} SELECT '{CLIENT}', 'bulk-' || CAST(id AS VARCHAR(20)), 'giftcardTransAdd',
                :fingerprint, ('{{"movement":' || CAST(id AS VARCHAR(20)) || '}}'){as_json},
                {_moment(session, "at")}
            FROM made ORDER BY id""",
            {"fingerprint": bytes(32)},
        )


async def _add_postings(session: AsyncSession, made: str) -> None:
    at = _moment(session, "CASE WHEN ending = '' THEN at ELSE at + 60 END")
    tender, promotion = int(_TENDER), int(_PROMOTION)
    await _run(
        session,
        f"""INSERT INTO posting (movement_id, line, debit_account, credit_account, amount,
            currency, effective_at)
        {made}, line(id, line, source, target, amount, is_back, at) AS (
            SELECT id, 0, CASE WHEN price > 0 THEN {tender} WHEN against = 0 THEN account_id + 1
                               ELSE against END,
                   account_id, CASE WHEN price BETWEEN 0 AND ABS(moved) THEN price
                                    ELSE ABS(moved) END, moved < 0, {at}
            FROM made WHERE moved <> 0 AND (type <> 'TRANSFER' OR moved < 0)
            UNION ALL
            SELECT id, 1, CASE WHEN price < ABS(moved) THEN {promotion} ELSE {tender} END,
                   CASE WHEN price < ABS(moved) THEN account_id ELSE {promotion} END,
                   ABS(price - ABS(moved)), moved < 0, {at}
            FROM made WHERE price >= 0
        )
        SELECT id, line, CASE WHEN is_back THEN target ELSE source END,
               CASE WHEN is_back THEN source ELSE target END, amount, 'EUR', at
        FROM line WHERE amount > 0 ORDER BY id, line""",
    )


def _made(session: AsyncSession, books: Books, low: int, high: int) -> str:
    """A named query of the movements of a batch; `at` is in seconds since 1970."""
    first_layer, last_layer = low // books.cards, -(-high // books.cards)
    steps = ", ".join(
        _values(layer, parity) for layer in range(first_layer, last_layer) for parity in (0, 1)
    )
    start, span = _epoch(datetime.now(UTC) - SPAN), int(SPAN.total_seconds())
    return f"""WITH step(layer, k, parity, type, state, amount, moved, price, against, ending,
                         about, balance, ended_balance) AS (VALUES {steps}),
        numbered AS (
            SELECT s.*, a.id AS account_id,
                   s.layer * {books.cards} + a.id - {books.first_card} AS n
            FROM step s JOIN account a ON (a.id - {books.first_card}) % 2 = s.parity
            WHERE a.id BETWEEN {books.first_card} AND {books.first_card + books.cards - 1}
        ),
        made AS (
            SELECT numbered.*, {books.first_movement} + n AS id,
                   {start} + n * {span} / {books.movements} AS at
            FROM numbered WHERE n < {high}
        )"""


def _values(layer: int, parity: int) -> str:
    """A step of the pattern as cards of even or odd places go through it in a layer."""
    k = layer % len(PATTERN)
    step = PATTERN[k]
    sign = -1 if k == TRANSFER and parity else 1
    before, after = (totals(layer + each, parity)["posted"] for each in (0, 1))
    balance = before + min(step.amount, 0) if step.state == "HELD" else after
    about = -1 if step.about is None else step.about
    against = int(step.against or 0)
    price = -1 if step.price is None else step.price
    return (
        f"({layer}, {k}, {parity}, '{step.type}', '{step.state}', {sign * step.amount}, "
        f"{sign * step.moved}, {price}, {against}, '{step.ending or ''}', {about}, {balance}, "
        f"{after})"
    )


async def _run(session: AsyncSession, statement: str, given: Any = None) -> None:
    await (await session.connection()).execute(text(statement), given)


async def _no_timeout(session: AsyncSession) -> None:
    if _is_postgresql(session):
        await _run(session, "SET LOCAL statement_timeout = 0")


async def _next_id(session: AsyncSession, table: str) -> int:
    query = text(f"SELECT COALESCE(MAX(id), 0) + 1 FROM {table} WHERE id < {IDS_BELOW}")
    return int((await (await session.connection()).execute(query)).scalar_one())


def _is_postgresql(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def _this_transaction(session: AsyncSession) -> str:
    if _is_postgresql(session):
        return "pg_current_xact_id()::text::bigint"
    return "(SELECT value FROM change_counter)"


def _moment(session: AsyncSession, seconds: str) -> str:
    """SQL for a moment, from SQL for seconds since 1970."""
    if _is_postgresql(session):
        return f"to_timestamp({seconds})"
    return f"datetime({seconds}, 'unixepoch') || '.000000'"


def _epoch(moment: datetime) -> int:
    return int(moment.timestamp())
