"""Who may use which code for money: the PIN rule, the CVV rule, and the counting of wrong tries.

A try is counted before its secret is looked at and given back if it was right; both are
transactions of their own, so that a movement that fails afterwards changes nothing about it.
Callers who may not look codes up learn nothing from a refusal: whether the code is unknown, has
no PIN, or the secret is wrong, missing or locked, it is `SECRET_INVALID`.
Source: section 2 and 9 of the behaviour reference; limits: security page, section 3.4.
"""

from dataclasses import replace

from giftgql.cards import presented as cards
from giftgql.cards.presented import Presented
from giftgql.cards.visibility import USE, usable_by
from giftgql.codes import CodeText, CodeType
from giftgql.errors import (
    AmbiguousCode,
    CvvRequired,
    NotFound,
    PermissionDenied,
    PinRequired,
    Refusal,
    SecretInvalid,
    SecretLocked,
)
from giftgql.ledger import service as ledger
from giftgql.movements.inputs import Wanted
from giftgql.permissions import Caller, Channel, Permission
from giftgql.store import Store
from giftgql.tries import failures
from giftgql.tries import service as tries


async def admit(store: Store, caller: Caller, wanted: Wanted, *, is_taking: bool) -> Presented:
    """The card that a caller may move money of. The secrets are asked for where money is taken."""
    if wanted.code is None:
        card = await _by_id(store, caller, wanted.card_id)
        return await _with_secrets(store, caller, wanted, card) if is_taking else card
    found = await _resolved(store, caller, wanted, tells=_may_know(caller))
    if not is_taking:
        return found or await _refused(store, caller, wanted)
    is_online = caller.channel is Channel.ONLINE
    needs_pin = is_online and (found is None or found.needs_pin)
    if found is not None and needs_pin and found.pin_verifier:
        found = _without_quick_pin(store, found)
    return await _with_secrets(
        store, caller, wanted, found, needs_pin=needs_pin, may_know=_may_know(caller)
    )


async def admit_holder(store: Store, caller: Caller, wanted: Wanted) -> Presented:
    """The card whose balance a holder asks for. Its PIN is needed wherever it has one, and
    online by any printed code; whatever is wrong is `SECRET_INVALID`."""
    found = await _resolved(store, caller, wanted, tells=False)
    needs_pin = caller.channel is Channel.ONLINE and (found is None or found.needs_pin)
    if found is not None and found.pin_verifier is not None:
        needs_pin = True
    return await _with_secrets(store, caller, wanted, found, needs_pin=needs_pin, may_know=False)


def _without_quick_pin(store: Store, found: Presented) -> Presented:
    """Online a PIN that came in bulk is of use only once it is hashed the slow way."""
    if found.pin_verifier is None or not store.vault.is_quick(found.pin_verifier):
        return found
    return replace(found, pin_verifier=None)


async def _by_id(store: Store, caller: Caller, card_id: int | None) -> Presented:
    caller.require(Permission.LIST_GIFT_CARDS)
    assert card_id is not None
    async with store.read(caller) as reading:
        account = (await ledger.accounts(reading, [card_id])).get(card_id)
        is_there = account is not None and await cards.is_there(reading, card_id)
    if account is None or not is_there:
        raise NotFound("giftcardId", "gift card")
    return Presented(account.id, account.currency, account.revision, account.replaced_on_use)


async def _resolved(
    store: Store, caller: Caller, wanted: Wanted, *, tells: bool
) -> Presented | None:
    """The one live code that is meant, of the types that exist for the caller, or one whose card
    was replaced; for callers who may not know, none where there are two. Refuses `NOT_FOUND`
    where it tells, and counts that as a failure."""
    code = wanted.code
    assert code is not None
    if wanted.kind is not None:
        caller.require(USE[wanted.kind])
        kinds = [wanted.kind]
    else:
        kinds = usable_by(caller)
        if not kinds:
            raise PermissionDenied(USE[CodeType.PHYSICAL].value)

    async def read() -> list[Presented]:
        async with store.read(caller) as reading:
            return await cards.resolve(reading, code, kinds)

    found = await failures.look_up(store, caller, code, read, source=wanted.source_id, tells=tells)
    if not found and tells:
        raise NotFound("code", "live gift card code of a type the caller may use")
    if len(found) > 1 and _may_know(caller):
        raise AmbiguousCode
    return found[0] if len(found) == 1 else None


