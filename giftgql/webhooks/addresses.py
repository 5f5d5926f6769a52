"""Where webhooks may go: what a URL may be, and which addresses are public."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

from giftgql.errors import InvalidInput

LONGEST_URL = 2_048

_PRIVATE = (
    *("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"),
    *("::1/128", "fc00::/7"),
)
_NOBODYS = (
    *("0.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24"),
    *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
)
_UNICAST = ("0.0.0.0/0", "2000::/3")
"""IANA's registries of special addresses. Outside of 2000::/3 lies all that stands for an address
of another kind, such as one of IPv4, and could be translated into one that is not public."""


class Reach(Enum):
    PUBLIC = auto()
    PRIVATE = auto()
    NONE = auto()


def reach(address: IPv4Address | IPv6Address) -> Reach:
    """Who can be met at an address: anybody, those of the same network or machine, or nobody
    that webhooks may go to: link-local ones (the cloud's own), multicast, reserved, translated."""
    if _is_in(address, _PRIVATE):
        return Reach.PRIVATE
    is_anybodys = _is_in(address, _UNICAST) and not _is_in(address, _NOBODYS)
    return Reach.PUBLIC if is_anybodys else Reach.NONE


def _is_in(address: IPv4Address | IPv6Address, networks: Iterable[str]) -> bool:
    return any(address in network for network in map(_network, networks))


@cache
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL, taken apart once: nobody reads it again and finds another host in it."""

    is_tls: bool
    host: str
    port: int
    path: str

    @classmethod
    def read(cls, url: str) -> "Target":
        """Refuses `INVALID_INPUT` for what is no plain URL of a web server."""
        if not 1 <= len(url) <= LONGEST_URL:
            raise InvalidInput("url", f"must have 1 to {LONGEST_URL} characters")
        if not (url.isascii() and url.isprintable()) or " " in url or "\\" in url:
            raise InvalidInput("url", "must be ASCII without spaces and backslashes")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise InvalidInput("url", "is no URL") from None
        if parts.scheme not in ("https", "http") or not host or port == 0:
            raise InvalidInput("url", "must be an HTTPS address with a host")
        if "@" in parts.netloc or "%" in host:
            raise InvalidInput("url", "must not name a user, a password or a network interface")
        if "#" in url:
            raise InvalidInput("url", "must not have a fragment")
        is_tls = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(is_tls, host, port or (443 if is_tls else 80), path)

    def why_not(self, addresses: list[str], *, may_be_private: bool) -> str | None:
        """Why it must not be called where its host has these addresses; None where it may."""
        found = {reach(ip_address(each)) for each in addresses}
        if not found:
            return "names a host that has no address"
        if Reach.NONE in found:
            return "names an address that nobody may be called at"
        if Reach.PRIVATE in found and not may_be_private:
            return "names a private address (GIFTGQL_WEBHOOKS_ALLOW_PRIVATE)"
        if not self.is_tls and found != {Reach.PRIVATE}:
            return "must begin with https; http is for private addresses alone"
        return None
