import secrets

from giftgql.errors import InvalidInput
from giftgql.installation.models import Installation, KeyCheck
from giftgql.paging import Window, read_token
from giftgql.store import Reading, Transaction
from giftgql.vault import KeyringError, Vault


async def has_keys(tx: Transaction) -> bool:
    """Whether rows may have been written with keys, so that other keys would not do."""
    return bool(await tx.installation.key_checks())


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

    installation = await tx.installation.get()
    if installation is None:
        await tx.installation.add(Installation(epoch=_new_epoch(), cluster=tx.cluster))
    elif installation.cluster != tx.cluster:
        await tx.installation.count_changes_anew()
        installation.epoch, installation.cluster = _new_epoch(), tx.cluster


def _new_epoch() -> str:
    return secrets.token_hex(4)


async def window(reading: Reading, since: str | None) -> Window | None:
    """What a synchronisation may see that goes on from `since`; an empty one begins."""
    if since is None:
        return None
    epoch, horizon = await reading.installation.sync_state()
    if since == "":
        return Window(epoch, None, horizon)
    of_epoch, changed_in, row_id = read_token(since)
    if of_epoch != epoch or changed_in >= horizon:
        raise InvalidInput("since", 'is of a database restored since; begin anew with ""')
    return Window(epoch, (changed_in, row_id), horizon)
