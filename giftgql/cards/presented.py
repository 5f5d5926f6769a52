"""A code as someone presents it to move money: what its use depends on, read quickly."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from giftgql.codes import CodeText, CodeType
from giftgql.store import Reading, Transaction


@dataclass(frozen=True, slots=True)
class Presented:
    """A live code, or a card by its id. `revision` is the account's at this moment."""

    card_id: int
    currency: str
    revision: int
    code_id: int | None = None
    kind: CodeType | None = None
    expires_on: date | None = None
    pin_verifier: str | None = field(default=None, repr=False)
    cvv_verifier: str | None = field(default=None, repr=False)


async def resolve(reading: Reading, code: CodeText, kinds: Iterable[CodeType]) -> list[Presented]:
    """The live codes of these types with this text, expired ones too; at most one a type."""
    prints = [print_ for kind in kinds if (print_ := reading.vault.fingerprint(kind, code))]
    if len(prints) == 1:
        found = [await reading.together(_by_fingerprints, prints[0])]
    else:
        found = list(await _by_fingerprints(reading, prints)) if prints else []
    return [each for each in found if each is not None]


async def set_verifiers(
    tx: Transaction, presented: Presented, verifiers: Mapping[str, str]
) -> None:
    """Store other verifiers of the same secrets, unless they have been replaced meanwhile."""
    assert presented.code_id is not None
    before = {name: getattr(presented, name) for name in verifiers}
    await tx.cards.set_verifiers(presented.code_id, before, verifiers)


async def _by_fingerprints(reading: Reading, prints: Sequence[bytes]) -> Sequence[Presented | None]:
    found = {}
    for print_, ended_at, code_id, card_id, kind, *rest in await reading.cards.presented(prints):
        if ended_at is None:
            last_day, pin, cvv, currency, revision = rest
            found[print_] = Presented(
                card_id, currency, revision, code_id, CodeType[kind], last_day, pin, cvv
            )
    return [found.get(print_) for print_ in prints]
