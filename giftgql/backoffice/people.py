"""Who did something, as people read it: names in place of ids."""

from collections.abc import Collection

from giftgql.clients import service as clients
from giftgql.permissions import CallerKind
from giftgql.staff import service as staff
from giftgql.store import Reading

_OURS = {"cli": "the command line", "giftgql": "the server"}


async def named(reading: Reading, callers: Collection[str]) -> dict[str, str]:
    """The callers' names; what has none is shown as it stands in the books."""
    ids: dict[str, set[str]] = {kind.value: set() for kind in CallerKind}
    for caller in callers:
        kind, _, id_ = caller.partition(":")
        ids.setdefault(kind, set()).add(id_)
    known = {
        CallerKind.STAFF: await staff.names(reading, ids[CallerKind.STAFF]),
        CallerKind.CLIENT: await clients.names(reading, ids[CallerKind.CLIENT]),
        CallerKind.SERVER: _OURS,
    }
    names = {f"{kind}:{id_}": name for kind, of in known.items() for id_, name in of.items()}
    return {caller: names.get(caller, caller.replace(":", " ")) for caller in callers}
