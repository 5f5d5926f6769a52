from sqlalchemy import update
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.columns import first_unfinished, this_transaction
from giftgql.installation.models import Installation, KeyCheck


class InstallationRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def get(self) -> Installation | None:
        return (await self.session.exec(select(Installation))).first()

    async def key_checks(self) -> list[KeyCheck]:
        return list((await self.session.exec(select(KeyCheck))).all())

    async def add(self, *rows: SQLModel) -> None:
        self.session.add_all(rows)
        await self.session.flush()

    async def count_changes_anew(self) -> None:
        """Give every row that can be synchronised the number of this transaction."""
        for table in SQLModel.metadata.sorted_tables:
            if "changed_in" in table.columns:
                await self.session.exec(update(table).values(changed_in=this_transaction()))

    async def sync_state(self) -> tuple[str, int]:
        """The epoch, and the first transaction that may not have ended."""
        query = select(col(Installation.epoch), first_unfinished())
        epoch, horizon = (await self.session.exec(query)).one()
        return epoch, horizon
