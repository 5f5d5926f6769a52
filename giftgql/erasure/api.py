from typing import Annotated

import strawberry

from giftgql.context import Info
from giftgql.erasure import service
from giftgql.fields import mutation
from giftgql.members.api import Member, read_member_id
from giftgql.permissions import Permission
from giftgql.values import argument


@strawberry.input(description="The member to be erased.")
class MemberEraseInput:
    id: strawberry.ID = strawberry.field(description="The member's id.")


@strawberry.type
class ErasureMutation:
    @mutation(
        requires=Permission.MANAGE_MEMBERS,
        description="Erase all that is known of a member but the id, for good: facts, tokens, "
        "notes and metadata of its cards, whom its orders were for, names in mails. Cards, money "
        "and orders stay. `CONFLICT` while an order of it is pending, or a card that it bought is "
        "still to be sent to somebody else. `MEMBER_NOT_FOUND` where there is none.",
    )
    async def member_erase(
        self, info: Info, member: Annotated[MemberEraseInput, argument("Who is to be erased.")]
    ) -> Member | None:
        wanted = read_member_id(member.id, "id")
        async with info.context.write() as tx:
            erased = await service.erase(tx, wanted)
        return Member.of(erased)
