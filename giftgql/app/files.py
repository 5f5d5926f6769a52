"""Files over HTTP: `POST /imports/pools|cards` takes them in, `GET /exports/….csv` gives them out.

The caller is identified before the body is read, as for GraphQL. What is refused
is answered in the form of a GraphQL error, with an HTTP status.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import date
from typing import Any

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from giftgql.app.responses import failure, json_response, refused
from giftgql.audit.criteria import Criteria as AuditCriteria
from giftgql.audit.models import Event
from giftgql.cards.criteria import Criteria as CardCriteria
from giftgql.cards.models import CardStatus
from giftgql.errors import ErrorCode, InvalidInput, NotFound, Refusal
from giftgql.exports import service as exports
from giftgql.imports import receiving
from giftgql.imports import service as imports
from giftgql.imports.models import ImportKind
from giftgql.ledger.models import MovementType
from giftgql.movements.criteria import Criteria as TransCriteria
from giftgql.permissions import Caller, Permission
from giftgql.spreadsheets import Table, csv_bytes
from giftgql.store import Store
from giftgql.values import text
from giftgql.web.bodies import media_type_of

log = structlog.get_logger("giftgql.files")

TAKEN = ("text/csv", "text/plain", "application/csv", "application/octet-stream")
"""What a file to be imported may call itself."""

_KINDS = {kind.value.lower(): kind for kind in ImportKind}

_STATUS = {
    ErrorCode.UNAUTHENTICATED: 401,
    ErrorCode.PERMISSION_DENIED: 403,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.CONFLICT: 409,
    ErrorCode.UNAVAILABLE: 503,
}

Handler = Callable[[Request, Caller], Awaitable[Response]]


def for_callers(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A route for who has a credential; what it refuses gets the status that fits."""

    async def identified(request: Request) -> Response:
        if request.method == "HEAD":  # nothing would come of it, but PINs are given out once
            headers = {"Allow": "GET"}
            sentence = "Files are answered over GET."
            return failure(405, ErrorCode.BAD_REQUEST, sentence, headers=headers)
        try:
            caller = await request.app.state.callers.of(request)
            request.state.log["caller"] = caller.name
            return await handler(request, caller)
        except Refusal as refusal:
            request.state.log["errors"] = [refusal.code.value]
            return refused(refusal, _STATUS.get(refusal.code, 400))

    return identified


# Imports


@for_callers
async def import_file(request: Request, caller: Caller) -> Response:
    """`POST /imports/cards`, `POST /imports/pools`: the body is the file."""
    caller.require(Permission.MANAGE_POOLS)
    kind = _KINDS.get(request.path_params["kind"])
    if kind is None:
        raise HTTPException(404)
    if (media_type := media_type_of(request)) not in TAKEN:
        sentence = f"Content-Type must be text/csv, not {media_type or 'missing'}."
        return failure(415, ErrorCode.BAD_REQUEST, sentence)
    store: Store = request.app.state.store
    length = request.headers.get("content-length", "")
    try:
        if length.isdecimal() and int(length[:20]) > store.settings.max_import_mib << 20:
            raise receiving.too_large(store)
        async with aclosing(_body(request, store.settings.body_seconds)) as body:
            file = await receiving.receive(store, caller, kind, body)
    except TimeoutError:
        headers = {"Connection": "close"}
        return failure(408, ErrorCode.BAD_REQUEST, "The file came too slowly.", headers=headers)
    except ClientDisconnect:
        return failure(400, ErrorCode.BAD_REQUEST, "The file ended early.")
    except receiving.TooLarge as error:
        return failure(413, ErrorCode.BAD_REQUEST, str(error), headers={"Connection": "close"})
    return json_response({"id": str(file.id), "status": file.status.value}, 202)


async def _body(request: Request, patience: float) -> AsyncGenerator[bytes, None]:
    """The body as it comes; TimeoutError where nothing comes for so many seconds."""
    stream = request.stream()
    while True:
        try:
            chunk = await asyncio.wait_for(anext(stream), patience)
        except StopAsyncIteration:
            return
        yield chunk


@for_callers
async def failures(request: Request, caller: Caller) -> Response:
    """`GET /imports/{id}/failures.csv`: the rows that were not imported, to be corrected."""
    caller.require(Permission.MANAGE_POOLS)
    store: Store = request.app.state.store
    return await _download(await imports.failure_export(store, _id(request, "import")))


# Exports


