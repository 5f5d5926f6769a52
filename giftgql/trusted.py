"""Reading the operator's trusted documents: a manifest, `.graphql` files, or a folder of both.

A manifest is JSON that a client's build makes: `{hash: document}` as GraphQL Code Generator writes
it, or Apollo's `apollo-persisted-query-manifest`. Each hash must be the document's SHA-256.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from giftgql.persisted import digest_of
from giftgql.settings import Settings

APOLLO = "apollo-persisted-query-manifest"
_DOCUMENTS = (".graphql", ".gql")


class TrustedDocumentsError(Exception):
    """The trusted documents cannot be read. The sentence says which file, and what is wrong."""


def documents(settings: Settings) -> dict[str, str]:
    """The documents by their SHA-256; none where none are set. Raises TrustedDocumentsError."""
    place = settings.trusted_documents
    if place is None:
        return {}
    found: dict[str, str] = {}
    for file in _files(place):
        found.update(_of(file))
    if not found:
        raise TrustedDocumentsError(f"There are no documents in {place}.")
    return found


def _files(place: Path) -> list[Path]:
    if not place.is_dir():
        return [place]
    kinds = (".json", *_DOCUMENTS)
    return sorted(each for each in place.rglob("*") if each.suffix in kinds and each.is_file())


def _of(file: Path) -> dict[str, str]:
    try:
        content = file.read_bytes()
        if file.suffix in _DOCUMENTS:
            text = content.decode()
            return {digest_of(text): text}
        return dict(_checked(file, orjson.loads(content)))
    except OSError as error:
        raise TrustedDocumentsError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise TrustedDocumentsError(f"{file} is not UTF-8 text.") from None
    except orjson.JSONDecodeError:
        raise TrustedDocumentsError(f"{file} is not valid JSON.") from None


def _checked(file: Path, manifest: Any) -> Iterator[tuple[str, str]]:
    for name, text in _entries(file, manifest):
        if not isinstance(name, str) or not isinstance(text, str):
            raise TrustedDocumentsError(f"{file} is no manifest: hashes and documents are texts.")
        digest = name.removeprefix("sha256:").lower()
        if digest != digest_of(text):
            raise TrustedDocumentsError(
                f"{file}: {name[:80]} is not the SHA-256 of its document. Make the manifest with "
                "SHA-256, and do not edit it."
            )
        yield digest, text


def _entries(file: Path, manifest: Any) -> Iterator[tuple[object, object]]:
    if not isinstance(manifest, dict):
        raise TrustedDocumentsError(f"{file} is no manifest: it is no JSON object.")
    if manifest.get("format") != APOLLO:
        yield from manifest.items()
        return
    operations = manifest.get("operations")
    if manifest.get("version") != 1 or not isinstance(operations, list):
        raise TrustedDocumentsError(f"{file} is no {APOLLO} of version 1.")
    for each in operations:
        yield (each.get("id"), each.get("body")) if isinstance(each, dict) else (None, None)
