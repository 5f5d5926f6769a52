"""The HTTP server: Starlette is known here, to the pages in `web`, and nowhere else.

`edge` surrounds every request, `callers` says who is calling, `graphql` is the API, `files` takes
in and gives out CSV, `oauth` gives out access tokens, `health` answers the load balancer and
`metrics` Prometheus, `signing_in` and `openid` let staff in, `explorer` is their page.
"""

import asyncio
import faulthandler
import gc
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from giftgql import exposition, log, schema, trusted, work
from giftgql.app import explorer, files, health, metrics, oauth, openid, signing_in
from giftgql.app.callers import Callers
from giftgql.app.edge import Edge, Unfinished
from giftgql.app.graphql import GraphQLEndpoint
from giftgql.app.responses import failure
from giftgql.backoffice.routes import ROUTES as BACK_OFFICE
from giftgql.errors import ErrorCode
from giftgql.openid.provider import Provider
from giftgql.settings import Settings, read_settings
from giftgql.startup import open_store
from giftgql.store import Store
from giftgql.web import built, pages


def create_app(settings: Settings | None = None, store: Store | None = None) -> Starlette:
    """The application, with the store given, or one of its own that it opens and closes."""
    if settings is None:  # one of several worker processes
        settings = read_settings()
        log.configure(settings)

    unfinished = Unfinished()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        app.state.store = store or await open_store(settings, serving=True)
        app.state.staff_provider = _provider(settings.staff_oidc_issuer)
        app.state.callers = Callers(app.state.store, _provider(settings.member_oidc_issuer))
        if store is not None:
            yield
            await _finish(unfinished)
            return
        _set_apart_what_stays()
        faulthandler.register(signal.SIGUSR1)  # says where it is, be its event loop stuck
        working = asyncio.create_task(_work(app.state.store))
        try:
            async with exposition.told(app.state.store):
                yield
        finally:
            working.cancel()
            await asyncio.wait([working])
            await _finish(unfinished)
            await app.state.store.close()

    app = Starlette(
        lifespan=lifespan,
        routes=_routes(settings),
        exception_handlers={HTTPException: _http_error},
    )
    app.router.redirect_slashes = False  # it would send a caller wherever its Host header says
    app.add_middleware(Edge, settings=settings, unfinished=unfinished)
    return app


def _provider(issuer: str) -> Provider | None:
    return Provider(issuer) if issuer else None


def _routes(settings: Settings) -> list[Route]:
    return [
        Route("/", _home, methods=["GET"]),
        Route("/graphql", GraphQLEndpoint(schema.build(), trusted.documents(settings))),
        Route("/imports/{kind}", files.import_file, methods=["POST"]),
        Route("/imports/{id}/failures.csv", files.failures, methods=["GET"]),
        Route("/exports/campaigns/{id}.csv", files.export_campaign, methods=["GET"]),
        Route("/exports/cards.csv", files.export_cards, methods=["GET"]),
        Route("/exports/audit.csv", files.export_audit, methods=["GET"]),
        Route("/exports/transactions.csv", files.export_transactions, methods=["GET"]),
        Route("/oauth/token", oauth.token, methods=["POST"]),
        Route("/sign-in", signing_in.show, methods=["GET"]),
        Route("/sign-in", signing_in.sign_in, methods=["POST"]),
        Route("/sign-in/openid", openid.begin, methods=["GET"]),
        Route("/sign-in/callback", openid.come_back, methods=["GET"]),
        Route("/sign-out", signing_in.sign_out, methods=["POST"]),
        Route("/explorer/schema.graphql", explorer.schema_text, methods=["GET"]),
        Route("/explorer/hints.json", explorer.hints, methods=["GET"]),
        Route("/built/{path:path}", built.file, methods=["GET"]),
        Route("/static/{name}", pages.static, methods=["GET"]),
        *BACK_OFFICE,
        Route("/healthz", health.alive, methods=["GET"]),
        Route("/readyz", health.ready, methods=["GET"]),
        Route("/metrics", metrics.show, methods=["GET"]),
    ]


async def _finish(unfinished: Unfinished) -> None:
    """Let requests end what they have begun; the database sees to it that they do."""
    while unfinished:
        await asyncio.wait(unfinished)


async def _work(store: Store) -> None:
    """Do the jobs, unless `giftgql worker` is to do them."""
    if store.settings.works:
        await work.go_on(store)


def _set_apart_what_stays() -> None:
    """Keep the collector from walking the schema and the libraries for ever: that took 0.2 s each
    time. A request makes thousands of objects and leaves none, so it also need not come so often.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


async def _home(_: Request) -> Response:
    return RedirectResponse("/graphql")


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = ErrorCode.NOT_FOUND if error.status_code == 404 else ErrorCode.BAD_REQUEST
    headers = dict(error.headers or {})
    return failure(error.status_code, code, f"{error.detail}.", headers=headers)
