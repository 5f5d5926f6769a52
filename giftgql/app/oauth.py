"""OAuth 2 client credentials (RFC 6749, section 4.4): a client's key for a short-lived token."""

from base64 import b64decode
from binascii import Error as NotBase64
from urllib.parse import unquote_plus

from starlette.requests import Request
from starlette.responses import Response

from giftgql import credentials
from giftgql.app.responses import json_response
from giftgql.clients import service as clients
from giftgql.clients.service import Token
from giftgql.errors import Unavailable
from giftgql.store import Store
from giftgql.web.bodies import BadBody, read_form


class _Refused(Exception):
    """An error of RFC 6749, section 5.2."""

    def __init__(self, error: str, description: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.description, self.status = error, description, status


async def token(request: Request) -> Response:
    """`POST /oauth/token`: client id and secret by basic authentication or in the form."""
    try:
        form = await _form(request)
        client_id, secret = _credentials(request, form)
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise _Refused("invalid_request", "grant_type is missing.")
        if grant_type != "client_credentials":
            raise _Refused("unsupported_grant_type", "grant_type must be client_credentials.")
        granted = await _granted(request.app.state.store, client_id, secret)
    except _Refused as refused:
        request.state.log["errors"] = [refused.error]
        headers = {"WWW-Authenticate": 'Basic realm="giftgql"'} if refused.status == 401 else {}
        content = {"error": refused.error, "error_description": refused.description}
        return json_response(content, refused.status, headers=headers)
    except Unavailable as refusal:
        headers = {"Retry-After": str(refusal.facts["retryAfter"])}
        content = {"error": "temporarily_unavailable", "error_description": str(refusal)}
        return json_response(content, 503, headers=headers)
    request.state.log["caller"] = f"client:{client_id}"
    return json_response(
        {
            "access_token": granted.text,
            "token_type": "Bearer",
            "expires_in": request.app.state.store.settings.access_token_seconds,
        },
        headers={"Pragma": "no-cache"},
    )


async def _granted(store: Store, client_id: str, secret: str) -> Token:
    """Who does not know a key gets no further than a read: writers wait for each other."""
    granted = None
    if credentials.is_well_formed(secret):
        async with store.read() as reading:
            found = await clients.authenticate(reading, secret)
        if found is not None and found[0].id == client_id:
            async with store.write() as tx:
                granted = await clients.grant_token(tx, client_id, secret)
    if granted is None:
        raise _Refused("invalid_client", "Client id or secret is wrong.", 401)
    return granted


async def _form(request: Request) -> dict[str, str]:
    """What is given; empty is as good as absent, as RFC 6749, section 3.2 says."""
    try:
        form = await read_form(request)
    except BadBody as bad:
        status = 400 if bad.status == 415 else bad.status
        raise _Refused("invalid_request", str(bad), status) from None
    return {name: value for name, value in form.items() if value}


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Client id and secret, from the one place where they are."""
    authorization = request.headers.get("authorization")
    in_form = "client_secret" in form
    if authorization is None:
        if not in_form or "client_id" not in form:
            raise _Refused("invalid_client", "Client id and secret are missing.", 401)
        return form["client_id"], form["client_secret"]
    if in_form:
        raise _Refused("invalid_request", "The client authenticates in two ways at once.")
    scheme, _, encoded = authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError(scheme)
        client_id, colon, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (ValueError, NotBase64):
        raise _Refused("invalid_client", "Basic authentication is malformed.", 401) from None
    if not colon:
        raise _Refused("invalid_client", "Basic authentication is malformed.", 401)
    return unquote_plus(client_id), unquote_plus(secret)
