"""What is done with messages to people and systems outside: tried now, or sent once more."""

from typing import Any

from giftgql.backoffice.actions import Task, once_by_form
from giftgql.backoffice.forms import Form
from giftgql.backoffice.pages import Visit
from giftgql.outbox import service as outbox
from giftgql.outbox.models import OutboxMessage, OutboxState
from giftgql.permissions import Permission
from giftgql.values import ID, known_id

MESSAGE = "message"


async def _resend(visit: Visit, _: object, form: Form) -> None:
    await once_by_form(visit, form, "outboxResend", _named(form), outbox.resend)


async def _retry(visit: Visit, _: object, form: Form) -> None:
    async with visit.context.write() as tx:
        await outbox.retry(tx, _named(form))


def _named(form: Form) -> int:
    return known_id(ID(form.needed(MESSAGE)), MESSAGE, "message")


RESEND: Task[Any, Any] = Task(
    "resend",
    "outboxResend",
    (Permission.MANAGE_OUTBOX,),
    _resend,
    title="Send again",
    button="Send again",
    done="The message is on its way once more, to the same address.",
    row=MESSAGE,
)
RETRY: Task[Any, Any] = Task(
    "retry",
    "outboxRetry",
    (Permission.MANAGE_OUTBOX,),
    _retry,
    title="Try now",
    button="Try now",
    done="The message is tried now.",
    row=MESSAGE,
)
ACTIONS = {each.name: each for each in (RESEND, RETRY)}


def offered(message: OutboxMessage) -> Task[Any, Any]:
    """What can be done with a message as it is now."""
    has_ended = message.state in (OutboxState.SENT, OutboxState.CANCELLED)
    return RESEND if has_ended else RETRY
