from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, update
from sqlmodel import SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from giftgql.clients.models import AccessToken, Client, ClientKey


class ClientRepository:
    def __init__(self, session: AsyncSession) -> None:
        self.session = session

    async def add(self, row: SQLModel) -> None:
        self.session.add(row)
        await self.session.flush()

    async def page(self) -> Sequence[Client]:
        return (await self.session.exec(select(Client).order_by(col(Client.id)))).all()

    async def find_by_public_id(self, public_id: str) -> Client | None:
        query = select(Client).where(Client.public_id == public_id)
        return (await self.session.exec(query)).first()

    async def names(self, public_ids: Collection[str]) -> dict[str, str]:
        """The names of these clients, by their public ids."""
        query = select(Client).where(col(Client.public_id).in_(public_ids))
        return {each.public_id: each.name for each in (await self.session.exec(query)).all()}

    async def lock(self, public_id: str) -> Client | None:
        query = select(Client).where(Client.public_id == public_id).with_for_update()
        return (await self.session.exec(query)).first()

    async def find_by_key(self, key_id: str) -> tuple[Client, ClientKey] | None:
        query = (
            select(Client, ClientKey)
            .join(ClientKey, col(ClientKey.client_id) == Client.id)
            .where(ClientKey.id == key_id)
        )
        return (await self.session.exec(query)).first()

    async def find_by_token(self, digest: bytes) -> tuple[Client, ClientKey, AccessToken] | None:
        query = (
            select(Client, ClientKey, AccessToken)
            .join(ClientKey, col(ClientKey.client_id) == Client.id)
            .join(AccessToken, col(AccessToken.key_id) == ClientKey.id)
            .where(AccessToken.digest == digest)
        )
        return (await self.session.exec(query)).first()

    async def live_keys(self, client_id: int) -> Sequence[ClientKey]:
        """The client's live keys, oldest first."""
        query = (
            select(ClientKey)
            .where(ClientKey.client_id == client_id, col(ClientKey.revoked_at).is_(None))
            .order_by(col(ClientKey.created_at), col(ClientKey.id))
        )
        return (await self.session.exec(query)).all()

    async def delete_tokens(self, key_id: str, *, expired_at: datetime) -> None:
        """Clear away the key's expired tokens."""
        done = (col(AccessToken.key_id) == key_id) & (col(AccessToken.expires_at) <= expired_at)
        await self.session.exec(delete(AccessToken).where(done))

    async def disable(self, public_id: str, *, at: datetime) -> bool:
        """Disable a client that is not; False if there is none."""
        query = (
            update(Client)
            .where(col(Client.public_id) == public_id, col(Client.disabled_at).is_(None))
            .values(disabled_at=at)
            .returning(col(Client.id))
        )
        return (await self.session.exec(query)).first() is not None
