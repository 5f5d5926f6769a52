"""Secrets at rest: the keyring, codes sealed and fingerprinted, PINs and CVVs hashed.

One file holds the keys, apart from the database: a stolen dump shows balances and last digits,
nothing else. Every purpose has its own key, derived from a ring key by HKDF. `primary` seals
codes and peppers PINs and can be rotated online; `index` makes fingerprints, by which codes are
looked up and kept unique, so there is one at a time.
"""

import hashlib
import hmac
import json
import os
import secrets
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from time import monotonic

from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from giftgql.codes import CodeText, CodeType, normalise
from giftgql.errors import InvalidInput
from giftgql.pins import Pins, valid_cvv, valid_pin

__all__ = ["Keyring", "KeyringError", "Sealed", "Vault", "valid_cvv", "valid_pin"]

_NONCE_BYTES = 12
_ASK_AGAIN = 0.002
"""For so many seconds the key file is not looked at again."""

_HMAC = "$hmac$"
_ALTERED = "A stored verifier cannot be read: its row was altered."


class KeyringError(Exception):
    """The keys are missing, damaged or not the database's. The sentence says what to do."""


@dataclass(frozen=True)
class Keyring:
    """Ring keys by number; `primary` and `index` name the two in use."""

    primary: int
    index: int
    keys: dict[int, bytes] = field(repr=False)

    @classmethod
    def new(cls) -> "Keyring":
        return cls(primary=1, index=1, keys={1: secrets.token_bytes(32)})

    def rotated(self) -> "Keyring":
        """The same ring with a fresh primary key. The old ones stay: old backups need them."""
        newest = max(self.keys) + 1
        return Keyring(newest, self.index, {**self.keys, newest: secrets.token_bytes(32)})

    @classmethod
    def read(cls, path: Path) -> "Keyring":
        try:
            stored = json.loads(path.read_text())
            keys = {int(kid): b64decode(key, validate=True) for kid, key in stored["keys"].items()}
            ring = cls(int(stored["primary"]), int(stored["index"]), keys)
        except FileNotFoundError:
            raise KeyringError(f"There is no key file at {path}. Put it back.") from None
        except OSError as error:
            raise KeyringError(f"The key file {path} cannot be read: {error.strerror}.") from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeyringError(f"The key file {path} is damaged. Put a good copy back.") from None
        if {ring.primary, ring.index} - keys.keys() or any(len(key) != 32 for key in keys.values()):
            raise KeyringError(f"The key file {path} is damaged. Put a good copy back.")
        return ring

    def write(self, path: Path, *, replacing: bool = False) -> None:
        """Write the file, mode 0600, in one step: a crash leaves the old file or the new one.

        Without `replacing` a file that is there stays: FileExistsError.
        """
        content = {
            "primary": self.primary,
            "index": self.index,
            "keys": {str(kid): b64encode(key).decode() for kid, key in self.keys.items()},
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        if replacing:
            with suppress(FileNotFoundError, PermissionError):  # as root: the server still reads it
                os.chown(draft, path.stat().st_uid, path.stat().st_gid)
            draft.replace(path)
        else:
            try:
                os.link(draft, path)
            finally:
                draft.unlink()
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


@dataclass(frozen=True, slots=True)
class Sealed:
    """A code as it is stored: how it is found, how it is opened, and what may be shown of it."""

    fingerprint: bytes
    index_key: int
    ciphertext: bytes
    cipher_key: int
    last_four: str


class Vault:
    """Seals, opens and fingerprints with a keyring that it reads again when it meets a new key."""

    def __init__(self, ring: Keyring, path: Path | None = None, *, written_at: int = 0) -> None:
        self.ring = ring
        self._path = path
        self._written_at = written_at
        self._asked_at = 0.0
        self._pins = Pins()

    @classmethod
    def open(cls, path: Path) -> "Vault":
        written_at = _changed_at(path)  # first: a file that is replaced meanwhile is read again
        return cls(Keyring.read(path), path, written_at=written_at)

    def close(self) -> None:
        self._pins.close()

    # Codes

    def seal(self, kind: CodeType, code: CodeText, *, card_id: int) -> Sealed:
        """Encrypt a code for a card's row; the row is bound in, so rows cannot be swapped."""
        self._keep_up()
        fingerprint = self.fingerprint(kind, code)
        if fingerprint is None:
            raise InvalidInput("code", f"cannot be a {kind} code")
        nonce = os.urandom(_NONCE_BYTES)
        kid = self.ring.primary
        bound = _bound_to(kind, card_id, fingerprint)
        text = _cipher(self._key(kid, "code")).encrypt(nonce, code.clear.encode(), bound)
        return Sealed(fingerprint, self.ring.index, nonce + text, kid, code.last_four)

    def unseal(
        self,
        kind: CodeType,
        ciphertext: bytes,
        cipher_key: int,
        *,
        card_id: int,
        fingerprint: bytes,
    ) -> CodeText:
        nonce, text = ciphertext[:_NONCE_BYTES], ciphertext[_NONCE_BYTES:]
        bound = _bound_to(kind, card_id, fingerprint)
        try:
            clear = _cipher(self._key(cipher_key, "code")).decrypt(nonce, text, bound)
        except (InvalidTag, ValueError):
            raise KeyringError("A stored code does not open: its row was altered.") from None
        return CodeText(clear.decode())

    def fingerprint(self, kind: CodeType, code: CodeText) -> bytes | None:
        """The look-up key of a code, equal for equal codes; None if it can be none of this type."""
        text = normalise(kind, code)
        if text is None:
            return None
        return self._hmac(self.ring.index, "index", kind.value.encode(), text.encode())

    # Other contents

    def seal_bytes(self, purpose: str, content: bytes, *, bound_to: bytes) -> tuple[bytes, int]:
        """Encrypt what is not a code; returns it with the number of the key. It opens only for
        the same purpose and what it is bound to, such as its row."""
        self._keep_up()
        nonce, kid = os.urandom(_NONCE_BYTES), self.ring.primary
        return nonce + _cipher(self._key(kid, purpose)).encrypt(nonce, content, bound_to), kid

    def unseal_bytes(self, purpose: str, sealed: bytes, kid: int, *, bound_to: bytes) -> bytes:
        nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return _cipher(self._key(kid, purpose)).decrypt(nonce, content, bound_to)
        except (InvalidTag, ValueError):
            raise KeyringError("Something sealed does not open: its row was altered.") from None

    # PINs and CVVs: `<key id>$argon2id$…`, in bulk at first `<key id>$hmac$<hex>`

    async def hash_pin(self, kind: CodeType, code: CodeText, pin: str) -> str:
        """The verifier of a PIN. Takes 45 ms of a thread: call it outside of transactions.
        Refuses with `UNAVAILABLE` when 1,000 are waiting."""
        return await self.harden(self.quick_pin(kind, code, pin))

    async def verify_pin(
        self, kind: CodeType, code: CodeText, pin: str, verifier: str | None
    ) -> bool:
        """Whether it is the code's PIN. Every form, and None, of an unknown code or one without
        PIN, takes equally long. Refuses with `UNAVAILABLE` when too many are being checked."""
        return await self._is_right("pin", kind, code, pin, verifier)

    def quick_pin(self, kind: CodeType, code: CodeText, pin: str) -> str:
        """The verifier of a PIN in its quick form, to be hardened; see `hash_cvv`."""
        return self._quick("pin", kind, code, pin)

    def hash_cvv(self, kind: CodeType, code: CodeText, cvv: str) -> str:
        """The verifier of a CVV in its quick form, for imports of a million."""
        return self._quick("cvv", kind, code, cvv)

    async def harden(self, quick: str) -> str:
        """The slow form of a quick verifier, which takes no secret to make. Like `hash_pin`."""
        kid, stored = self._parted(quick)
        assert stored is not None
        prepared = bytes.fromhex(stored.removeprefix(_HMAC))
        return f"{kid}{await self._pins.hash(prepared)}"

    async def harden_cvv(self, kind: CodeType, code: CodeText, cvv: str) -> str:
        """The verifier of a CVV in its slow form, which replaces the quick one when it has first
        been right. Like `hash_pin`."""
        return await self.harden(self.hash_cvv(kind, code, cvv))

    async def verify_cvv(
        self, kind: CodeType, code: CodeText, cvv: str, verifier: str | None
    ) -> bool:
        """Whether it is the code's CVV. Like `verify_pin`."""
        return await self._is_right("cvv", kind, code, cvv, verifier)

    async def _is_right(
        self, purpose: str, kind: CodeType, code: CodeText, secret: str, verifier: str | None
    ) -> bool:
        kid, stored = self._parted(verifier)
        prepared = self._prepared(kid, purpose, kind, code, secret)
        if stored is None or not stored.startswith(_HMAC):
            return await self._matches(prepared, stored)
        await self._pins.matches(prepared, None)
        given = f"{_HMAC}{prepared.hex()}"
        return hmac.compare_digest(given.encode(), stored.encode())

    def _quick(self, purpose: str, kind: CodeType, code: CodeText, secret: str) -> str:
        self._keep_up()
        kid = self.ring.primary
        return f"{kid}{_HMAC}{self._prepared(kid, purpose, kind, code, secret).hex()}"

    def needs_new_pepper(self, verifier: str) -> bool:
        """Whether the verifier was made with a key that is no longer the primary one."""
        self._keep_up()
        return self._parted(verifier)[0] != self.ring.primary

    def is_quick(self, verifier: str) -> bool:
        """Whether a verifier is in its quick form: not hardened yet."""
        return str(self._parted(verifier)[1]).startswith(_HMAC)

    def _parted(self, verifier: str | None) -> tuple[int, str | None]:
        """The key of a verifier and what was made with it; for None what a new one would have."""
        if verifier is None:
            return self.ring.primary, None
        kid, mark, stored = verifier.partition("$")
        if not (kid.isdecimal() and mark):
            raise KeyringError(_ALTERED)
        return int(kid), mark + stored

    async def _matches(self, prepared: bytes, stored: str | None) -> bool:
        try:
            return await self._pins.matches(prepared, stored)
        except (VerificationError, InvalidHashError):
            raise KeyringError(_ALTERED) from None

    def _prepared(
        self, kid: int, purpose: str, kind: CodeType, code: CodeText, secret: str
    ) -> bytes:
        """Few digits have no entropy: what is stored is keyed, and bound to the secret's code."""
        text = normalise(kind, code) or ""
        return self._hmac(kid, purpose, kind.value.encode(), text.encode(), secret.encode())

    # Tries

    def try_subject(self, *parts: bytes) -> bytes:
        """What failures are counted under: mistyped codes must not pile up in clear."""
        return self._hmac(self.ring.index, "try", *parts)

    # Requests

    def request_fingerprint(self, canonical: bytes) -> bytes:
        """What tells two requests with one idempotency key apart, without giving away either."""
        return self._hmac(self.ring.index, "request", canonical)

    # The audit trail

    def audit_digest(self, kid: int, content: bytes) -> bytes:
        """What a seal on events is: who has the database without the keys can make none."""
        return self._hmac(kid, "audit", content)

    # The ring

    def canary(self, kid: int) -> bytes:
        """What the database remembers of a key, to know it again."""
        return self._hmac(kid, "canary")

    def reload(self) -> None:
        """Read the key file again, as after a rotation by another process."""
        if self._path is not None:
            self._written_at = _changed_at(self._path)
            ring = Keyring.read(self._path)
            if ring.index != self.ring.index:
                raise KeyringError("The key file names another index key. Put that number back.")
            self.ring = ring

    def _keep_up(self) -> None:
        """Take up a new primary key as soon as it is in the file; without a file go on. A
        thousand codes that are sealed together need not ask a thousand times."""
        now = monotonic()
        if now < self._asked_at + _ASK_AGAIN:
            return
        self._asked_at = now
        changed_at = _changed_at(self._path)
        if changed_at and changed_at != self._written_at:
            self.reload()

    def _key(self, kid: int, purpose: str) -> bytes:
        if kid not in self.ring.keys:
            self.reload()
        try:
            ring_key = self.ring.keys[kid]
        except KeyError:
            raise KeyringError(
                f"Key {kid} is not in the key file. Put a newer copy back."
            ) from None
        return _derived(ring_key, purpose, kid)

    def _hmac(self, kid: int, purpose: str, *parts: bytes) -> bytes:
        message = b"\x00".join(parts)
        return hmac.digest(self._key(kid, purpose), message, hashlib.sha256)


def _changed_at(path: Path | None) -> int:
    try:
        return path.stat().st_mtime_ns if path else 0
    except FileNotFoundError:
        return 0


def _bound_to(kind: CodeType, card_id: int, fingerprint: bytes) -> bytes:
    return b"giftgql|code|%s|%d|" % (kind.value.encode(), card_id) + fingerprint


@cache
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


@cache
def _derived(ring_key: bytes, purpose: str, kid: int) -> bytes:
    info = f"giftgql/v1/{purpose}/{kid}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(ring_key)
