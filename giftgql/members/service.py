from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from giftgql import credentials
from giftgql.audit import service as audit
from giftgql.audit.models import Event
from giftgql.clients.service import Token
from giftgql.errors import Conflict, MemberNotFound, PermissionDenied
from giftgql.installation import service as installation
from giftgql.members.models import Member, MemberToken
from giftgql.paging import Page, cut, page_of
from giftgql.permissions import Caller, CallerKind
from giftgql.store import Reading, Transaction


@dataclass(frozen=True)
class MemberFacts:
    """What is known of a member; only the facts in `given` are to be written."""

    id: str
    given: dict[str, Any]


async def add(tx: Transaction, facts: MemberFacts) -> Member:
    """Add a member under the retailer's own id. Refuses `CONFLICT` where it is taken."""
    member = Member(id=facts.id, created_at=tx.now, modified_at=tx.now, **facts.given)
    if not await tx.members.add(member):
        raise Conflict("id", "A member with this id is there already.")
    await _record(tx, Event.MEMBER_ADDED, facts.id)
    return member


async def edit(tx: Transaction, facts: MemberFacts) -> Member:
    """Write the facts given; the others stay."""
    member = await held(tx, facts.id)
    if member.erased_at is not None:
        raise MemberNotFound("id")
    await tx.members.update(member, facts.given, at=tx.now)
    await _record(tx, Event.MEMBER_EDITED, facts.id, changed=sorted(facts.given))
    return member


async def held(tx: Transaction, member_id: str, *, is_to_be_named: bool = True) -> Member:
    """A member as it stays until the transaction ends; who names it just now is waited for unless
    it `is_to_be_named`. Refuses `MEMBER_NOT_FOUND`."""
    member = await tx.members.lock(member_id, is_to_be_named=is_to_be_named)
    if member is None:
        raise MemberNotFound("id")
    return member


async def erase(tx: Transaction, member: Member, **facts: Any) -> None:
    """Leave nothing of a locked member but the id, and end its tokens; `facts` of it are told."""
    gone = dict.fromkeys(("name", "email", "phone", "details"))
    await tx.members.update(member, {**gone, "erased_at": tx.now}, at=tx.now)
    await tx.members.delete_all_tokens(member.id)
    await _record(tx, Event.MEMBER_ERASED, member.id, **facts)


async def exists(reading: Reading, member_id: str) -> bool:
    """Whether there is such a member, who was not erased."""
    member = await reading.members.get(member_id)
    return member is not None and member.erased_at is None


async def named(tx: Transaction, member_ids: Collection[str]) -> frozenset[str]:
    """Those of the ids that members have who are not erased, nor will be before this transaction
    ends: it may write down whatever is theirs."""
    found = await tx.members.share(member_ids)
    return frozenset(member.id for member in found if member.erased_at is None)


async def email_of(reading: Reading, member_id: str | None) -> str | None:
    """Where a member gets mail, if that is known."""
    member = await find(reading, member_id) if member_id else None
    return member.email if member else None


async def find(reading: Reading, member_id: str) -> Member | None:
    return await reading.members.get(member_id)


async def known(reading: Reading, member_ids: Sequence[str]) -> frozenset[str]:
    """Those of the ids that members have who were not erased."""
    found = await reading.members.by_ids(member_ids)
    return frozenset(member.id for member in found if member.erased_at is None)


async def page(
    reading: Reading,
    *,
    member_id: str | None,
    email: str | None,
    first: int,
    skip: int,
    since: str | None,
) -> Page[Member]:
    where = cut(first, skip, await installation.window(reading, since, Member, str))
    return page_of(await reading.members.page(where, member_id=member_id, email=email), where)


async def mint_token(tx: Transaction, member_id: str) -> Token:
    """A token with which a member signs in, ended with the client that minted it."""
    client = await tx.clients.find_by_public_id(tx.caller.id)
    if client is None or client.id is None:
        raise PermissionDenied("a client's credential")
    if not await named(tx, [member_id]):
        raise MemberNotFound("id")
    await tx.members.delete_tokens(member_id, expired_at=tx.now)
    expires_at = tx.now + timedelta(seconds=tx.settings.member_token_seconds)
    text = credentials.make(credentials.MEMBER_TOKEN)
    await tx.members.add_token(
        MemberToken(
            digest=credentials.digest(text),
            member_id=member_id,
            client_id=client.id,
            expires_at=expires_at,
        )
    )
    await _record(tx, Event.MEMBER_TOKEN_ADDED, member_id)
    return Token(text, expires_at)


async def authenticate(reading: Reading, credential: str) -> tuple[Caller, datetime] | None:
    """The member that a well-formed token stands for, and until when."""
    found = await reading.members.find_by_token(credentials.digest(credential))
    if found is None:
        return None
    token, client = found
    if token.expires_at <= reading.now or client.disabled_at:
        return None
    caller = Caller(CallerKind.MEMBER, token.member_id, only_trusted=client.only_trusted)
    return caller, token.expires_at


async def _record(tx: Transaction, event: Event, member_id: str, **facts: Any) -> None:
    await audit.record(tx, event, f"member:{member_id}", **facts)
