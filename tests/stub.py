"""A server whose `giftcardTransAdd` is answered without a database: what all the rest costs.

HTTP, who is calling, the reading of the document and of the input, GraphQL and the answer are
the program's own. Used by the bench; run like `giftgql`: `python -m tests.stub serve`.
"""

from datetime import UTC, datetime
from typing import Annotated

import strawberry
from strawberry.tools import merge_types

from giftgql import cli, schema
from giftgql.context import Info
from giftgql.fields import mutation
from giftgql.ledger.books import Entry
from giftgql.ledger.models import MovementState, MovementType
from giftgql.ledger.orders import movement_id
from giftgql.movements import service
from giftgql.movements.api import MOVES
from giftgql.movements.inputs import GiftcardTransAddInput
from giftgql.movements.shown import GiftCardTrans
from giftgql.values import argument


@strawberry.type
class StubMutation:
    @mutation(requires=MOVES, description="Answered without a database.")
    async def giftcard_trans_add(
        self, info: Info, trans: Annotated[GiftcardTransAddInput, argument("Anything.")]
    ) -> GiftCardTrans | None:
        entry = Entry(
            id=movement_id(),
            account_id=1,
            type=MovementType.USE,
            state=MovementState.POSTED,
            amount=-1,
            asked=-1,
            balance=4_999,
            caller=info.context.caller.name,
            code_id=1,
            source_id=None,
            ref_no=None,
            reason=None,
            created_at=datetime.now(UTC),
        )
        return GiftCardTrans.of(service.entered(entry, "EUR"), info.context)


schema.Mutation = merge_types("Mutation", (StubMutation,))

if __name__ == "__main__":
    cli.main()
