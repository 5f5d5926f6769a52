from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from secrets import compare_digest
from typing import Any

from giftgql import credentials
from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.errors import NotFound
from giftgql.permissions import Caller, CallerKind, Channel, holder_name, known_rights, rights
from giftgql.staff.models import StaffKey, StaffMember, StaffSession
from giftgql.store import Reading, Transaction

LIVE_KEYS = 2

SEEN_EVERY = timedelta(minutes=1)
"""How exactly it is known when a session was last used: a write for each request would be dear."""


@dataclass(frozen=True)
class Credential:
    """A staff member's id and a personal access key as they are shown, once."""

    staff_id: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class SignedIn:
    """A person, with the rights held now."""

    name: str
    roles: tuple[str, ...]
    caller: Caller
    is_due: bool
    """Whether it is time to note that the session is in use."""


async def add(
    tx: Transaction, name: str, *, roles: Iterable[str] = (), permissions: Iterable[str] = ()
) -> Credential:
    """Add a staff member with one key. Refuses unknown roles and permissions by name."""
    known_roles, known_permissions = known_rights(roles, permissions)
    person = _person(tx, holder_name(name), known_roles)
    person.permissions = known_permissions
    await tx.staff.add(person)
    await _record(tx, Event.STAFF_ADDED, person, roles=known_roles, permissions=known_permissions)
    return await _add_key(tx, person)


async def set_rights(
    tx: Transaction, staff_id: str, *, roles: Iterable[str], permissions: Iterable[str]
) -> None:
    """Give a person these rights in place of those held. The roles of one who signs in by the
    provider are the provider's again at the next sign-in."""
    known_roles, known_permissions = known_rights(roles, permissions)
    person = await _locked(tx, staff_id)
    person.roles, person.permissions = known_roles, known_permissions
    await tx.staff.update()
    await _record(
        tx, Event.STAFF_RIGHTS_SET, person, roles=known_roles, permissions=known_permissions
    )


async def new_key(tx: Transaction, staff_id: str) -> Credential:
    """Give a person a new key. The one before goes on working, older ones end."""
    person = await _locked(tx, staff_id)
    live = await tx.staff.live_keys(_id(person))
    for key in live[: len(live) - LIVE_KEYS + 1]:
        key.revoked_at = tx.now
    return await _add_key(tx, person)


async def revoke_keys(tx: Transaction, staff_id: str) -> None:
    """End all keys of a person, with the sessions opened by them. Rights stay as they are."""
    person = await _locked(tx, staff_id)
    for key in await tx.staff.live_keys(_id(person)):
        key.revoked_at = tx.now
    await tx.staff.update()
    await _record(tx, Event.STAFF_KEYS_REVOKED, person)


async def disable(tx: Transaction, staff_id: str) -> None:
    """Refuse a person from now on, by key, session and provider."""
    person = await tx.staff.lock(staff_id)
    if person is None or person.disabled_at:
        raise NotFound("staffId", "enabled staff member")
    person.disabled_at = tx.now
    await tx.staff.delete_sessions_of(_id(person))
    await tx.staff.update()
    await _record(tx, Event.STAFF_DISABLED, person)


async def find(reading: Reading, staff_id: str) -> StaffMember:
    """The person who has this id. Refuses `NOT_FOUND`."""
    person = await reading.staff.find_by_public_id(staff_id)
    if person is None:
        raise NotFound("staffId", "staff member")
    return person


async def names(reading: Reading, staff_ids: Collection[str]) -> dict[str, str]:
    """The names of those that are known, the disabled ones too."""
    return await reading.staff.names(staff_ids) if staff_ids else {}


async def authenticate(reading: Reading, credential: str) -> tuple[Caller, None] | None:
    """The person whose well-formed key this is."""
    found = await _by_key(reading, credential)
    return found and (_caller(found[0]), None)


async def knows(reading: Reading, key: str) -> bool:
    """Whether this well-formed key is the live one of somebody who may sign in."""
    return await _by_key(reading, key) is not None


async def sign_in(tx: Transaction, key: str, *, instead_of: str = "") -> str | None:
    """Open a session for who has this well-formed key, in place of one that the browser had; its
    secret, or None where the key is not right."""
    found = await _by_key(tx, key)
    if found is None:
        return None
    await sign_out(tx, instead_of)
    person, staff_key = found
    return await _open_session(tx, person, staff_key.id)


