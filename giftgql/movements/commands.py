"""From what a caller sends to an order for the ledger: what must be known before it is asked; and
from what came of it to the answer.

Only what never changes is read here: whose a transaction is, its account and its currency.
Everything else is read again under the account's lock; where what was looked up has changed since,
it is looked up again. Uses of cards that are replaced on use have a transaction of their own: a
card is made in it. All else goes together with other requests.
"""

from collections.abc import Awaitable, Callable, Sequence

from giftgql.context import Context
from giftgql.errors import (
    Conflict,
    IdempotencyConflict,
    InvalidInput,
    PermissionDenied,
    Refusal,
    Unavailable,
)
from giftgql.ledger import service as ledger
from giftgql.ledger.books import Outcome
from giftgql.ledger.models import MovementState, MovementType
from giftgql.ledger.orders import By, Cancel, Capture, Refund, Transfer, Undo
from giftgql.ledger.service import Asked, Result
from giftgql.money import minor
from giftgql.movements import service
from giftgql.movements.admission import admit
from giftgql.movements.inputs import (
    GiftcardTransCancelInput,
    GiftcardTransCaptureInput,
    GiftcardTransferInput,
    GiftcardTransRefundInput,
    Wanted,
    optional_text,
    request_of,
)
from giftgql.movements.repository import Recorded
from giftgql.movements.service import PERMISSIONS, NewTrans, Trans
from giftgql.requests import service as requests
from giftgql.requests.service import JustClaimed, Once, once
from giftgql.succession import service as succession
from giftgql.values import given, known_id, record_id

ATTEMPTS = 3


async def add(context: Context, wanted: Wanted, new: NewTrans) -> Result:
    """Post a movement. Needs the permission of its type."""
    context.caller.require(PERMISSIONS[new.type])

    async def attempt() -> Result:
        try:
            presented = await admit(context.store, context.caller, wanted, is_taking=new.is_taking)
        except Refusal:
            if done := await _done_before(context, new.request):
                return done
            raise
        asked = service.move(context.reading(), new, presented)
        if presented.replaced_on_use and new.is_use_at_once:
            return await _use(context, asked, asked.order.by)
        return await _post(context, asked)

    return await _attempts(attempt)


async def _done_before(context: Context, request: Once | None) -> Result | None:
    """The first answer to a repeated request whose code can be used no longer."""
    if request is None:
        return None
    async with context.read() as reading:
        done = await requests.done(reading, request)
    return None if done is None else Result(Outcome(), "", done)


async def capture(context: Context, trans: GiftcardTransCaptureInput) -> Result:
    """End an authorisation by taking all of it or a part."""
    recorded, _ = await _found(context, record_id(trans.id))
    _require_its_type(context, recorded)
    movement = recorded.movement
    order = Capture(
        account_id=movement.account_id,
        movement_id=recorded.id,
        amount=_amount(given(trans.amount), recorded.currency),
        by=By(context.caller.name),
    )
    asked = Asked(order, request_of(trans, "giftcardTransCapture", trans.idempotency_key))
    if recorded.replaced_on_use and movement.type is MovementType.USE:
        by = By(context.caller.name, movement.code_id, movement.source_id, movement.ref_no)
        return await _use(context, asked, by)
    return await _post(context, asked)


async def refund(context: Context, trans: GiftcardTransRefundInput) -> Result:
    """Undo a transaction, all or a part; with the money of the card that has replaced its card."""

    async def attempt() -> Result:
        recorded, place = await _found(context, record_id(trans.id))
        order = Refund(
            account_id=recorded.movement.account_id,
            at_id=place,
            movement_id=recorded.id,
            amount=_amount(given(trans.amount), recorded.currency),
            by=By(
                context.caller.name,
                recorded.movement.code_id,
                optional_text(trans.source_id, "sourceId", 64),
                optional_text(trans.ref_no, "refNo", 64),
                optional_text(trans.reason, "reason", 500),
            ),
        )
        request = request_of(trans, "giftcardTransRefund", trans.idempotency_key)
        return await _post(context, Asked(order, request))

    return await _attempts(attempt)


async def transfer(context: Context, giftcard: GiftcardTransferInput) -> Result:
    """Move funds from one card to another."""
    source = known_id(giftcard.id, "id", "gift card")
    target = known_id(giftcard.to_id, "toId", "gift card")
    if source == target:
        raise InvalidInput("toId", "is the card itself")
    async with context.read() as reading:
        currencies = await ledger.currencies(reading, {"id": source, "toId": target})
    order = Transfer(
        account_id=source,
        to_id=target,
        amount=_amount(given(giftcard.amount), currencies),
        by=By(
            context.caller.name,
            None,
            optional_text(giftcard.source_id, "sourceId", 64),
            optional_text(giftcard.ref_no, "refNo", 64),
            optional_text(giftcard.reason, "reason", 500),
        ),
    )
    request = request_of(giftcard, "giftcardTransfer", giftcard.idempotency_key)
    return await _post(context, Asked(order, request))