def _may_know(caller: Caller) -> bool:
    """Whether a refusal may say what is wrong with a code; who may look it up may."""
    return caller.may(Permission.FIND_GIFT_CARD_BY_CODE)


async def _with_secrets(
    store: Store,
    caller: Caller,
    wanted: Wanted,
    found: Presented | None,
    *,
    needs_pin: bool = False,
    may_know: bool = True,
) -> Presented:
    if found is not None and found.kind is not CodeType.PHYSICAL:
        async with store.read(caller) as reading:
            found = await cards.with_cvv(reading, found)
    needs_cvv = found is not None and found.needs_cvv
    is_told = wanted.pin is not None or wanted.cvv is not None
    if found is not None and not (needs_pin or needs_cvv or is_told):
        return found
    tried = wanted.code if wanted.code or not found else found.cvv_code
    if tried is None:
        raise SecretInvalid  # a secret for a card by its id that has none
    missing: Refusal | None = None
    if needs_pin and wanted.pin is None:
        missing = PinRequired()
    elif needs_cvv and wanted.cvv is None:
        missing = CvvRequired()
    if missing is not None and may_know:
        raise missing
    try:
        async with store.turns.at((caller.name, tried.comparable)):
            return await _tried(store, caller, wanted, found, tried, is_missing=bool(missing))
    except SecretLocked:
        if may_know:
            raise
        raise SecretInvalid from None


async def _tried(
    store: Store,
    caller: Caller,
    wanted: Wanted,
    found: Presented | None,
    tried: CodeText,
    *,
    is_missing: bool,
) -> Presented:
    """Look at the secrets. A caller's tries of a code come one after the other here, so that right
    ones do not see one another's reservations."""

    async def is_right() -> bool:
        matches = await _is_right(store, wanted, found)  # also where one is missing: time tells
        return matches and not is_missing

    reserved = await failures.check(
        store, caller, tried, is_right, source=wanted.source_id, is_unknown=found is None
    )
    assert found is not None
    renewed = await _renewed(store, wanted, found)
    async with store.write(caller) as tx:
        await tries.give_back(tx, reserved)
        if renewed:
            await cards.set_verifiers(tx, found, renewed)
    return found


async def _renewed(store: Store, wanted: Wanted, found: Presented) -> dict[str, str]:
    """Verifiers to be stored in place of those that were right just now: an old pepper's with
    the new one, and a CVV's quick one, which an import made, with the slow one."""
    vault, renewed = store.vault, dict[str, str]()
    if wanted.code is None or found.kind is None or found.cvv_code is not None:
        return renewed
    if wanted.pin and found.pin_verifier and vault.needs_new_pepper(found.pin_verifier):
        renewed["pin_verifier"] = await vault.hash_pin(found.kind, wanted.code, wanted.pin)
    cvv = found.cvv_verifier
    if wanted.cvv and cvv and (vault.is_quick(cvv) or vault.needs_new_pepper(cvv)):
        renewed["cvv_verifier"] = await vault.harden_cvv(found.kind, wanted.code, wanted.cvv)
    return renewed


async def _refused(store: Store, caller: Caller, wanted: Wanted) -> Presented:
    """Count a try of a code that there is not, and refuse."""

    async def is_right() -> bool:
        return False

    assert wanted.code is not None
    try:
        await failures.check(
            store, caller, wanted.code, is_right, source=wanted.source_id, is_unknown=True
        )
    except SecretLocked:
        raise SecretInvalid from None
    raise AssertionError


async def _is_right(store: Store, wanted: Wanted, found: Presented | None) -> bool:
    """Whether the secrets given are the code's. Takes as long where there is no such code."""
    kind = (found and found.kind) or wanted.kind or CodeType.PHYSICAL
    cvv_code = found.cvv_code if found else None
    is_right = found is not None
    if wanted.pin is not None:
        code, verifier = wanted.code or cvv_code, found.pin_verifier if found else None
        assert code is not None
        is_right &= await store.vault.verify_pin(kind, code, wanted.pin, verifier)
    if wanted.cvv is not None:
        code, verifier = cvv_code or wanted.code, found.cvv_verifier if found else None
        assert code is not None
        of_kind = CodeType.PHYSICAL if cvv_code else kind
        is_right &= await store.vault.verify_cvv(of_kind, code, wanted.cvv, verifier)
    return is_right
