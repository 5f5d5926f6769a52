"""A code as someone presents it to move money: what its use depends on, read quickly."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from giftgql.cards.models import Code, CodeEnding
from giftgql.cards.views import unseal
from giftgql.codes import CodeText, CodeType
from giftgql.store import Reading, Transaction


@dataclass(frozen=True, slots=True)
class Presented:
    """A live code, one whose card was replaced, or a card by its id. `revision` is the account's at
    this moment, and whether it is replaced on use; `needs_pin` says that funds are taken online
    only with the PIN, `needs_cvv` nowhere without the CVV; `cvv_code` is the code that the CVV
    belongs to, where that is another one of the card."""

    card_id: int
    currency: str
    revision: int
    replaced_on_use: bool = False
    has_ended: bool = False
    code_id: int | None = None
    kind: CodeType | None = None
    expires_on: date | None = None
    pin_verifier: str | None = field(default=None, repr=False)
    cvv_verifier: str | None = field(default=None, repr=False)
    needs_pin: bool = False
    needs_cvv: bool = False
    cvv_code: CodeText | None = None


async def with_cvv(reading: Reading, presented: Presented) -> Presented:
    """With the CVV that the card needs, whichever of its codes was presented: it guards every
    payment."""
    code = await reading.together(_cvv_codes, presented.card_id)
    if code is None or code.id == presented.code_id:
        return presented
    cvv_code = unseal(reading, code)
    return replace(presented, cvv_verifier=code.cvv_verifier, needs_cvv=True, cvv_code=cvv_code)


async def resolve(reading: Reading, code: CodeText, kinds: Iterable[CodeType]) -> list[Presented]:
    """The live codes of these types with this text, expired ones too; at most one a type. Where
    there is none, those that ended when their cards were replaced: of these the rules of money say
    so."""
    prints = [print_ for kind in kinds if (print_ := reading.vault.fingerprint(kind, code))]
    if len(prints) == 1:
        found = [await reading.together(_by_fingerprints, prints[0])]
    else:
        found = list(await _by_fingerprints(reading, prints)) if prints else []
    known = [each for each in found if each is not None]
    return [each for each in known if not each.has_ended] or known


async def is_there(reading: Reading, card_id: int) -> bool:
    """Whether there is such a card that was not removed."""
    found = await reading.cards.by_ids([card_id])
    return bool(found) and found[0].removed_at is None


async def set_verifiers(
    tx: Transaction, presented: Presented, verifiers: Mapping[str, str]
) -> None:
    """Store other verifiers of the same secrets, unless they have been replaced meanwhile."""
    assert presented.code_id is not None
    before = {name: getattr(presented, name) for name in verifiers}
    await tx.cards.set_verifiers(presented.code_id, before, verifiers)


async def _cvv_codes(reading: Reading, card_ids: Sequence[int]) -> Sequence[Code | None]:
    found = {code.card_id: code for code in await reading.cards.codes_with_cvv(card_ids)}
    return [found.get(card_id) for card_id in card_ids]


async def _by_fingerprints(reading: Reading, prints: Sequence[bytes]) -> Sequence[Presented | None]:
    found = {}
    for print_, ending, code_id, card_id, kind, *rest in await reading.cards.presented(prints):
        last_day, pin, cvv, needs_pin, needs_cvv, currency, revision, is_replaced = rest
        has_ended = ending is not None
        if has_ended and ending != CodeEnding.CARD_REPLACED:
            continue
        if has_ended:
            last_day = None  # whether it would have expired since is nothing any more
        found[print_] = Presented(
            *(card_id, currency, revision, bool(is_replaced), has_ended, code_id, CodeType[kind]),
            *(last_day, pin, cvv, needs_pin, needs_cvv),
        )
    return [found.get(print_) for print_ in prints]
