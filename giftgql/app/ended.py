"""What is said and counted of a request that has ended."""

from typing import Any

import structlog
from starlette.types import Scope

from giftgql import metrics

log = structlog.get_logger("giftgql.request")

_KINDS = {
    **{"imports": "import", "exports": "export", "office": "office", "oauth": "token"},
    **{"sign-in": "sign-in", "sign-out": "sign-in", "graphql": "graphql"},
    **{"healthz": "health", "readyz": "health", "metrics": "metrics"},
}
"""What a request is, by the first part of its path; all others are `other`."""

_MAY_TAKE_LONG = {"import", "export"}


def tell(scope: Scope, facts: dict[str, Any], status: int, seconds: float) -> None:
    """Log a request that has ended, and count it; a slow one is a warning."""
    kind = facts.setdefault("kind", _kind(scope["path"]))
    metrics.request_ended(kind, _outcome(facts, status), seconds)
    ms, slow_ms = round(seconds * 1000, 1), scope["state"]["settings"].slow_ms
    say = log.info
    if 0 < slow_ms <= ms and kind not in _MAY_TAKE_LONG:
        say, facts["slow"] = log.warning, True
    say("request", method=scope["method"], status=status, ms=ms, **facts)


def _kind(path: str) -> str:
    return _KINDS.get(path.lstrip("/").partition("/")[0], "other")


def _outcome(facts: dict[str, Any], status: int) -> str:
    """How a request ended, in one of few words."""
    if errors := facts.get("errors"):
        return str(errors[0])
    if status == 0:
        return "GONE"
    return "OK" if status < 400 else f"{status // 100}xx"
