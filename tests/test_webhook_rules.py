"""What webhooks go by: what is new of a card, which addresses are public, what is no plain URL."""

import asyncio
from ipaddress import ip_address

import pytest

from giftgql.cards.models import CardStatus
from giftgql.errors import InvalidInput
from giftgql.settings import Settings
from giftgql.webhooks import addresses, calls
from giftgql.webhooks.addresses import Reach, Target
from giftgql.webhooks.events import CardState, WebhookEvent, card_news

PUBLIC = ("8.8.8.8", "1.1.1.1", "100.128.0.1", "172.32.0.1", "2001:4860:4860::8888", "2a00::1")
PRIVATE = (
    *("127.0.0.1", "127.9.9.9", "10.1.2.3", "100.64.0.1", "172.16.0.1", "192.168.1.1"),
    *("::1", "fc00::1", "fdff::1"),
)
NOBODYS = (
    *("0.0.0.0", "169.254.169.254", "192.0.0.9", "192.0.2.1", "192.88.99.1", "198.18.0.1"),
    *("198.51.100.1", "203.0.113.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::ffff:8.8.8.8", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::8.8.8.8"),
    *("64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::1", "2001::1"),
    *("2001:20::1", "2001:db8::1", "100::1", "fe80::1", "fec0::1", "ff02::1", "3fff::1"),
    *("5f00::1", "4000::1"),
)


def test_every_kind_of_address_is_known() -> None:
    for reach, texts in (
        (Reach.PUBLIC, PUBLIC), (Reach.PRIVATE, PRIVATE), (Reach.NONE, NOBODYS)
    ):  # fmt: skip
        for each in texts:
            assert addresses.reach(ip_address(each)) is reach, each


def test_one_address_that_is_not_for_webhooks_spoils_all() -> None:
    secure, plain = Target.read("https://a.example/"), Target.read("http://a.example/")
    for target, found, may, is_fine in (
        (secure, PUBLIC, False, True),
        (secure, (), False, False),
        (secure, (*PUBLIC, PRIVATE[0]), False, False),
        (secure, (*PUBLIC, *PRIVATE), True, True),
        (secure, (*PUBLIC, NOBODYS[1]), True, False),
        (plain, PUBLIC, True, False),
        (plain, PRIVATE, False, False),
        (plain, PRIVATE, True, True),
        (plain, (*PRIVATE, PUBLIC[0]), True, False),
    ):
        assert (target.why_not(list(found), may_be_private=may) is None) is is_fine


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "//a.example", "ftp://a.example/", "https:///x", "https://", "https://:443/"),
        *("https://a.example:0/", "https://a.example:99999/", "https://a.example:x/"),
        *("https://me@a.example/", "https://me:secret@a.example/", "https://@a.example/"),
        *("https://a.example/#x", "https://a.example/#", "https://a.example/ x"),
        *(
            "https://a.example\\@b.example/",
            "https://a.example/\r\nx: y",
            "https://bücher.example/",
        ),
        *("https://[fe80::1%25eth0]/", "https://[::1/", "https://a.example/" + "x" * 2_048),
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Target.read(url)
    assert refused.value.field == "url"


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.0.0.1", "localhost", "[::1]"])
async def test_however_a_private_address_is_written_it_is_one(host: str) -> None:
    allowed = Settings(webhooks_allow_private=True, _env_file=None)
    await calls.require_callable(allowed, f"http://{host}/")
    with pytest.raises(InvalidInput, match="private address"):
        await calls.require_callable(Settings(_env_file=None), f"https://{host}/")


async def test_a_host_that_is_not_found_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(_env_file=None)
    with pytest.raises(InvalidInput, match="no address"):
        await calls.require_callable(settings, f"https://{'x' * 64}.example/")

    async def hang(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(calls, "resolve", hang)
    monkeypatch.setattr(calls, "CALL_SECONDS", 0.01)
    with pytest.raises(InvalidInput, match="cannot be looked up"):
        await calls.require_callable(settings, "https://a.example/")


def test_what_is_new_of_a_card() -> None:
    blank, full, used = CardState(), CardState(True, 0), CardState(True, 500)
    event = WebhookEvent
    for before, now, is_empty, expected in (
        (None, blank, True, [event.GIFTCARD_CREATED]),
        (None, full, False, [event.GIFTCARD_CREATED, event.GIFTCARD_ACTIVATED]),
        (full, full, True, []),  # transferred away
        (full, used, False, []),
        (full, used, True, [event.GIFTCARD_REDEEMED]),
        (used, full, True, []),
        (used, CardState(True, 500, is_closed=True), True, [event.GIFTCARD_DISABLED]),
        (full, CardState(True, 500, is_expired=True), True, [event.GIFTCARD_EXPIRED]),
        (CardState(True, is_expired=True), full, False, []),  # extended
    ):
        assert card_news(before, now, is_empty=is_empty) == expected
    assert {each.value.partition(".")[2].upper() for each in event} >= {
        each.value for each in CardStatus if each not in (CardStatus.NOT_ACTIVATED,)
    }
