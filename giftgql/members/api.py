from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import strawberry

from giftgql.context import Context, Info
from giftgql.errors import InvalidInput
from giftgql.fields import mutation, query
from giftgql.members import models, service
from giftgql.members.service import MemberFacts
from giftgql.permissions import Permission
from giftgql.values import (
    First,
    JSONObject,
    Results,
    Since,
    Skip,
    argument,
    metadata,
    optional,
    results,
    silent,
    text,
)

ID_LENGTH = 64


@strawberry.type(description="A customer of the retailer.")
class Member:
    id: strawberry.ID = strawberry.field(description="The retailer's own id, e.g. C000000212.")
    name: str | None = strawberry.field(description="Name, at most 200 characters.")
    email: str | None = strawberry.field(description="E-mail address.")
    phone: str | None = strawberry.field(description="Telephone number.")
    metadata: JSONObject | None = strawberry.field(description="The retailer's own facts.")
    created_at: datetime = strawberry.field(description="When the member was added, UTC.")
    modified_at: datetime = strawberry.field(description="When it was last edited, UTC.")
    erased_at: datetime | None = strawberry.field(
        description="When all that was known but the id was erased, UTC. No such member can be "
        "given as `memberId` any more; the id stays taken."
    )

    @classmethod
    def of(cls, member: models.Member) -> "Member":
        return cls(
            id=strawberry.ID(member.id),
            name=member.name,
            email=member.email,
            phone=member.phone,
            metadata=None if member.details is None else JSONObject(member.details),
            created_at=member.created_at,
            modified_at=member.modified_at,
            erased_at=member.erased_at,
        )


async def members_by_id(context: Context, member_ids: Sequence[str]) -> list[Member | None]:
    """A batch for `Context.load`."""
    async with context.read() as reading:
        found = {member.id: member for member in await reading.members.by_ids(member_ids)}
    return [Member.of(found[each]) if each in found else None for each in member_ids]


@strawberry.type(description="A token with which a member signs in. It is shown once.")
@silent
class MemberToken:
    token: str = strawberry.field(description="A bearer token.")
    expires_at: datetime = strawberry.field(description="When it ends, UTC.")


@strawberry.input(description="Facts of a member. At least an id.")
class MemberAddInput:
    id: strawberry.ID = strawberry.field(
        description="The retailer's own id, 1 to 64 printable ASCII characters."
    )
    name: str | None = optional("Name, 1 to 200 characters.")
    email: str | None = optional("E-mail address, at most 254 characters.")
    phone: str | None = optional("Telephone number, 1 to 32 characters.")
    metadata: JSONObject | None = optional("The retailer's own facts.")

    def parsed(self) -> MemberFacts:
        facts: dict[str, Any] = {}
        if self.name is not strawberry.UNSET:
            facts["name"] = None if self.name is None else text(self.name, "name", 200)
        if self.email is not strawberry.UNSET:
            facts["email"] = None if self.email is None else email_address(self.email)
        if self.phone is not strawberry.UNSET:
            facts["phone"] = None if self.phone is None else text(self.phone, "phone", 32)
        if self.metadata is not strawberry.UNSET:
            facts["details"] = None if self.metadata is None else metadata(self.metadata)
        return MemberFacts(read_member_id(self.id, "id"), facts)


@strawberry.input(
    description="Facts of a member to be written. What is left out stays; null empties it."
)
class MemberEditInput(MemberAddInput):
    pass


@strawberry.input(description="The member who is to sign in.")
class MemberTokenAddInput:
    id: strawberry.ID = strawberry.field(description="The member's id.")


@strawberry.type
class MemberQuery:
    @query(
        requires=Permission.VIEW_MEMBERS,
        description="Members, by id or e-mail address or all, ordered by id. With `since` in the "
        'order of their last change: `since: ""` begins a synchronisation.',
    )
    async def member(
        self,
        info: Info,
        id: Annotated[strawberry.ID | None, argument("The retailer's own id.")] = None,
        email: Annotated[str | None, argument("The exact e-mail address.")] = None,
        first: First = 100,
        skip: Skip = 0,
        since: Since = None,
    ) -> Results[Member] | None:
        wanted = None if id is None else read_member_id(id, "id")
        address = None if email is None else email_address(email)
        info.context.ask_rows(first)
        async with info.context.read() as reading:
            page = await service.page(
                reading, member_id=wanted, email=address, first=first, skip=skip, since=since
            )
        return results([Member.of(member) for member in page.rows], page)


@strawberry.type
class MemberMutation:
    @mutation(
        requires=Permission.MANAGE_MEMBERS,
        description="Add a member. `CONFLICT` where the id is taken.",
    )
    async def member_add(
        self, info: Info, member: Annotated[MemberAddInput, argument("The member to be added.")]
    ) -> Member | None:
        facts = member.parsed()
        async with info.context.write() as tx:
            added = await service.add(tx, facts)
        return Member.of(added)

    @mutation(
        requires=Permission.MANAGE_MEMBERS,
        description="Write facts of a member. `MEMBER_NOT_FOUND` where there is none.",
    )
    async def member_edit(
        self, info: Info, member: Annotated[MemberEditInput, argument("The facts to be written.")]
    ) -> Member | None:
        facts = member.parsed()
        async with info.context.write() as tx:
            edited = await service.edit(tx, facts)
        return Member.of(edited)

    @mutation(
        requires=Permission.ISSUE_MEMBER_TOKENS,
        description="Mint a short-lived token with which a member's app reads `me`. It ends when "
        "the client that minted it is disabled. `MEMBER_NOT_FOUND` where there is no such member.",
    )
    async def member_token_add(
        self, info: Info, member: Annotated[MemberTokenAddInput, argument("Who is to sign in.")]
    ) -> MemberToken | None:
        wanted = read_member_id(member.id, "id")
        async with info.context.write() as tx:
            token = await service.mint_token(tx, wanted)
        return MemberToken(token=token.text, expires_at=token.expires_at)


def read_member_id(value: strawberry.ID, field: str = "memberId") -> str:
    """A member's id: 1 to 64 printable ASCII characters."""
    if not 1 <= len(value) <= ID_LENGTH or not (value.isascii() and value.isprintable()):
        raise InvalidInput(field, f"must be 1 to {ID_LENGTH} printable ASCII characters")
    return str(value)


def email_address(value: str, field: str = "email") -> str:
    """An address as it can stand in a mail header: one @, no spaces, nothing to break out with."""
    local, at, domain = text(value, field, 254).rpartition("@")
    if not (local and at and domain) or any(c in ' "(),:;<>@[\\]' for c in local + domain):
        raise InvalidInput(field, "is not an e-mail address")
    return value
