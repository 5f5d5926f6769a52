"""Random orders for the pure core of the ledger: it must do what the model says, and its rows
must agree after every step. The long form: `scripts/fuzz-ledger --seeds 100000`."""

import argparse
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from time import perf_counter
from typing import Any

from giftgql.ledger.books import Entry, Outcome
from giftgql.ledger.models import HoldEnding, MovementType
from giftgql.ledger.orders import (
    SERVER,
    About,
    By,
    Cancel,
    Capture,
    Close,
    Extend,
    Funds,
    Move,
    Order,
    Refund,
    Replace,
    Sweep,
    Transfer,
    Undo,
)
from tests.ledger_model import NOTHING, Answer, Card, Model
from tests.ledger_rows import Rows, faults

STEPS = 16
CEILING = 30
BEGINS = datetime(2026, 11, 21, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CALLER = By("client:fuzz")
TYPES = (
    *(MovementType.ADD, MovementType.ADD, MovementType.ADD, MovementType.USE, MovementType.USE),
    *(MovementType.ADJUST, MovementType.EXTERNAL, MovementType.IMPORT),
)


class Run:
    """A few cards, and what is done to them from one seed."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = BEGINS
        cards = [self._card(each) for each in range(1, self.random.randint(3, 5))]
        self.model = Model(cards, self.now, CEILING)
        self.rows = Rows([_funds(card) for card in cards], CEILING)
        self.last_id = 100
        self.seen: Counter[str] = Counter()

    def go(self) -> Counter[str]:
        """Returns how often each answer was given; AssertionError tells of the first fault."""
        self._post([self._first_funds(each) for each in list(self.model.cards)[1:]])
        for _ in range(STEPS):
            self.now += self.random.choice((0, 0, 0, 1, 1, 2)) * SECOND
            self.model.now = self.now
            if self.random.random() < 0.1:
                self._change_standing()
            else:
                self._post(self._batch())
            self._check()
        return self.seen

    def _card(self, card_id: int) -> Card:
        seconds = self.random.choice((None, None, None, 5, 8, 11))
        until = None if seconds is None else BEGINS + seconds * SECOND
        card = Card(
            card_id,
            currency="JPY" if card_id == 3 else "EUR",
            whole_only=self.random.random() < 0.2,
            valid_until=until,
        )
        if self.random.random() < 0.4:
            begins, lasts = (self.random.choice((None, 2, 5)) for _ in range(2))
            card.valid_from = None if begins is None else BEGINS + begins * SECOND
            card.validity = None if lasts is None else lasts * 2 * SECOND
            card.opens_with = self.random.choice((None, self.random.randint(2, CEILING // 2)))
            card.most_uses = self.random.choice((None, 1, 1, 2))
        card.replaced_on_use = self.random.random() < 0.3
        return card

    def _first_funds(self, card_id: int) -> Order:
        amount = self.model.cards[card_id].opens_with or self.random.randint(1, CEILING // 2)
        return Move(
            account_id=card_id, by=CALLER, id=self._id(), type=MovementType.ADD, amount=amount
        )

    def _post(self, orders: list[Order]) -> None:
        outcomes = self.rows.post(self.now, orders)
        self.seen[HoldEnding.TIMED_OUT] = sum(
            end.ending is HoldEnding.TIMED_OUT for end in self.rows.ends.values()
        )
        for order, outcome in zip(orders, outcomes, strict=True):
            expected, given = self.model.do(order), answer_of(outcome)
            if isinstance(order, Close):  # its answer is the card
                continue
            assert given == expected, order
            self.seen[_named(expected)] += 1
            is_passed = isinstance(order, Refund | Undo) and order.id + 2 in self.rows.entries
            self.seen["passed on"] += is_passed
            is_replaced = isinstance(order, Replace) and _named(expected) == "POSTED TRANSFER"
            self.seen["replaced"] += is_replaced
        if len(orders) == 1 and isinstance(orders[0], Sweep):
            due_at = self.rows.due_at[orders[0].account_id]
            assert due_at is None or due_at > self.now, "what was just swept is due again"

    def _check(self) -> None:
        assert faults(self.rows) == []
        for card in self.model.cards.values():
            account = self.rows.accounts[card.id]
            holds = self.rows.open_holds(card.id)
            freed = sum(max(0, -each.amount) for each in holds if _is_over(each, self.now))
            assert account.posted == card.posted
            assert account.held - freed == card.held(self.now)
            unused = [each for each in holds if _is_over(each, self.now)]
            unused = [each for each in unused if each.type is MovementType.USE]
            assert account.uses - len(unused) == card.uses(self.now)
            assert (account.lifetime, account.redeemed) == (card.lifetime, card.redeemed)
            assert account.posted == account.lifetime - account.redeemed - card.subtracted
            assert account.valid_until == card.valid_until
            assert (account.closed, account.replaced_by) == (card.disabled, card.replaced_by)
            assert set(self.rows.entries) == set(self.model.trans)

    def _change_standing(self) -> None:
        """Block or unblock, as the service does it."""
        card = self.random.choice(list(self.model.cards.values()))
        if card.disabled or (not card.blocked and self.random.random() < 0.5):
            return
        card.blocked = not card.blocked
        self.rows.set_blocked(card.id, card.blocked)
        if not card.blocked:
            self._post([Sweep(account_id=card.id, by=SERVER, id=self._id(), effective_at=self.now)])

    def _batch(self) -> list[Order]:
        """Several orders; what changes a card's standing comes alone, as from the service."""
        if self.random.random() < 0.08:
            make = self.random.choice((*[self._extend] * 4, self._close))
            return [make(self._card_id())]
        kinds = (*[self._move] * 9, *[self._about] * 6, *[self._transfer] * 2, self._sweep)
        kinds = (*kinds, self._replace)
        size = self.random.choice((1, 1, 2, 3, 5))
        return [self.random.choice(kinds)(self._card_id()) for _ in range(size)]

    def _move(self, card_id: int) -> Order:
        kind, random = self.random.choice(TYPES), self.random
        sign = {MovementType.ADD: 1, MovementType.USE: -1}.get(kind, random.choice((1, -1)))
        if random.random() < 0.03:
            sign = -sign
        is_late = random.random() < 0.04
        amount, hold_for = (
            sign * self._size(card_id),
            random.choice((None, random.randint(1, 6) * SECOND)),
        )
        may_cost = kind is MovementType.ADD and amount > 0 and hold_for is None
        few = random.randint(0, amount + amount // 2 + 1) if may_cost else 0
        return Move(
            account_id=card_id,
            by=CALLER,
            id=self._id(),
            type=kind,
            amount=amount,
            hold_for=hold_for,
            price=random.choice((None, 0, amount, few, few, few)) if may_cost else None,
            allow_partial=random.random() < 0.2,
            revision=random.choice((None, *[0] * 25, 1)),
            code_until=self.now + random.choice((-1, 0, 1)) * SECOND if is_late else None,
        )

    def _about(self, card_id: int) -> Order:
        """About what was on the books before this batch, mostly about what can be ended."""
        known = [each for each in self.model.cards[card_id].history if each.id in self.rows.entries]
        if self.random.random() < 0.8:
            known = [each for each in known if each.is_open(self.now) or each.left]
        if not known:
            return self._move(card_id)
        holds = [each for each in known if each.is_open(self.now)]
        about = self.random.choice(holds if holds and self.random.random() < 0.5 else known)
        size = self.random.randint(1, max(1, abs(about.amount)))
        # A refund that is passed on is three movements.
        facts: dict[str, Any] = {"account_id": card_id, "by": CALLER, "id": self._id(3)}
        facts["movement_id"] = about.id
        kinds = (Capture, Capture, Cancel, Undo) if about.until else (Refund, Refund, Undo)
        kind: type[About] = self.random.choice((*kinds, *kinds, Capture, Cancel, Refund, Undo))
        if kind is Undo and about.type is MovementType.TRANSFER and about.left:
            kind = Refund  # which is done by a transfer back
        if kind in (Refund, Undo):
            facts["at_id"] = self._place_of(card_id)
        if kind in (Capture, Refund):
            facts["amount"] = self.random.choice((None, size, size, size, size + 1, -1, 0))
        return kind(**facts)

    def _transfer(self, card_id: int) -> Order:
        currency = self.model.cards[card_id].currency
        others = [
            card.id
            for card in self.model.cards.values()
            if card.id != card_id and card.currency == currency
        ]
        if not others:
            return self._move(card_id)
        return Transfer(
            account_id=card_id,
            to_id=self.random.choice(others),
            by=CALLER,
            id=self._id(2),
            amount=self.random.choice((None, self._size(card_id), self._size(card_id))),
        )

    def _replace(self, card_id: int) -> Order:
        """Replace a card by a new one that is as it was; mostly one that has something."""
        card, new_id = self.model.cards[card_id], len(self.model.cards) + 1
        if card.available(self.now) == 0 and self.random.random() < 0.9:
            return self._move(card_id)
        self.model.cards[new_id] = new = Card(
            new_id,
            card.currency,
            whole_only=card.whole_only,
            valid_until=card.valid_until,
            most_uses=card.most_uses,
            replaced_on_use=card.replaced_on_use,
        )
        self.rows.accounts[new_id] = _funds(new)
        self.rows.due_at[new_id] = None
        return Replace(account_id=card_id, to_id=new_id, by=CALLER, id=self._id(2))

    def _place_of(self, card_id: int) -> int | None:
        """Where a card's money is, if that was replaced; sometimes as it was before."""
        place = card_id
        while (later := self.model.cards[place].replaced_by) is not None:
            if self.random.random() < 0.1:
                break
            place = later
        return None if place == card_id else place

    def _sweep(self, card_id: int) -> Order:
        return Sweep(account_id=card_id, by=SERVER, id=self._id())

    def _extend(self, card_id: int) -> Order:
        until = self.now + self.random.randint(-1, 8) * SECOND
        return Extend(account_id=card_id, by=CALLER, id=self._id(), valid_until=until)

    def _close(self, card_id: int) -> Order:
        return Close(account_id=card_id, by=CALLER, id=self._id())

    def _card_id(self) -> int:
        return self.random.choice(list(self.model.cards))

    def _id(self, many: int = 1) -> int:
        """The first of so many new ids in a row."""
        self.last_id += many
        return self.last_id - many + 1

    def _size(self, card_id: int) -> int:
        """An amount, often near a limit."""
        card = self.model.cards[card_id]
        if card.opens_with and not card.lifetime and self.random.random() < 0.5:
            return card.opens_with
        free = card.posted - card.held(self.now)
        near = max(1, free + self.random.choice((-1, 0, 0, 0, 1)))
        room = CEILING - card.posted + self.random.choice((0, 1))
        few = self.random.randint(1, 6)
        odd = self.random.choice((0, room, room, CEILING, CEILING + 1))
        return self.random.choice((*[few] * 10, *[near] * 3, odd))


def answer_of(outcome: Outcome) -> Answer:
    if outcome.is_stale:
        return ("stale",)
    if outcome.end is not None:
        end = outcome.end
        return "end", end.hold_id, end.ending, end.captured, end.released, end.balance
    if outcome.entry is None:
        return NOTHING
    entry = outcome.entry
    facts = (entry.id, entry.account_id, entry.state, entry.type, entry.amount, entry.asked)
    return "entry", *facts, entry.error, entry.hold_until, entry.balance, entry.price


def _is_over(hold: Entry, now: datetime) -> bool:
    return hold.hold_until is not None and hold.hold_until <= now


def _named(answer: Answer) -> str:
    if answer[0] == "end":
        return str(answer[2])
    if answer[0] == "entry":
        priced = "" if answer[-1] is None else " priced"
        return str(answer[7] or f"{answer[3]} {answer[4]}{priced}")
    return str(answer[0])


def _funds(card: Card) -> Funds:
    validity = None if card.validity is None else str(card.validity // SECOND)
    return Funds(
        card.id,
        card.currency,
        whole_only=card.whole_only,
        valid_from=card.valid_from,
        valid_until=card.valid_until,
        validity=validity,
        opens_with=card.opens_with,
        most_uses=card.most_uses,
        replaced_on_use=card.replaced_on_use,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20_000)
    parser.add_argument("--from", type=int, default=0, dest="first")
    asked = parser.parse_args()
    seen: Counter[str] = Counter()
    begun = perf_counter()
    for seed in range(asked.first, asked.first + asked.seeds):
        try:
            seen += Run(seed).go()
        except Exception:
            print(f"seed {seed} fails", file=sys.stderr)
            raise
    seconds = perf_counter() - begun
    for name, times in seen.most_common():
        print(f"{times:>10} {name}")
    print(f"{asked.seeds} seeds, {seen.total()} orders, {seconds:.1f} s: no fault")
    return 0


if __name__ == "__main__":
    sys.exit(main())
