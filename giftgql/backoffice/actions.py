"""What can be done with a record: declared once, with its form and its permissions."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from giftgql import codes
from giftgql.backoffice.forms import Field, Form
from giftgql.backoffice.pages import Problem, Visit
from giftgql.cards.views import CardView
from giftgql.codes import CodeText, CodeType
from giftgql.errors import InvalidInput, NotFound, Refusal
from giftgql.outbox.models import OutboxMessage
from giftgql.permissions import Permission
from giftgql.requests import service as requests
from giftgql.requests.service import once
from giftgql.store import Transaction

PLACE = "back-office"
"""The `sourceId` of movements that are made here."""

REASON = Field("reason", "Reason", "lines", longest=500, help="It is kept, with your name.")
CONFIRMED = "confirmed"


@dataclass(frozen=True)
class Reach:
    """How somebody has come to a card: by its id, or by a code, which each form then carries."""

    card_id: int
    code: CodeText | None = None
    kind: CodeType | None = None

    @classmethod
    def of(cls, card_id: int, form: Form) -> "Reach":
        """By the code in a form, if it carries one. Refuses `INVALID_INPUT`."""
        code = form.text("code")
        return cls(card_id, None if code is None else codes.given(code, "code"), cls.kind_in(form))

    @staticmethod
    def kind_in(form: Form, name: str = "codeType") -> CodeType | None:
        kind = form.text(name)
        if kind is not None and kind not in CodeType.__members__:
            raise InvalidInput(name, "is no type of code")
        return None if kind is None else CodeType[kind]


Subject = TypeVar("Subject")
View = TypeVar("View")


def is_living(view: CardView) -> bool:
    """Whether a card may change at all: it was neither disabled nor replaced."""
    return not view.account.closed and view.account.replaced_by is None


@dataclass(frozen=True)
class Task(Generic[Subject, View]):
    """What can be done with a record: it does what a mutation of the API does, for whoever may
    call that. `run` gives the id of what came of it, if that is to be shown.

    `warning` says why it cannot be undone: its form then asks for a confirmation. `row` is the
    field that names what of the record it is about, such as a card's transaction.
    """

    name: str
    mutation: str
    requires: tuple[Permission, ...]
    run: Callable[[Visit, Subject, Form], Awaitable[int | None]]
    title: str
    button: str
    done: str
    fields: tuple[Field, ...] = ()
    warning: str = ""
    row: str = ""
    suits: Callable[[View], bool] = field(default=lambda _: True)

    @property
    def labels(self) -> dict[str, str]:
        return {each.name: each.label for each in self.fields}

    def form_of(self, form: Form) -> str:
        """The name of the form on the page that was sent."""
        return self.form_id(form.text(self.row) or "") if self.row else self.name

    def form_id(self, row: object = "") -> str:
        return f"{self.name}-{row}" if self.row else self.name

    def is_offered(self, visit: Visit, view: View) -> bool:
        return visit.may(*self.requires) and self.suits(view)

    async def __call__(self, visit: Visit, subject: Subject, form: Form) -> int | None:
        """Do it, for whoever may, once for each form that was rendered."""
        visit.require(*self.requires)
        form.needed("key")
        if self.warning and not form.is_checked(CONFIRMED):
            raise InvalidInput(CONFIRMED, "is needed: this cannot be undone")
        return await self.run(visit, subject, form)


@dataclass(frozen=True)
class Done(Generic[Subject, View]):
    """What was done, and the id of what came of it."""

    task: Task[Subject, View]
    came_of_it: int | None


async def perform(
    visit: Visit, tasks: Mapping[str, Task[Subject, View]], subject: Subject, form: Form
) -> Done[Subject, View] | Problem:
    """Do what the address that a form was sent to names. Refuses `NOT_FOUND` where it names
    nothing; any other refusal is the problem to show beside the form."""
    task = tasks.get(visit.request.path_params["action"])
    if task is None:
        raise NotFound("action", "action")
    try:
        return Done(task, await task(visit, subject, form))
    except Refusal as refusal:
        return Problem(refusal, form, of=task.form_of(form))


@dataclass(frozen=True)
class Action(Task[Reach, CardView]):
    """An action on a card; gives the transaction that came of it, if one did."""

    suits: Callable[[CardView], bool] = field(default=is_living)


async def once_by_form(
    visit: Visit,
    form: Form,
    mutation: str,
    subject_id: int,
    put: Callable[[Transaction, int], Awaitable[OutboxMessage]],
) -> None:
    """Put a message into the outbox, once for each form that was rendered: a double click would
    make a second one, which the mutation does not guard against."""
    request = once(form.key, mutation, {"id": subject_id})
    async with visit.context.write() as tx:
        if await requests.claim(tx, request) is None:
            message = await put(tx, subject_id)
            await requests.settle(tx, request, {"message": message.id})
