import secrets

from giftgql.errors import InvalidInput
from giftgql.installation.models import Installation, KeyCheck
from giftgql.paging import Id, Synchronised, Window, read_token
from giftgql.store import Reading, Transaction
from giftgql.vault import KeyringError, Vault


async def has_keys(tx: Transaction) -> bool:
    """Whether rows may have been written with keys, so that other keys would not do."""
    return bool(await tx.installation.key_checks())


async def newest_key(reading: Reading) -> int:
    """The number of the key that was made last, with which all is to be sealed."""
    return max(check.key_id for check in await reading.installation.key_checks())


async def adopt(tx: Transaction, vault: Vault) -> None:
    """Make sure that the keyring is this database's, and the epoch this cluster's."""
    known = {check.key_id: check.canary for check in await tx.installation.key_checks()}
    for key_id, canary in known.items():
        if key_id not in vault.ring.keys:
            raise KeyringError(
                f"The database was written with key {key_id}, which is not in the key file. "
                "Put back the key file that belongs to this database."
            )
        if vault.canary(key_id) != canary:
            raise KeyringError(
                "The key file belongs to another database. Put back the one that belongs to this."
            )
    fresh = [
        KeyCheck(key_id=kid, canary=vault.canary(kid)) for kid in vault.ring.keys.keys() - known
    ]
    await tx.installation.add(*fresh)

    installation, cluster = await tx.installation.get(), await tx.cluster()
    index = vault.ring.index
    if installation is None:
        made = Installation(epoch=_new_epoch(), cluster=cluster, index_key=index)
        await tx.installation.add(made)
    elif installation.index_key != index:
        raise KeyringError(
            f"The key file names {index} as the index key; this database's is "
            f"{installation.index_key}. Put that back: with two, a code could be issued twice."
        )
    elif installation.cluster != cluster:
        await tx.installation.count_changes_anew()
        installation.epoch, installation.cluster = _new_epoch(), cluster


async def begin_epoch(tx: Transaction) -> None:
    """Refuse every synchronisation begun before, as after a restore: it may have been told of
    what the database has never heard of. Webhooks go on with what happens from now on."""
    installation = await tx.installation.get()
    assert installation is not None
    installation.epoch = _new_epoch()


def _new_epoch() -> str:
    return secrets.token_hex(4)


async def epoch(reading: Reading) -> str:
    """What tells this database from others, and from itself before it was restored elsewhere."""
    return (await sync_state(reading))[0]


async def sync_state(reading: Reading) -> tuple[str, int]:
    """The epoch, and the first transaction of it that may not have ended: what all before it have
    written is there."""
    return await reading.installation.sync_state()


async def window(
    reading: Reading, since: str | None, row: type[Synchronised], id_type: type[Id]
) -> Window | None:
    """What a synchronisation of such rows may see that goes on from `since`; "" begins."""
    if since is None:
        return None
    epoch, horizon = await reading.installation.sync_state()
    origin = f"{epoch}/{row.__name__}"
    if since == "":
        return Window(origin, None, horizon)
    of_origin, after = read_token(since)
    is_beyond = after is not None and (after[0] >= horizon or type(after[1]) is not id_type)
    if of_origin != origin or is_beyond:
        raise InvalidInput(
            "since", 'is of another list, or of a database restored since; begin anew with ""'
        )
    return Window(origin, after, horizon)
