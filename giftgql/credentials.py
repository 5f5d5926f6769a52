"""Bearer credentials: random text with a prefix and a checksum, stored only as SHA-256.

| prefix | what | life |
|---|---|---|
| `ggk_` | a client's key (its client secret) | until revoked |
| `ggt_` | a client's access token | minutes |
| `ggm_` | a member's token | minutes |
| `ggs_` | a staff member's personal access key | until revoked |

All match `gg[kmst]_(?:[0-9A-Za-z]{8}_)?[0-9A-Za-z]{38}`, the last six being a CRC-32, so scanners
find leaked ones and the server refuses mistyped ones without asking the database.
"""

import hashlib
import re
import secrets
import string
import zlib

KEY, ACCESS_TOKEN, MEMBER_TOKEN, STAFF_KEY = "ggk_", "ggt_", "ggm_", "ggs_"

_BASE62 = string.digits + string.ascii_uppercase + string.ascii_lowercase
_FORM = re.compile(r"gg[kmst]_(?:[0-9A-Za-z]{8}_)?[0-9A-Za-z]{38}")


def random_text(symbols: int) -> str:
    """Random base 62 text: 5.95 bits a symbol, from the system's secure generator."""
    return "".join(secrets.choice(_BASE62) for _ in range(symbols))


def make(prefix: str, key_id: str | None = None) -> str:
    """A new credential with 190 random bits; a key carries its public id as well."""
    body = f"{prefix}{f'{key_id}_' if key_id else ''}{random_text(32)}"
    return body + _checksum(body)


def is_well_formed(text: str) -> bool:
    return bool(_FORM.fullmatch(text)) and secrets.compare_digest(_checksum(text[:-6]), text[-6:])


def key_id(key: str) -> str:
    """The public id within a well-formed `ggk_` or `ggs_` key."""
    return key.split("_")[1]


def digest(credential: str) -> bytes:
    """How a credential is stored and compared. Plain SHA-256 will do: it is long and random."""
    return hashlib.sha256(credential.encode()).digest()


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _BASE62[digit] + digits
    return digits
