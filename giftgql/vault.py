"""Secrets at rest: the keyring, codes sealed and fingerprinted, PINs hashed.

One file holds the keys, apart from the database: a stolen dump shows balances and last digits,
nothing else. Every purpose has its own key, derived from a ring key by HKDF. `primary` seals
codes and peppers PINs and can be rotated online; `index` makes fingerprints, by which codes are
looked up and kept unique, so there is one at a time.
"""

import asyncio
import hashlib
import hmac
import json
import os
import re
import secrets
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import argon2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from giftgql.codes import CodeText, CodeType, normalise
from giftgql.errors import InvalidInput, Unavailable

PIN_THREADS = 4
PINS_WAITING = 1_000
_PIN = re.compile(r"[0-9]{4,12}")
_NONCE_BYTES = 12


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

    def __init__(self, ring: Keyring, path: Path | None = None) -> None:
        self.ring = ring
        self._path = path
        self._read_at = _changed_at(path)
        self._threads = ThreadPoolExecutor(PIN_THREADS, thread_name_prefix="pin")
        self._pins_waiting = 0
        self._argon2 = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

    @classmethod
    def open(cls, path: Path) -> "Vault":
        return cls(Keyring.read(path), path)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

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
        text = AESGCM(self._key(kid, "code")).encrypt(nonce, code.clear.encode(), bound)
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
            clear = AESGCM(self._key(cipher_key, "code")).decrypt(nonce, text, bound)
        except (InvalidTag, ValueError):
            raise KeyringError("A stored code does not open: its row was altered.") from None
        return CodeText(clear.decode())

    def fingerprint(self, kind: CodeType, code: CodeText) -> bytes | None:
        """The look-up key of a code, equal for equal codes; None if it can be none of this type."""
        text = normalise(kind, code)
        if text is None:
            return None
        return self._hmac(self.ring.index, "index", kind.value.encode(), text.encode())

    # PINs

    async def hash_pin(self, kind: CodeType, code: CodeText, pin: str) -> str:
        """The verifier of a PIN, `<key id>$<argon2id>`. Takes 45 ms of a thread: call it outside
        of transactions. Refuses with `UNAVAILABLE` when 1,000 are waiting."""
        self._keep_up()
        kid = self.ring.primary
        prepared = self._prepared_pin(kid, kind, code, pin)
        if self._pins_waiting >= PINS_WAITING:
            raise Unavailable("Too many PINs are being set.", retry_after=5)
        self._pins_waiting += 1
        try:
            loop = asyncio.get_running_loop()
            verifier = await loop.run_in_executor(self._threads, self._argon2.hash, prepared)
        finally:
            self._pins_waiting -= 1
        return f"{kid}{verifier}"

    def _prepared_pin(self, kid: int, kind: CodeType, code: CodeText, pin: str) -> bytes:
        """A PIN has no entropy: what argon2 sees is keyed, and bound to the PIN's own code."""
        text = normalise(kind, code) or ""
        return self._hmac(kid, "pin", kind.value.encode(), text.encode(), pin.encode())

    # Requests

    def request_fingerprint(self, canonical: bytes) -> bytes:
        """What tells two requests with one idempotency key apart, without giving away either."""
        return self._hmac(self.ring.index, "request", canonical)

    # The ring

    def canary(self, kid: int) -> bytes:
        """What the database remembers of a key, to know it again."""
        return self._hmac(kid, "canary")

    def reload(self) -> None:
        """Read the key file again, as after a rotation by another process."""
        if self._path is not None:
            self._read_at = _changed_at(self._path)
            ring = Keyring.read(self._path)
            if ring.index != self.ring.index:
                raise KeyringError("The key file names another index key. Put that number back.")
            self.ring = ring

    def _keep_up(self) -> None:
        """Take up a new primary key as soon as it is in the file; without a file go on."""
        changed_at = _changed_at(self._path)
        if changed_at and changed_at != self._read_at:
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


def valid_pin(pin: str, field: str) -> str:
    """A PIN: 4 to 12 digits."""
    if not _PIN.fullmatch(pin):
        raise InvalidInput(field, "must be 4 to 12 digits")
    return pin


def _bound_to(kind: CodeType, card_id: int, fingerprint: bytes) -> bytes:
    return b"giftgql|code|%s|%d|" % (kind.value.encode(), card_id) + fingerprint


@cache
def _derived(ring_key: bytes, purpose: str, kid: int) -> bytes:
    info = f"giftgql/v1/{purpose}/{kid}".encode()
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(ring_key)
