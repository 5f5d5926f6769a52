from sqlmodel import Field, SQLModel

from giftgql.columns import BigId


class Succession(SQLModel, table=True):
    """What became of what a use left on a card that is replaced on use. It is on the successor; or,
    where there is none, still on the card, since nobody is known to whom a new code could be sent.
    `movement_id` is the use, or the hold that was captured. Never changed."""

    movement_id: int = Field(
        foreign_key="movement.id",
        primary_key=True,
        sa_type=BigId,
        sa_column_kwargs={"autoincrement": False},
    )
    successor_id: int | None = Field(
        default=None, foreign_key="gift_card.id", unique=True, sa_type=BigId
    )
