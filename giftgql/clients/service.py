from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from secrets import compare_digest
from typing import Any

from giftgql import credentials
from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.clients.models import AccessToken, Client, ClientKey
from giftgql.errors import NotFound
from giftgql.permissions import Caller, CallerKind, Channel, holder_name, known_rights, rights
from giftgql.store import Reading, Transaction

LIVE_KEYS = 2


@dataclass(frozen=True)
class Credential:
    """A client's id and key as they are shown, once."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Token:
    """A token as it is shown, once."""

    text: str = field(repr=False)
    expires_at: datetime


async def add(
    tx: Transaction,
    name: str,
    *,
    roles: Iterable[str] = (),
    permissions: Iterable[str] = (),
    channel: Channel = Channel.ONLINE,
    only_trusted: bool = False,
) -> Credential:
    """Add a client with one key. Refuses unknown roles and permissions by name."""
    roles, permissions = known_rights(roles, permissions)
    client = Client(
        public_id=f"ggc_{credentials.random_text(12)}",
        name=holder_name(name),
        channel=channel,
        roles=roles,
        permissions=permissions,
        only_trusted=only_trusted,
        created_at=tx.now,
    )
    await tx.clients.add(client)
    facts = {"roles": roles, "permissions": permissions, "channel": channel.value}
    await _record(tx, Event.CLIENT_ADDED, client.public_id, **facts, only_trusted=only_trusted)
    return await _add_key(tx, client)


async def set_rights(
    tx: Transaction, client_id: str, *, roles: Iterable[str], permissions: Iterable[str]
) -> None:
    """Give a client these roles and permissions in place of those it has."""
    known = known_rights(roles, permissions)
    client = await tx.clients.lock(client_id)
    if client is None:
        raise NotFound("clientId", "client")
    client.roles, client.permissions = known
    await _record(tx, Event.CLIENT_RIGHTS_SET, client_id, roles=known[0], permissions=known[1])


async def bind(tx: Transaction, client_id: str, *, only_trusted: bool) -> None:
    """Let a client run trusted documents only, or any, with the member tokens it minted."""
    client = await tx.clients.lock(client_id)
    if client is None:
        raise NotFound("clientId", "client")
    client.only_trusted = only_trusted
    await _record(tx, Event.CLIENT_BOUND, client_id, only_trusted=only_trusted)


async def rotate(tx: Transaction, client_id: str) -> Credential:
    """Give a client a new key. The one before goes on working, older ones end."""
    client = await tx.clients.lock(client_id)
    if client is None or client.id is None:
        raise NotFound("clientId", "client")
    live = await tx.clients.live_keys(client.id)
    for key in live[: len(live) - LIVE_KEYS + 1]:
        key.revoked_at = tx.now
    return await _add_key(tx, client)


async def disable(tx: Transaction, client_id: str) -> None:
    """Refuse the client from now on, with its tokens and the member tokens it minted."""
    if not await tx.clients.disable(client_id, at=tx.now):
        raise NotFound("clientId", "enabled client")
    await _record(tx, Event.CLIENT_DISABLED, client_id)


async def grant_token(tx: Transaction, client_id: str, key: str) -> Token | None:
    """An access token for a client that knows its key; None if it does not."""
    found = await _by_key(tx, key)
    if found is None or not compare_digest(found[0].public_id.encode(), client_id.encode()):
        return None
    _, client_key = found
    await tx.clients.delete_tokens(client_key.id, expired_at=tx.now)
    expires_at = tx.now + timedelta(seconds=tx.settings.access_token_seconds)
    text = credentials.make(credentials.ACCESS_TOKEN)
    await tx.clients.add(
        AccessToken(digest=credentials.digest(text), key_id=client_key.id, expires_at=expires_at)
    )
    return Token(text, expires_at)


async def names(reading: Reading, client_ids: Collection[str]) -> dict[str, str]:
    """The names of those that are known, the disabled ones too."""
    return await reading.clients.names(client_ids) if client_ids else {}


async def authenticate(reading: Reading, credential: str) -> tuple[Caller, datetime | None] | None:
    """The client that a well-formed key or access token stands for, and until when."""
    if credential.startswith(credentials.KEY):
        by_key = await _by_key(reading, credential)
        return by_key and (_caller(by_key[0]), None)
    by_token = await reading.clients.find_by_token(credentials.digest(credential))
    if by_token is None:
        return None
    client, key, token = by_token
    if client.disabled_at or key.revoked_at or token.expires_at <= reading.now:
        return None
    return _caller(client), token.expires_at


async def _by_key(reading: Reading, key: str) -> tuple[Client, ClientKey] | None:
    if not key.startswith(credentials.KEY) or not credentials.is_well_formed(key):
        return None
    found = await reading.clients.find_by_key(credentials.key_id(key))
    if found is None:
        return None
    client, client_key = found
    right = compare_digest(client_key.digest, credentials.digest(key))
    return found if right and not client.disabled_at and not client_key.revoked_at else None


async def _add_key(tx: Transaction, client: Client) -> Credential:
    key_id = credentials.random_text(8)
    key = credentials.make(credentials.KEY, key_id)
    assert client.id is not None
    await tx.clients.add(
        ClientKey(id=key_id, client_id=client.id, digest=credentials.digest(key), created_at=tx.now)
    )
    await _record(tx, Event.CLIENT_KEY_ADDED, client.public_id)
    return Credential(client.public_id, key)


def _caller(client: Client) -> Caller:
    permissions = rights(client.roles, client.permissions)
    return Caller(
        CallerKind.CLIENT, client.public_id, permissions, client.channel, client.only_trusted
    )


async def _record(tx: Transaction, event: Event, client_id: str, **facts: Any) -> None:
    await audit.record(tx, event, f"client:{client_id}", **facts)
