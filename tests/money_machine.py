"""A machine that plays cards and money against the GraphQL API and a small model.

After every step the card's figures are compared with the model's, and the books are checked.
"""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from giftgql.ledger import service as ledger
from giftgql.permissions import Permission
from giftgql.reports import service as reports
from giftgql.store import Store
from tests import factories
from tests.card_model import Card, Hold, Moved, money
from tests.client import Answer, Client, Server

Made = TypeVar("Made")
START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
AMOUNTS = st.integers(1, 3_000)
FIELDS = "id status amount balance capturedAmount releasedAmount"
_numbers = count(1)


class MoneyMachine(RuleBasedStateMachine):
    """Plays against `store`, which the test sets; each run makes cards of its own."""

    store: ClassVar[Store]
    runner: ClassVar[asyncio.Runner]
    server: ClassVar[Server]
    client: ClassVar[Client]

    cards = Bundle("cards")
    holds = Bundle("holds")
    moves = Bundle("moves")

    @classmethod
    def over(cls, store: Store, runner: asyncio.Runner, server: Server) -> None:
        cls.store, cls.runner, cls.server = store, runner, server
        credential = cls.wait(factories.client(store, permissions=list(Permission)))
        cls.client = server.client(credential.client_secret)

    @classmethod
    def wait(cls, work: Awaitable[Made]) -> Made:
        async def run() -> Made:
            return await work

        return cls.runner.run(run())

    def run_(self, mutation: str, input_type: str, name: str, **facts: Any) -> Answer:
        document = (
            f"mutation ($x: {input_type}!) {{ {mutation}({name}: $x) {{ {FIELDS} }} }}"
            if name == "trans" or mutation == "giftcardTransfer"
            else f"mutation ($x: {input_type}!) {{ {mutation}({name}: $x) {{ id status }} }}"
        )
        return self.wait(self.client.run(document, x=facts))

    @initialize()
    def begin(self) -> None:
        self.now = START
        self.store.clock = lambda: self.now
        self.known: list[Card] = []

    # What may happen

    @rule(target=cards, days=st.none() | st.integers(0, 3))
    def add_card(self, days: int | None) -> Card:
        code = f"MACHINE{next(_numbers):08}"
        facts: dict[str, Any] = {"physicalCode": code}
        valid_until = None
        if days is not None:
            day = self.now.date() + timedelta(days=days)
            facts["expiresOn"] = day.isoformat()
            valid_until = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
        made = self.wait(factories.card(self.client, **facts))
        card = Card(made["id"], code, valid_until)
        self.known.append(card)
        return card

    def _move(self, card: Card, amount: int, **more: Any) -> Answer:
        kind = "ADD" if amount > 0 else "USE"
        return self.run_(
            "giftcardTransAdd",
            "GiftcardTransAddInput",
            "trans",
            code=card.code,
            transType=kind,
            amount=money(amount),
            **more,
        )

    @rule(target=moves, card=cards, amount=AMOUNTS, is_taking=st.booleans(), again=st.booleans())
    def move(self, card: Card, amount: int, is_taking: bool, again: bool) -> tuple[Card, Moved]:
        signed = -amount if is_taking else amount
        wanted = card.why_not(self.now, signed)
        key = {"idempotencyKey": f"key {next(_numbers)}"} if again else {}
        answer = self._move(card, signed, **key)
        assert answer.code == wanted
        moved = Moved("0", 0)
        if wanted is None:
            card.post(signed, is_use=is_taking)
            moved = Moved(answer["giftcardTransAdd"]["id"], signed)
            assert answer["giftcardTransAdd"]["balance"] == money(card.free(self.now))
        if again:
            repeated = self._move(card, signed, **key)
            assert repeated.is_replayed
            assert repeated.body["data"] == answer.body["data"]
        return card, moved

    @rule(card=cards, amount=AMOUNTS)
    def take_what_is_there(self, card: Card, amount: int) -> None:
        there = min(amount, card.free(self.now))
        wanted = card.why_not(self.now, -there if there > 0 else -amount)
        answer = self._move(card, -amount, allowPartial=True)
        assert answer.code == wanted
        if wanted is None:
            card.post(-there, is_use=True)
            assert answer["giftcardTransAdd"]["amount"] == money(-there)

    @rule(target=holds, card=cards, amount=AMOUNTS, is_taking=st.booleans(), s=st.integers(1, 90))
    def authorise(self, card: Card, amount: int, is_taking: bool, s: int) -> tuple[Card, Hold]:
        signed = -amount if is_taking else amount
        wanted = card.why_not(self.now, signed)
        answer = self._move(card, signed, authorizeOnly=True, authorizeFor=f"PT{s * 40}S")
        assert answer.code == wanted
        if wanted is not None:
            return card, Hold("0", 0, self.now)
        hold = Hold(answer["giftcardTransAdd"]["id"], signed, self.now + timedelta(seconds=s * 40))
        card.holds.append(hold)
        return card, hold

    def _why_not_end(self, hold: Hold) -> str | None:
        if hold.ending == "CAPTURED":
            return "ALREADY_CAPTURED"
        if hold.ending == "CANCELLED":
            return "ALREADY_CANCELLED"
        return "AUTHORIZATION_EXPIRED" if hold.until <= self.now else None

    @rule(chosen=holds, amount=st.none() | AMOUNTS)
    def capture(self, chosen: tuple[Card, Hold], amount: int | None) -> None:
        card, hold = chosen
        if not hold.amount:
            return
        size = abs(hold.amount) if amount is None else amount
        wanted = self._why_not_end(hold)
        if wanted is None and card.blocked:
            wanted = "CARD_BLOCKED"
        if wanted is None and size > abs(hold.amount):
            wanted = "INVALID_AMOUNT"
        if wanted is None and hold.amount > 0:
            wanted = card.why_not(self.now, size)
        more = {} if amount is None else {"amount": money(amount)}
        answer = self.run_(
            "giftcardTransCapture", "GiftcardTransCaptureInput", "trans", id=hold.id, **more
        )
        assert answer.code == wanted
        if wanted is None:
            signed = size if hold.amount > 0 else -size
            hold.ending, hold.captured = "CAPTURED", size
            card.post(signed, is_use=hold.amount < 0)
            trans = answer["giftcardTransCapture"]
            assert trans["capturedAmount"] == money(size)
            assert trans["releasedAmount"] == money(abs(hold.amount) - size)

    @rule(chosen=holds)
    def cancel(self, chosen: tuple[Card, Hold]) -> None:
        _, hold = chosen
        if not hold.amount:
            return
        wanted = self._why_not_end(hold)
        if wanted == "AUTHORIZATION_EXPIRED":
            wanted = "ALREADY_CANCELLED"
        answer = self.run_("giftcardTransCancel", "GiftcardTransCancelInput", "trans", id=hold.id)
        assert answer.code == wanted
        if wanted is None:
            hold.ending = "CANCELLED"

    @rule(chosen=moves | holds, amount=st.none() | AMOUNTS)
    def refund(self, chosen: tuple[Card, Moved | Hold], amount: int | None) -> None:
        card, done = chosen
        if not done.amount:
            return
        size = done.captured if isinstance(done, Hold) else abs(done.amount)
        left = size - done.refunded
        wanted_size = left if amount is None else amount
        signed = -wanted_size if done.amount > 0 else wanted_size
        wanted = "REFUND_EXCEEDS_CAPTURED" if wanted_size > left or left == 0 else None
        wanted = wanted or card.why_not(self.now, signed)
        more = {} if amount is None else {"amount": money(amount)}
        answer = self.run_(
            "giftcardTransRefund", "GiftcardTransRefundInput", "trans", id=done.id, **more
        )
        assert answer.code == wanted
        if wanted is None:
            done.refunded += wanted_size
            card.post(signed, is_use=done.amount < 0, is_refund=True)

    @rule(source=cards, there=cards, amount=st.none() | AMOUNTS)
    def transfer(self, source: Card, there: Card, amount: int | None) -> None:
        if source is there:
            return
        size = source.free(self.now) if amount is None else amount
        unblocked, source.blocked = source.blocked, False
        is_expired = not unblocked and source.is_expired(self.now)
        source.blocked = unblocked
        wanted = None
        if source.closed:
            wanted = "CARD_DISABLED"
        elif is_expired:
            wanted = "CARD_EXPIRED"
        elif source.lifetime == 0:
            wanted = "CARD_NOT_ACTIVATED"
        elif not 0 < size <= source.free(self.now):
            wanted = "INSUFFICIENT_FUNDS"
        wanted = wanted or there.why_not(self.now, size)
        more = {} if amount is None else {"amount": money(amount)}
        answer = self.run_(
            "giftcardTransfer",
            "GiftcardTransferInput",
            "giftcard",
            id=source.id,
            toId=there.id,
            **more,
        )
        assert answer.code == wanted
        if wanted is None:
            source.post(-size, is_use=False)
            there.post(size, is_use=False)

    def _stand(self, mutation: str, card: Card, **more: Any) -> Answer:
        name = mutation[0].upper() + mutation[1:] + "Input"
        return self.run_(mutation, name, "giftcard", id=card.id, reason="machine", **more)

    @rule(card=cards)
    def block(self, card: Card) -> None:
        answer = self._stand("giftcardBlock", card)
        assert answer.code == ("CARD_DISABLED" if card.closed else None)
        card.blocked = card.blocked or not card.closed

    @rule(card=cards)
    def unblock(self, card: Card) -> None:
        answer = self._stand("giftcardUnblock", card)
        assert answer.code == ("CARD_DISABLED" if card.closed else None)
        if not card.closed and card.blocked:
            card.blocked = False
            self._expire(card)

    @rule(card=consumes(cards))
    def disable(self, card: Card) -> None:
        assert self._stand("giftcardDisable", card).code is None
        for hold in card.open_holds(self.now):
            hold.ending = "CANCELLED"
        card.posted, card.closed = 0, True

    @rule(card=cards, days=st.integers(1, 4))
    def extend(self, card: Card, days: int) -> None:
        answer = self._stand("giftcardExtend", card, validFor=f"P{days}D")
        assert answer.code == ("CARD_DISABLED" if card.closed else None)
        day = self.now.date() + timedelta(days=days + 1)
        later = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if not card.closed and card.valid_until is not None and card.valid_until < later:
            card.valid_until = later
            card.posted, card.expired = card.posted + card.expired, 0

    def _expire(self, card: Card) -> None:
        if card.is_expired(self.now) and not card.closed:
            free = card.free(self.now)
            card.posted, card.expired = card.posted - free, card.expired + free

    @rule(hours=st.sampled_from([0.01, 0.5, 1, 6, 24, 50]))
    def let_time_pass(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def sweep(self) -> None:
        async def swept() -> None:
            async with self.store.write() as tx:
                await ledger.sweep(tx)

        self.wait(swept())
        for card in self.known:
            self._expire(card)

    # What is always so

    @invariant()
    def cards_are_as_the_model_says(self) -> None:
        if not getattr(self, "known", None):
            return
        ids = " ".join(
            f'a{card.id}: giftcard(id: "{card.id}") {{ results {{ '
            "status balance held lifetimeTotal redeemed subtracted } }"
            for card in self.known[-8:]
        )
        answer = self.wait(self.client.run(f"{{ {ids} }}"))
        for card in self.known[-8:]:
            shown = answer[f"a{card.id}"]["results"][0]
            assert shown == {
                "status": card.status(self.now),
                "balance": money(card.balance(self.now)),
                "held": money(card.held(self.now)),
                "lifetimeTotal": money(card.lifetime),
                "redeemed": money(card.redeemed),
                "subtracted": money(card.lifetime - card.redeemed - card.posted),
            }

    @invariant()
    def the_books_are_clean(self) -> None:
        async def findings() -> Any:
            async with self.store.read() as reading:
                return await reports.check(reading)

        if getattr(self, "known", None):
            assert list(self.wait(findings())) == []
