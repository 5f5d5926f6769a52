"""What npm builds of `giftgql/explorer`: scripts and style sheets that pages load. A server that
was set up without npm has none of it."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

import giftgql

FOLDER = Path(giftgql.__file__).parent / "explorer" / "built"
PLACE = "/built"

HOW_TO_GET_IT = (
    "The explorer is not built: install Node.js with npm, run scripts/setup, and start the server "
    "again."
)
_ENTRY = "src/main.jsx"
_MEDIA_TYPES = {".js": "text/javascript", ".css": "text/css", ".ttf": "font/ttf"}
_ENCODINGS = {"br": ".br", "gzip": ".gz"}


@dataclass(frozen=True)
class Entry:
    """Where a page finds its script and style sheets."""

    script: str
    styles: tuple[str, ...]


@cache
def entry() -> Entry | None:
    """The explorer's, if it is built."""
    try:
        chunks = orjson.loads((FOLDER / "manifest.json").read_bytes())
    except FileNotFoundError:
        return None
    main = chunks[_ENTRY]
    return Entry(f"{PLACE}/{main['file']}", tuple(f"{PLACE}/{each}" for each in main["css"]))


def place_of(path: str) -> str | None:
    """Where a page finds a file, if that is built. Pages without one are merely plainer."""
    return f"{PLACE}/{path}" if path in _files() else None


async def file(request: Request) -> Response:
    """`GET /built/{path}`, as small as the browser takes it."""
    found = _files().get(request.path_params["path"])
    if found is None:
        raise HTTPException(404)
    # The names of assets are made of what is in them.
    kept = "max-age=31536000, immutable" if found.parent.name == "assets" else "max-age=600"
    headers = {"Cache-Control": kept, "Vary": "Accept-Encoding"}
    media_type = _MEDIA_TYPES[found.suffix]
    accepted = {each.partition(";")[0].strip() for each in _accepted(request).split(",")}
    for encoding, suffix in _ENCODINGS.items():
        smaller = found.with_name(found.name + suffix)
        if encoding in accepted and smaller.exists():
            headers["Content-Encoding"] = encoding
            return FileResponse(smaller, headers=headers, media_type=media_type)
    return FileResponse(found, headers=headers, media_type=media_type)


def _accepted(request: Request) -> str:
    return request.headers.get("accept-encoding", "")


@cache
def _files() -> dict[str, Path]:
    files = (each for each in FOLDER.rglob("*") if each.suffix in _MEDIA_TYPES)
    return {str(each.relative_to(FOLDER)): each for each in files}
