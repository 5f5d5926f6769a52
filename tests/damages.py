"""Books that are damaged and put right again, a row at a time."""

from collections.abc import Iterable
from typing import NamedTuple

from giftgql.store import Store
from tests.test_verify import damage, findings


class Damage(NamedTuple):
    """A rule, the row that is to be named if that is known, how it is damaged and put right."""

    rule: str
    row: object
    done: str
    undone: str


async def are_named(store: Store, damages: Iterable[Damage]) -> None:
    """Each of these damages of clean books is named by its rule, and nothing once it is undone."""
    assert await findings(store) == []
    for rule, row, how, back in damages:
        await damage(store, how)
        found = {(each.rule.name, each.row_id) for each in await findings(store)}
        if row is None:
            assert rule in {name for name, _ in found}, (how, found)
        else:
            assert (rule, str(row)) in found, (how, found)
        await damage(store, back)
        assert await findings(store) == [], back
