"""Documents that are asked for by their SHA-256: Apollo's protocol of automatic persisted queries.

A caller sends the hash alone; where the server does not know it, hash and text, which are then
remembered. What a caller has sent is known to that caller only: nobody finds out by a guessed hash
what another one has asked, and nobody pushes out another one's documents. It stays in the memory of
the process, and neither text nor hash is ever logged: a text may say a code, and a hash be guessed.

Trusted documents are the operator's; every caller may ask for them, bound callers for no others.
"""

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from sys import getsizeof

from giftgql.errors import ErrorCode, Refusal
from giftgql.permissions import Caller

DOCUMENTS, BYTES = 50, 32_768
"""What is remembered of one caller, by the memory that its texts take."""

CALLERS = 1_000
"""So many are remembered, those last heard of: 32 MiB at most."""


class PersistedQueryNotFound(Refusal):
    """Clients go by this very message."""

    code = ErrorCode.PERSISTED_QUERY_NOT_FOUND

    def __init__(self) -> None:
        super().__init__("PersistedQueryNotFound")


class PersistedQueryMismatch(Refusal):
    code, field = ErrorCode.PERSISTED_QUERY_MISMATCH, "sha256Hash"

    def __init__(self) -> None:
        super().__init__("sha256Hash is not the SHA-256 of the document.")


class DocumentNotTrusted(Refusal):
    code = ErrorCode.DOCUMENT_NOT_TRUSTED

    def __init__(self) -> None:
        super().__init__("This client may run only documents that the operator gave to the server.")


class PersistedDocuments:
    """The documents of one process that can be asked for by hash."""

    def __init__(self, trusted: Mapping[str, str]) -> None:
        self._trusted = trusted
        self._sent: OrderedDict[str, _Sent] = OrderedDict()

    def text(self, caller: Caller, text: str | None, digest: str | None) -> str:
        """The document that a text, a hash, or both ask for. One of them is given."""
        if text is None:
            return self._known(caller, digest or "")
        if digest is not None or caller.only_trusted:
            real = digest_of(text)
            if digest not in (None, real):
                raise PersistedQueryMismatch
            if caller.only_trusted and real not in self._trusted:
                raise DocumentNotTrusted
        return text

    def remember(self, caller: Caller, text: str, digest: str) -> None:
        """Keep a valid document for the caller who sent it with its hash."""
        if digest not in self._trusted:
            self._of(caller).add(digest, text)

    def _known(self, caller: Caller, digest: str) -> str:
        if (trusted := self._trusted.get(digest)) is not None:
            return trusted
        if caller.only_trusted:
            raise DocumentNotTrusted
        sent = self._of(caller).get(digest) if caller.name in self._sent else None
        if sent is None:
            raise PersistedQueryNotFound
        return sent

    def _of(self, caller: Caller) -> "_Sent":
        sent = self._sent.setdefault(caller.name, _Sent())
        self._sent.move_to_end(caller.name)
        if len(self._sent) > CALLERS:
            self._sent.popitem(last=False)
        return sent


class _Sent:
    """What one caller has sent; what it has not asked for longest goes first."""

    def __init__(self) -> None:
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._bytes = 0

    def get(self, digest: str) -> str | None:
        if digest in self._texts:
            self._texts.move_to_end(digest)
        return self._texts.get(digest)

    def add(self, digest: str, text: str) -> None:
        if digest in self._texts or getsizeof(text) > BYTES:
            return
        self._texts[digest] = text
        self._bytes += getsizeof(text)
        while len(self._texts) > DOCUMENTS or self._bytes > BYTES:
            _, oldest = self._texts.popitem(last=False)
            self._bytes -= getsizeof(oldest)


def digest_of(text: str) -> str:
    """The SHA-256 of a document, as 64 hexadecimal digits."""
    return sha256(text.encode()).hexdigest()
