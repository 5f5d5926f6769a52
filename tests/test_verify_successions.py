"""Checking the books of cards that were replaced: every rule of theirs has been seen to fail."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from giftgql.store import Store
from tests import heirs
from tests.client import Client
from tests.factories import refund
from tests.test_verify import damage, findings


@dataclass(frozen=True)
class Replaced:
    """A card that was replaced twice, its uses, and what was refunded of the first one."""

    card: int
    heir: int
    code: int
    use: int
    refund: int


def damages(made: Replaced) -> Iterator[tuple[str, int, str]]:
    """A rule, the row that is to be named, and how that row is damaged."""
    card, heir = made.card, made.heir
    account = f"UPDATE account SET %s WHERE id = {card}"
    yield "account-replaced", card, account % "posted = 1"
    yield "account-successor", card, account % f"replaced_by = {card}"
    yield "account-successor", card, f"UPDATE account SET currency = 'USD' WHERE id = {heir}"
    yield "account-succession", card, "DELETE FROM succession WHERE successor_id = " + str(heir)
    yield "succession-use", made.use, account % "replaced_on_use = FALSE"
    yield "succession-use", made.use, account % "replaced_by = NULL"
    yield (
        "succession-moved",
        made.refund,
        (f"UPDATE movement SET type = 'ADD' WHERE id = {made.refund}"),
    )
    yield (
        "code-replaced",
        made.code,
        (f"UPDATE code SET ended_at = NULL, ending = NULL WHERE id = {made.code}"),
    )


NUMBERED = Replaced(1, 2, 3, 4, 5)
RULES_OF_DAMAGES = [rule for rule, *_ in damages(NUMBERED)]


async def replaced(store: Store, caller: Client) -> Replaced:
    heirs.replace_on_use(store)
    made = await heirs.owned(caller)
    used, second = await heirs.replaced(caller, store, made, "-60.00")
    await heirs.replaced(caller, store, second, "-10.00")
    back = (await refund(caller, used["id"], "5.00"))["giftcardTransRefund"]
    code = made["codes"][0]["id"]
    return Replaced(*map(int, (made["id"], second["id"], code, used["id"], back["id"])))


@pytest.mark.parametrize(
    "place", range(len(RULES_OF_DAMAGES)), ids=[f"{r}-{n}" for n, r in enumerate(RULES_OF_DAMAGES)]
)
async def test_a_damaged_row_is_named(store: Store, admin: Client, place: int) -> None:
    made = await replaced(store, admin)
    assert await findings(store) == []
    rule, row, how = list(damages(made))[place]
    await damage(store, how)
    found = await findings(store)
    assert (rule, str(row)) in {(each.rule.name, each.row_id) for each in found}, found
    assert all(each.expected != each.found for each in found)


def test_every_rule_of_successions_has_been_seen_to_fail() -> None:
    assert set(RULES_OF_DAMAGES) == heirs.RULES
