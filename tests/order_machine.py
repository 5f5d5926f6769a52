"""A machine that plays orders against the GraphQL API, and a small model of whose money is where.

After every step each card has what the model says, each order is what its payments make of it, no
card is in two orders, and the books are clean.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from giftgql import work
from giftgql.permissions import Permission
from giftgql.reports import service as reports
from giftgql.store import Store
from tests import factories, heirs, ordering, stock
from tests.client import Answer, Client, Server
from tests.factories import done
from tests.ordering import bought, cash, goods

Made = TypeVar("Made")
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FIRST, BOXES = 10_000, 4
AMOUNTS = st.integers(1, 6_000)
WHICH = st.integers(0, 2)
_numbers = count(1)


def money(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02}"


def minor(text: str) -> int:
    return int(text.replace(".", ""))


@dataclass
class Wallet:
    """A card that pays, and what was added to it and taken from it outside of orders. One that is
    replaced on use, once it has an owner, becomes the card that took its place."""

    made: dict[str, Any]
    is_replaced: bool = False
    outside: int = FIRST
    held: int = 0
    is_blocked: bool = False
    before: list[str] = field(default_factory=list)

    @property
    def card_ids(self) -> list[str]:
        return [*self.before, self.made["id"]]


@dataclass
class Placed:
    """An order, its last answer, what was reported as paid in other ways, and its first key."""

    order: dict[str, Any]
    until: datetime
    given: list[int] = field(default_factory=list)


class OrderMachine(RuleBasedStateMachine):
    """Plays against `store`, which the test sets; each run makes cards and products of its own."""

    store: ClassVar[Store]
    runner: ClassVar[asyncio.Runner]
    server: ClassVar[Server]
    client: ClassVar[Client]

    @classmethod
    def over(cls, store: Store, runner: asyncio.Runner, server: Server) -> None:
        cls.store, cls.runner, cls.server = store, runner, server
        credential = cls.wait(factories.client(store, permissions=list(Permission)))
        cls.client = server.client(credential.client_secret)

    @classmethod
    def wait(cls, work_: Awaitable[Made]) -> Made:
        async def run() -> Made:
            return await work_

        return cls.runner.run(run())

    @initialize()
    def begin(self) -> None:
        self.now, number = START, next(_numbers)
        self.store.clock = lambda: self.now
        self.wallets = self.wait(self._wallets())
        boxes = {"name": f"Boxes {number}", "systemName": f"boxes-{number}"}
        self.pool = self.wait(stock.pool(self.client, **boxes))
        self.wait(stock.stocked(self.store, self.pool, BOXES, begin=f"B{number}X"))
        self.product = self.wait(stock.product(self.client))
        self.placed: list[Placed] = []

    async def _wallets(self) -> list[Wallet]:
        """One card that keeps its code; one that has it replaced; one that is nobody's, so that it
        keeps it."""
        value = {"price": money(FIRST), "value": money(FIRST)}
        sold_as = await stock.product(self.client, strategy="REPLACEMENT", presets=[value])
        owner = await factories.member(self.client, email="ada@example.org")
        made = [done(await stock.issue(self.client, sold_as, memberId=o)) for o in (owner, None)]
        plain = await factories.funded(self.client, money(FIRST))
        return [Wallet(plain), *(Wallet(each, is_replaced=True) for each in made)]

    # What may happen

    @rule(
        price=st.integers(0, 20_000),
        percent=st.integers(0, 100),
        cards=st.lists(WHICH, max_size=3, unique=True),
        at_most=st.none() | AMOUNTS,
        boxes=st.integers(0, 2),
        new=st.integers(0, 2),
        paid=st.sampled_from(["nothing", "something", "all"]),
        minutes=st.integers(1, 60),
    )
    def place(
        self,
        price: int,
        percent: int,
        cards: list[int],
        at_most: int | None,
        boxes: int,
        new: int,
        paid: str,
        minutes: int,
    ) -> None:
        lines = [goods(money(price), tax={"rate": "7"})]
        if boxes:
            lines.append({"giftcard": {"poolId": self.pool["id"]}, "quantity": boxes})
        if new:
            lines.append(ordering.gift(self.product, quantity=new))
        facts: dict[str, Any] = {"discounts": [{"percent": str(percent)}]}
        limit = {} if at_most is None else {"amount": money(at_most)}
        wallets = [self.wallets[each] for each in cards]
        facts["giftcards"] = ordering.paying(*(each.made for each in wallets), **limit)
        quoted = self.wait(ordering.calculate(self.client, *lines, **facts))
        found = done(quoted)
        due = minor(found["amountDue"])
        part = {"nothing": 0, "something": due // 2, "all": due}[paid]
        more = {"payments": [cash(money(part))] if part else [], "quote": found["quote"]}
        more |= {"holdFor": f"PT{minutes}M", "idempotencyKey": f"order {next(_numbers)}"}
        answer = self.wait(ordering.place(self.client, *lines, **facts, **more))
        repeated = self.wait(ordering.place(self.client, *lines, **facts, **more))
        reasons = {each["notApplicable"] for each in found["giftcards"]} - {None}
        if reasons:
            assert answer.code in reasons
        elif answer.code is not None:
            assert answer.code == "POOL_EXHAUSTED"
            assert boxes > self._free_boxes()
        else:
            assert repeated.is_replayed
            assert repeated.body["data"] == answer.body["data"]
            order = answer["orderAdd"]
            assert order["status"] == ("PAID" if part == due else "PENDING")
            until = self.now + timedelta(minutes=minutes)
            self.placed.append(Placed(order, until, [part] if part else []))

    @rule(which=st.integers(0, 9), amount=AMOUNTS, exact=st.booleans())
    def pay(self, which: int, amount: int, exact: bool) -> None:
        if (placed := self._some(which)) is None:
            return
        due = minor(placed.order["amountDue"])
        given = due if exact and due else amount
        key = {"idempotencyKey": f"pay {next(_numbers)}"}
        order = done(self.wait(ordering.pay(self.client, placed.order, money(given), **key)))
        again = self.wait(ordering.pay(self.client, placed.order, money(given), **key))
        assert again.is_replayed
        assert again["orderPaymentAdd"] == order
        placed.given.append(given)

    @rule(which=st.integers(0, 9))
    def cancel(self, which: int) -> None:
        if (placed := self._some(which)) is None:
            return
        answer = self.wait(ordering.cancel(self.client, placed.order))
        paid = {"PAID": "ORDER_PAID", "CANCELLED": "ORDER_CANCELLED", "PENDING": None}
        wanted = paid[placed.order["status"]]
        is_unwritten = placed.order["reason"] is None and placed.until <= self.now
        assert answer.code == wanted or (is_unwritten and answer.code is None)

    @rule(which=st.integers(0, 9), amount=st.none() | AMOUNTS, takes_back=st.booleans())
    def refund(self, which: int, amount: int | None, takes_back: bool) -> None:
        if (placed := self._some(which)) is None:
            return
        facts: dict[str, Any] = {} if amount is None else {"amount": money(amount)}
        cards = bought(placed.order)
        if takes_back and cards:
            facts["giftcards"] = cards[:1]
        answer = self.wait(ordering.refund(self.client, placed.order, **facts))
        allowed = {None, "REFUND_EXCEEDS_CAPTURED", "CARD_BLOCKED", "NOT_FOUND"}
        status: dict[str, set[str | None]]
        status = {"PENDING": {"CONFLICT"}, "CANCELLED": {"ORDER_CANCELLED"}, "PAID": allowed}
        assert answer.code in status[placed.order["status"]]

    @rule(which=WHICH, amount=AMOUNTS, is_taking=st.booleans())
    def move(self, which: int, amount: int, is_taking: bool) -> None:
        wallet, signed = self.wallets[which], -amount if is_taking else amount
        kind = "USE" if is_taking else "ADD"
        code = factories.code_of(wallet.made)
        facts = {"code": code, "transType": kind, "amount": f"{'-' * is_taking}{money(amount)}"}
        answer: Answer = self.wait(factories.trans(self.client, **facts))
        if wallet.is_blocked:
            assert answer.code == "CARD_BLOCKED"
        elif answer.code is None:
            wallet.outside += signed
        elif is_taking and wallet.is_replaced and wallet.held:
            assert answer.code in ("CONFLICT", "INSUFFICIENT_FUNDS")
        else:
            assert answer.code == "INSUFFICIENT_FUNDS"
            assert is_taking

    @rule(which=WHICH)
    def block_or_unblock(self, which: int) -> None:
        wallet = self.wallets[which]
        change = "Unblock" if wallet.is_blocked else "Block"
        done(self.wait(factories.stand(self.client, change, wallet.made["id"])))
        wallet.is_blocked = not wallet.is_blocked

    @rule(minutes=st.sampled_from([1, 10, 59, 120]))
    def let_time_pass(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule()
    def sweep(self) -> None:
        self.wait(work.sweep(self.store))

    # What is always so

    def _some(self, which: int) -> Placed | None:
        return self.placed[which % len(self.placed)] if self.placed else None

    def _free_boxes(self) -> int:
        """Cards of the pool that no order has."""
        return BOXES - sum(self._boxes_of(each) for each in self.placed)

    def _boxes_of(self, placed: Placed) -> int:
        is_over = placed.order["status"] == "CANCELLED" and placed.order["reason"] is None
        lines = placed.order["lines"]
        boxes = [line for line in lines if line["name"].startswith("Boxes")]
        return 0 if is_over else sum(len(line["giftcardIds"]) for line in boxes)

    @invariant()
    def all_is_accounted_for(self) -> None:
        if getattr(self, "wallets", None):
            self._orders_are_what_their_payments_make_of_them()
            self._cards_have_what_is_left()
            assert self.wait(self._findings()) == []

    def _orders_are_what_their_payments_make_of_them(self) -> None:
        cards = list[str]()
        for placed in self.placed:
            [order] = self.wait(ordering.orders(self.client, id=placed.order["id"]))
            was, placed.order = placed.order["status"], order
            assert was == "PENDING" or order["status"] == was
            if order["status"] == "PENDING":
                assert self.now < placed.until
            by_card = [p for p in order["payments"] if p["method"] == "gift_card"]
            others = [p for p in order["payments"] if p["method"] != "gift_card"]
            assert sorted(minor(p["amount"]) for p in others) == sorted(placed.given)
            assert minor(order["refundDue"]) == sum(minor(p["refunded"]) for p in others)
            kept = sum(minor(p["amount"]) for p in order["payments"] if p["status"] != "RELEASED")
            total = minor(order["grandTotal"])
            if order["status"] == "PENDING":
                assert minor(order["amountDue"]) == total - kept > 0
            else:
                assert order["amountDue"] == "0.00"
                assert {p["status"] for p in by_card} <= {"PAID", "RELEASED"}
            if order["status"] == "PAID":
                pieces = sum(line["quantity"] for line in order["lines"] if line["value"])
                assert kept >= total
                assert len(bought(order)) == pieces
            if order["status"] == "CANCELLED":
                assert {p["status"] for p in by_card} <= {"RELEASED"}
            if order["status"] != "CANCELLED":
                cards += bought(order)
        assert max(Counter(cards).values(), default=0) <= 1

    def _cards_have_what_is_left(self) -> None:
        for wallet in self.wallets:
            if wallet.is_replaced:
                self.wait(self._follow(wallet))
            shown = self.wait(factories.money(self.client, wallet.made["id"]))
            spent = held = 0
            for placed in self.placed:
                for payment in placed.order["payments"]:
                    if payment["giftcardId"] not in wallet.card_ids:
                        continue
                    if payment["status"] == "PAID":
                        spent += minor(payment["amount"]) - minor(payment["refunded"])
                    held += minor(payment["amount"]) if payment["status"] == "HELD" else 0
            wallet.held = held
            assert shown["held"] == money(held)
            assert shown["balance"] == money(wallet.outside - spent - held)

    async def _follow(self, wallet: Wallet) -> None:
        """Whatever is left of a card that was replaced is on its successor."""
        while (new := (await heirs.card(self.client, wallet.made["id"]))["replacedBy"]) is not None:
            old = await factories.money(self.client, wallet.made["id"])
            assert old["balance"] == old["held"] == "0.00"
            wallet.before.append(wallet.made["id"])
            wallet.made = await heirs.heir(self.store, {"replacedById": new["id"]})

    async def _findings(self) -> list[Any]:
        async with self.store.snapshot() as reading:
            return list(await reports.check(reading))
