"""A piece of a file of pools: each row is a pool that is there as it says, made if need be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from giftgql.errors import InvalidInput
from giftgql.imports.card_batch import Landed
from giftgql.imports.csv_rows import Row
from giftgql.imports.failures import Failure
from giftgql.imports.headers import Header
from giftgql.imports.pool_rows import PoolReader, PoolRow
from giftgql.pools import service as pools
from giftgql.pools.service import PoolRules
from giftgql.store import Reading, Store, Transaction


@dataclass
class PoolBatch:
    rows: Mapping[int, Row]
    pools: list[PoolRow]
    failures: list[Failure]

    async def write(self, tx: Transaction) -> Landed:
        """Make the pools that are not there yet."""
        landed, failures = Landed(), list(self.failures)
        for row in self.pools:
            there = await pools.find(tx, row.system_name)
            if there is None:
                await pools.add(tx, _rules(row))
                landed.imported += 1
            elif pools.rules(there) == _rules(row):
                landed.unchanged += 1
            else:
                failures.append(_differs(row))
        failures.sort(key=lambda each: each.line)
        landed.failures = [(self.rows[each.line], each) for each in failures]
        return landed


async def read(store: Store, header: Header, rows: Sequence[Row]) -> PoolBatch:
    """Read the rows of a piece."""
    async with store.read() as reading:
        found = _parsed(reading, header, rows)
    good = [each for each in found if isinstance(each, PoolRow)]
    bad = [each for each in found if isinstance(each, Failure)]
    return PoolBatch({row.line: row for row in rows}, good, bad)


async def tried(
    store: Store, header: Header, rows: Sequence[Row], seen: dict[str, PoolRules]
) -> Landed:
    """What would become of the rows of a piece; `seen` has the pools of the pieces before."""
    batch, landed = await read(store, header, rows), Landed()
    failures = list(batch.failures)
    async with store.read() as reading:
        for row in batch.pools:
            there = await pools.find(reading, row.system_name)
            before = pools.rules(there) if there is not None else seen.get(row.system_name)
            if before is None:
                seen[row.system_name] = _rules(row)
                landed.imported += 1
            elif before == _rules(row):
                landed.unchanged += 1
            else:
                failures.append(_differs(row))
    landed.failures = [(batch.rows[each.line], each) for each in failures]
    return landed


def _parsed(reading: Reading, header: Header, rows: Sequence[Row]) -> list[PoolRow | Failure]:
    reader = PoolReader(header, today=reading.today, default_currency=reading.settings.currency)
    return [reader.read(row) for row in rows]


def _rules(row: PoolRow) -> PoolRules:
    return PoolRules(
        name=row.name,
        system_name=row.system_name,
        currency=row.currency,
        face_value=None if row.face_value is None else row.face_value.minor,
        partial_redemption=row.partial_redemption,
        is_cvv_required=row.is_cvv_required,
        expiration=row.expiration,
    )


def _differs(row: PoolRow) -> Failure:
    refusal = InvalidInput("SystemName", "is of a pool that is there already with other rules")
    return Failure.of(row.line, "SystemName", row.system_name, refusal)
