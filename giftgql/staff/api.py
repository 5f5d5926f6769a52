import strawberry

from giftgql.context import Info
from giftgql.fields import STAFF, query
from giftgql.permissions import Permission
from giftgql.staff import service


@strawberry.type(description="Somebody who works for the retailer.")
class StaffMember:
    id: strawberry.ID = strawberry.field(description="Stands in the books as `staff:<id>`.")
    name: str = strawberry.field(description="Name, at most 100 characters.")
    roles: list[str] = strawberry.field(description="Roles, which bundle permissions.")
    permissions: list[str] = strawberry.field(
        description="All that this person may do, by roles and by single permissions."
    )


@strawberry.type
class StaffQuery:
    @query(
        requires=STAFF,
        description="Who is signed in, by a session or a personal access key, with the rights "
        "held now.",
    )
    async def viewer(self, info: Info) -> StaffMember | None:
        caller = info.context.caller
        async with info.context.read() as reading:
            person = await service.find(reading, caller.id)
        held = [each.value for each in Permission if caller.may(each)]
        return StaffMember(
            id=strawberry.ID(caller.id), name=person.name, roles=person.roles, permissions=held
        )
