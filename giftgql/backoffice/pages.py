"""How a page of the back office is asked for, filled in and answered."""

import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import cache, cached_property, wraps
from pathlib import Path
from typing import Any

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from giftgql.backoffice import navigation
from giftgql.backoffice.forms import Form
from giftgql.backoffice.locales import Wording, preferred
from giftgql.context import Context
from giftgql.errors import ErrorCode, PermissionDenied, Refusal, Unauthenticated
from giftgql.money import Money
from giftgql.permissions import Caller, Permission
from giftgql.store import Reading, Store
from giftgql.web import built, hints, sessions
from giftgql.web import pages as web
from giftgql.web.bodies import BadBody
from giftgql.web.sessions import Session

log = structlog.get_logger("giftgql.backoffice")

FOLDER = Path(__file__).parent / "templates"

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_STATUS = {
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.RATE_LIMITED: 429,
    ErrorCode.UNAVAILABLE: 503,
}
UNPROCESSABLE = 422
_OF_SECRETS = frozenset({ErrorCode.CVV_REQUIRED, ErrorCode.SECRET_INVALID, ErrorCode.SECRET_LOCKED})


@dataclass(eq=False)
class Visit:
    """A request of somebody who is signed in."""

    request: Request
    session: Session

    @property
    def caller(self) -> Caller:
        return self.session.caller

    @property
    def store(self) -> Store:
        store: Store = self.request.app.state.store
        return store

    @cached_property
    def context(self) -> Context:
        """What the API's commands take."""
        return Context(self.caller, self.store, ends_at=self.request.state.ends_at)

    @cached_property
    def wording(self) -> Wording:
        languages = self.request.headers.get("accept-language", "")
        return Wording(preferred(languages), self.store.settings)

    def read(self) -> AbstractAsyncContextManager[Reading]:
        return self.store.read(self.caller)

    def may(self, *any_of: Permission) -> bool:
        return any(self.caller.may(each) for each in any_of)

    def require(self, *any_of: Permission) -> None:
        """Refuse `PERMISSION_DENIED` whoever has none of these, if any are named."""
        if any_of and not self.may(*any_of):
            raise PermissionDenied(" or ".join(each.value for each in any_of))

    def asked(self, name: str) -> str | None:
        """What the address asks for; what is empty is not asked."""
        return self.request.query_params.get(name, "").strip() or None

    def page(self, template: str, status: int = 200, **known: Any) -> Response:
        """A template filled in within the layout."""
        html = (
            _environment()
            .get_template(template)
            .render(
                {
                    "visit": self,
                    "sections": navigation.open_to(self.caller),
                    "path": self.request.url.path,
                    "say": self.wording,
                    "problem": None,
                    **known,
                }
            )
        )
        return answered(html, status)


@dataclass(frozen=True)
class Problem:
    """Why a form was refused, and what to do; beside the field at fault if it has one.

    `of` names the form where a page has several; `advice` is what to do, where the form
    knows better than the refusal.
    """

    refusal: Refusal
    form: Form
    of: str = ""
    advice: str = ""

    @property
    def field(self) -> str | None:
        return self.refusal.field

    @property
    def code(self) -> ErrorCode:
        return self.refusal.code

    @property
    def hint(self) -> str:
        return self.advice or hints.for_refusal(self.refusal)

    @property
    def key(self) -> str:
        """A new key, since what was declined keeps its answer under the old one; but where
        nothing is known to have been done, the old one, under which it may be done once only."""
        is_open = self.code is ErrorCode.UNAVAILABLE and self.form.key
        return self.form.key if is_open and self.form.key else _new_key()

    @property
    def is_about_secrets(self) -> bool:
        """Whether a PIN or CVV was missing or wrong, which the form is to ask for now."""
        return self.code in _OF_SECRETS

    @property
    def status(self) -> int:
        return _STATUS.get(self.code, UNPROCESSABLE)

    def sentence(self, labels: dict[str, str]) -> str:
        """What is wrong, with the field's name as its form calls it."""
        text = str(self.refusal)
        name = self.field or ""
        if name in labels and text.startswith(f"{name} "):
            return labels[name] + text.removeprefix(name)
        return text


Shows = Callable[[Visit], Awaitable[Response]]
Changes = Callable[[Visit, Form], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def shows(*any_of: Permission) -> Callable[[Shows], Endpoint]:
    """Declare a page for signed-in people with one of these permissions, or for all."""

    def declare(handler: Shows) -> Endpoint:
        async def visited(request: Request) -> Response:
            session = await sessions.signed_in(request)
            if session is None:
                raise Unauthenticated
            visit = _visit(request, session)
            visit.require(*any_of)
            return await handler(visit)

        return _answering(visited, handler)

    return declare


def changes(*any_of: Permission) -> Callable[[Changes], Endpoint]:
    """Declare what takes a form of ours, sent by a page of ours, with one of these permissions."""

    def declare(handler: Changes) -> Endpoint:
        async def visited(request: Request) -> Response:
            session, fields = await sessions.posted(request)
            visit = _visit(request, session)
            visit.require(*any_of)
            return await handler(visit, Form(fields))

        return _answering(visited, handler)

    return declare


def answered(html: str, status: int) -> Response:
    return HTMLResponse(
        html,
        status,
        {
            "Content-Security-Policy": POLICY,
            "Referrer-Policy": "same-origin",  # else browsers send forms with `Origin: null`
        },
    )


def go_to(path: str) -> Response:
    """Go on with a page that may be loaded again without doing anything again."""
    return RedirectResponse(path, 303)


def _answering(visited: Endpoint, handler: Callable[..., Any]) -> Endpoint:
    """Answer refusals that the handler has not shown beside its form, and faults, as pages."""

    @wraps(handler)
    async def answering(request: Request) -> Response:
        try:
            return await visited(request)
        except Unauthenticated:
            return _to_sign_in(request)
        except BadBody as bad:
            return _refused(request, "Not understood", str(bad), "", bad.status)
        except Refusal as refusal:
            request.state.log["errors"] = [refusal.code.value]
            status = _STATUS.get(refusal.code, UNPROCESSABLE)
            hint = hints.for_refusal(refusal)
            return _refused(request, _TITLES.get(status, "Not done"), str(refusal), hint, status)
        except Exception as error:
            request_id = request.state.log["request_id"]
            log.exception("fault", request_id=request_id, exc_info=error)
            hint = f"Tell whoever runs it this number: {request_id}."
            return _refused(request, "Failed", "The server failed.", hint, 500)

    return answering


_TITLES = {403: "Not allowed", 404: "Not found", 503: "Busy"}


def _refused(request: Request, title: str, sentence: str, hint: str, status: int) -> Response:
    visit: Visit | None = getattr(request.state, "visit", None)
    if visit is None:
        return web.refused(title, f"{sentence} {hint}".strip(), status)
    return visit.page("refused.html", status, title=title, sentence=sentence, hint=hint)


def _to_sign_in(request: Request) -> Response:
    """To the sign-in, and back; a page that htmx would swap in goes there as a whole."""
    answer = sessions.to_sign_in(request)
    if request.headers.get("hx-request") == "true":
        return Response(status_code=200, headers={"HX-Redirect": answer.headers["location"]})
    return answer


def _visit(request: Request, session: Session) -> Visit:
    request.state.visit = visit = Visit(request, session)
    return visit


def _new_key() -> str:
    """An idempotency key for a form that is being rendered."""
    return f"office-{secrets.token_urlsafe(18)}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"Permission": Permission, "new_key": _new_key, "built": built.place_of}
    environment.filters["money"] = Money
    return environment