async def cancel(context: Context, trans: GiftcardTransCancelInput) -> Result | None:
    """Post the cancellation of an authorisation, or undo what a key did."""
    wanted, of_key = given(trans.id), given(trans.of_key)
    if (wanted is None) == (of_key is None):
        raise InvalidInput("id", "or ofKey is needed, not both")
    if of_key is not None:
        if given(trans.idempotency_key) is not None:
            raise InvalidInput("idempotencyKey", "does not go with ofKey, which may be repeated")
        return await _cancel_key(context, of_key)
    assert wanted is not None
    recorded, _ = await _found(context, record_id(wanted))
    _require_its_type(context, recorded)
    order = Cancel(
        account_id=recorded.movement.account_id,
        movement_id=recorded.id,
        by=By(context.caller.name),
    )
    request = request_of(trans, "giftcardTransCancel", trans.idempotency_key)
    return await _post(context, Asked(order, request))


async def answered(context: Context, result: Result) -> Trans:
    """The transaction that came of an order. Refuses what was declined, now that it is kept."""
    context.replayed |= result.replayed is not None
    reference, outcome = service.reference_of(result), result.outcome
    if reference is None:
        assert outcome.entry is not None
        trans = service.entered(outcome.entry, result.currency)
    else:
        movement_id = reference.get("end") or reference["movement"]
        recorded = await context.load(_recorded_by_ids, int(movement_id))
        if outcome.past is not None and outcome.end is None:  # there was nothing left to do
            return service.shown(recorded, context.store.now)
        trans = service.as_answered(recorded, reference)
    if trans.error is not None:
        raise service.refusal(trans)
    return trans


async def _recorded_by_ids(context: Context, movement_ids: Sequence[int]) -> list[Recorded]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        found = await service.by_ids(reading, movement_ids)
    return [found[each] for each in movement_ids]


async def _cancel_key(context: Context, of_key: str) -> Result | None:
    """Undo what a key did; None where nothing came under it, and nothing will from now on."""
    for _ in range(ATTEMPTS):
        async with context.read() as reading:
            done = await requests.find(reading, of_key)
        claim = once(of_key, "giftcardTransCancel", {"of_key": of_key})
        assert claim is not None
        if done is not None:
            return await _undone(context, claim, done)
        try:
            async with context.write() as tx:
                if await requests.claim(tx, claim) is None:
                    await requests.settle(tx, claim, {"cancelled": True})
                return None
        except IdempotencyConflict:
            continue  # it has just come: undo it
    raise Unavailable


async def _undone(context: Context, claim: Once, done: requests.Outcome) -> Result | None:
    """Undo what a key did, with the money of the cards that have replaced its cards."""
    if "cancelled" in done:
        return None
    movement_id = done.get("movement") or done.get("end")
    if movement_id is None:
        raise Conflict("ofKey", "What this key did was no movement of money; it stays.")

    async def attempt() -> Result:
        recorded, place = await _found(context, movement_id)
        movement, by = recorded.movement, By(context.caller.name, reason="reversal")
        if movement.type is not MovementType.TRANSFER or movement.state is MovementState.DECLINED:
            undo = Undo(account_id=movement.account_id, at_id=place, movement_id=movement.id, by=by)
            return await _post(context, Asked(undo))
        there, there_now = await _found(context, movement.about_id)
        back = Transfer(
            account_id=there_now or there.movement.account_id,
            to_id=place or movement.account_id,
            amount=-movement.amount,
            by=by,
        )
        # Keys of its own keep a repeated reversal from going back and forth.
        return await _post(context, Asked(back, claim, keys_of=f"{context.caller.name}/undo"))

    return await _attempts(attempt)


async def _post(context: Context, asked: Asked) -> Result:
    result: Result = await context.post(asked)
    return result


async def _use(context: Context, asked: Asked, by: By) -> Result:
    """Post a use, or capture one, in a transaction of its own: its card may be replaced in it."""
    for _ in range(ATTEMPTS):
        try:
            async with context.write() as tx:
                return await succession.use(tx, asked, by)
        except JustClaimed:
            continue  # its key was used for another card: that is found now
    raise Unavailable


async def _attempts(attempt: Callable[[], Awaitable[Result]]) -> Result:
    """Ask, and ask again where something was not as it had been looked up."""
    for _ in range(ATTEMPTS):
        result = await attempt()
        if not result.outcome.is_stale:
            return result
    raise Unavailable


async def _found(context: Context, movement_id: int | None) -> tuple[Recorded, int | None]:
    """A transaction, and where its account's money is by now if that was replaced."""
    async with context.read() as reading:
        recorded = await service.find(reading, movement_id)
        return recorded, await service.place_of(reading, recorded)


def _require_its_type(context: Context, recorded: Recorded) -> None:
    """Whoever ends an authorisation needs the permission that made it."""
    permission = PERMISSIONS.get(recorded.movement.type)
    if permission is not None and not context.caller.may(permission):
        raise PermissionDenied(permission.value)


def _amount(text: object, currency: str) -> int | None:
    return None if text is None else minor(str(text), currency)