@for_callers
async def export_campaign(request: Request, caller: Caller) -> Response:
    """`GET /exports/campaigns/{id}.csv`, with `?pins=true` the PINs as well, once."""
    with_pins = _is_asked(_asked(request, "pins"), "pins")
    store: Store = request.app.state.store
    wanted = _id(request, "campaign")
    return await _download(await exports.campaign_codes(store, caller, wanted, with_pins=with_pins))


@for_callers
async def export_cards(request: Request, caller: Caller) -> Response:
    """`GET /exports/cards.csv?status=…&memberId=…&productId=…&poolId=…&campaignId=…`."""
    asked = _asked(request, "status", "memberId", "productId", "poolId", "campaignId")
    criteria = CardCriteria(
        status=_member(CardStatus, asked, "status"),
        member_id=_text(asked, "memberId"),
        product_id=_number(asked, "productId"),
        pool_id=_number(asked, "poolId"),
        campaign_id=_number(asked, "campaignId"),
    )
    return await _download(await exports.card_list(request.app.state.store, caller, criteria))


@for_callers
async def export_transactions(request: Request, caller: Caller) -> Response:
    """`GET /exports/transactions.csv?from=…&to=…&transType=…&sourceId=…&cardId=…`: days."""
    store: Store = request.app.state.store
    asked = _asked(request, "from", "to", "transType", "sourceId", "cardId")
    card_id = _number(asked, "cardId")
    criteria = TransCriteria(
        type=_member(MovementType, asked, "transType"),
        source_id=_text(asked, "sourceId"),
        card_ids=None if card_id is None else [card_id],
    )
    first, last = _day(asked, "from"), _day(asked, "to")
    return await _download(
        await exports.transaction_list(store, caller, criteria, first=first, last=last)
    )


@for_callers
async def export_audit(request: Request, caller: Caller) -> Response:
    """`GET /exports/audit.csv?from=…&to=…&caller=…&event=…&subject=…&sourceId=…`: days."""
    store: Store = request.app.state.store
    asked = _asked(request, "from", "to", "caller", "event", "subject", "sourceId")
    criteria = AuditCriteria(
        caller=_text(asked, "caller", 80),
        event=_member(Event, asked, "event"),
        subject=_text(asked, "subject", 80),
        source_id=_text(asked, "sourceId"),
    )
    first, last = _day(asked, "from"), _day(asked, "to")
    return await _download(
        await exports.audit_trail(store, caller, criteria, first=first, last=last)
    )


async def _download(table: Table) -> Response:
    """The table as a file. What refuses it before its first page is still answered as such."""
    pages = table.pages
    try:
        begin = await anext(pages)
    except StopAsyncIteration:
        begin = ()

    async def content() -> AsyncIterator[bytes]:
        async with aclosing(pages):
            yield csv_bytes([table.head, *begin])
            async for rows in pages:
                yield csv_bytes(rows)

    return StreamingResponse(
        content(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{table.name}.csv"'},
    )


def _asked(request: Request, *known: str) -> dict[str, str]:
    """The query's parameters. Refuses unknown and repeated ones: a filter that is mistyped would
    give out everything."""
    pairs = request.query_params.multi_items()
    names = [name for name, _ in pairs]
    for name in names:
        if name not in known:
            raise InvalidInput(name[:40], f"is no filter; there are {', '.join(known)}")
        if names.count(name) > 1:
            raise InvalidInput(name, "is given twice")
    return dict(pairs)


def _id(request: Request, what: str) -> int:
    digits = request.path_params["id"]
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        raise NotFound("id", what)
    return int(digits)


def _text(asked: dict[str, str], name: str, longest: int = 64) -> str | None:
    wanted = asked.get(name)
    return None if wanted is None else text(wanted, name, longest)


def _is_asked(asked: dict[str, str], name: str) -> bool:
    if (wanted := asked.get(name, "false")) not in ("true", "false"):
        raise InvalidInput(name, "must be true or false")
    return wanted == "true"


def _number(asked: dict[str, str], name: str) -> int | None:
    digits = asked.get(name)
    if digits is None:
        return None
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 19):
        raise InvalidInput(name, "is no id")
    return int(digits)


def _member(members: type[Any], asked: dict[str, str], name: str) -> Any:
    wanted = asked.get(name)
    if wanted is None:
        return None
    if wanted not in members.__members__:
        raise InvalidInput(name, f"must be one of {', '.join(members.__members__)}")
    return members[wanted]


def _day(asked: dict[str, str], name: str) -> date | None:
    try:
        return date.fromisoformat(asked[name]) if name in asked else None
    except ValueError:
        raise InvalidInput(name, "is no date such as 2026-12-31") from None