async def sign_in_by_provider(
    tx: Transaction,
    issuer: str,
    subject: str,
    *,
    name: str,
    roles: Iterable[str],
    instead_of: str = "",
) -> str | None:
    """Open a session for whom the provider has let in, with the name and the roles that it gives
    now; its secret, or None for somebody disabled or without rights. Who comes first is added."""
    known_roles = sorted(roles)
    person = await tx.staff.lock_by_subject(issuer, subject)
    if person is None:
        if not known_roles:
            return None
        made = _person(tx, name, known_roles)
        made.issuer, made.subject = issuer, subject
        if await tx.staff.add_by_subject(made):
            await _record(tx, Event.STAFF_ADDED, made, roles=known_roles, permissions=[])
        person = await tx.staff.lock_by_subject(issuer, subject)
        assert person is not None
    person.name, person.roles = name, known_roles
    await tx.staff.update()
    if person.disabled_at or not (person.roles or person.permissions):
        return None
    await sign_out(tx, instead_of)
    return await _open_session(tx, person, None)


async def signed_in(reading: Reading, secret: str) -> SignedIn | None:
    """Who is signed in with this session's secret, and may still be."""
    found = await reading.staff.find_session(credentials.digest(secret))
    if found is None:
        return None
    person, session, key = found
    idle = timedelta(seconds=reading.settings.session_idle_seconds)
    if reading.now >= min(session.ends_at, session.seen_at + idle):
        return None
    if person.disabled_at or (key is not None and key.revoked_at):
        return None
    is_due = reading.now - session.seen_at >= SEEN_EVERY
    return SignedIn(person.name, tuple(person.roles), _caller(person), is_due)


async def see(tx: Transaction, secret: str) -> None:
    """Note that a session is in use."""
    await tx.staff.see_session(credentials.digest(secret), at=tx.now)


async def sign_out(tx: Transaction, secret: str) -> None:
    """End a session, if it is there."""
    found = await tx.staff.find_session(credentials.digest(secret))
    if found is not None:
        await tx.staff.delete_session(credentials.digest(secret))
        await _record(tx, Event.STAFF_SIGNED_OUT, found[0])


async def forget_ended(tx: Transaction, at_most: int = 1_000) -> int:
    """Remove sessions whose time is up; returns how many."""
    return await tx.staff.delete_ended(tx.now, at_most=at_most)


async def _open_session(tx: Transaction, person: StaffMember, key_id: str | None) -> str:
    secret = credentials.random_text(43)
    await tx.staff.add(
        StaffSession(
            digest=credentials.digest(secret),
            staff_id=_id(person),
            key_id=key_id,
            seen_at=tx.now,
            ends_at=tx.now + timedelta(seconds=tx.settings.session_seconds),
        )
    )
    await _record(tx, Event.STAFF_SIGNED_IN, person, by="provider" if key_id is None else "key")
    return secret


async def _by_key(reading: Reading, key: str) -> tuple[StaffMember, StaffKey] | None:
    """A person who is not disabled, by a well-formed key that is not revoked."""
    if not key.startswith(credentials.STAFF_KEY):
        return None
    found = await reading.staff.find_by_key(credentials.key_id(key))
    if found is None:
        return None
    person, staff_key = found
    right = compare_digest(staff_key.digest, credentials.digest(key))
    return found if right and not person.disabled_at and not staff_key.revoked_at else None


async def _add_key(tx: Transaction, person: StaffMember) -> Credential:
    key_id = credentials.random_text(8)
    key = credentials.make(credentials.STAFF_KEY, key_id)
    await tx.staff.add(
        StaffKey(id=key_id, staff_id=_id(person), digest=credentials.digest(key), created_at=tx.now)
    )
    await _record(tx, Event.STAFF_KEY_ADDED, person)
    return Credential(person.public_id, key)


async def _locked(tx: Transaction, staff_id: str) -> StaffMember:
    person = await tx.staff.lock(staff_id)
    if person is None:
        raise NotFound("staffId", "staff member")
    return person


def _person(tx: Transaction, name: str, roles: list[str]) -> StaffMember:
    return StaffMember(
        public_id=f"ggp_{credentials.random_text(12)}",
        name=name,
        roles=roles,
        permissions=[],
        created_at=tx.now,
    )


def _id(person: StaffMember) -> int:
    assert person.id is not None
    return person.id


def _caller(person: StaffMember) -> Caller:
    permissions = rights(person.roles, person.permissions)
    return Caller(CallerKind.STAFF, person.public_id, permissions, Channel.IN_STORE)


async def _record(tx: Transaction, event: Event, person: StaffMember, **facts: Any) -> None:
    await audit.record(tx, event, f"staff:{person.public_id}", **facts)
