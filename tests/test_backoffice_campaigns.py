"""The pages of campaigns: a new one, its progress, and what is done with it."""

import re

from giftgql import work
from giftgql.campaigns import service as campaigns
from giftgql.jobs import service as jobs
from giftgql.permissions import Permission
from giftgql.store import Store
from tests import stock
from tests.backoffice import visitor
from tests.client import Client, Server
from tests.conftest import SetClock

ASKED = {"name": "Summer", "count": "7", "value": "12,50"}


async def test_the_form_of_a_campaign_shows_samples_and_says_what_is_wrong(
    server: Server, store: Store
) -> None:
    clerk = await visitor(server, store, role="clerk")
    assert (await clerk.open("/office/campaigns/new")).status == 403
    assert "Campaigns" not in (await clerk.open("/office")).text
    manager = await visitor(server, store, role="manager")
    manager.languages = "de-DE"
    empty = await manager.open("/office/campaigns")
    assert "A campaign makes many cards of one value" in empty.text
    blank = await manager.open("/office/campaigns/new")
    assert len(re.findall(r">[2-9A-Z]{4}(?:-[2-9A-Z]{4}){3}<", blank.html)) == 3
    form = blank.form("/office/campaigns")
    sampled = await manager.post(
        "/office/campaigns/new/sample",
        {**form.fields, **ASKED, "codeConfig.prefix": "SUN-", "codeConfig.pattern": "########"},
    )
    assert len(re.findall(r">SUN-[2-9A-Z]{8}<", sampled.html)) == 3
    assert "Without a PIN these codes can be used at tills only" in sampled.text
    assert 'value="Summer"' in sampled.html, "what was typed stays"
    unclear = await manager.post(
        "/office/campaigns/new/sample", {**form.fields, "codeConfig.pattern": "ABCD"}
    )
    assert (unclear.status, "Pattern has no #" in unclear.text) == (200, True)

    refused = await manager.send(form, **ASKED | {"count": "seven"})
    assert refused.status == 422
    assert "How many cards is to be a whole number" in refused.text
    assert 'aria-invalid="true" aria-describedby="new-count-help new-problem"' in refused.html
    assert (await manager.send(form, **ASKED | {"value": "12.50"})).status == 422, "in German"
    narrow = await manager.send(form, **ASKED | {"codeConfig.pattern": "####", "count": "50"})
    assert "Make the pattern longer" in narrow.text
    late = {"expiration": "on", "expiration.on": "2020-01-01"}
    assert "does not lie in the future" in (await manager.send(form, **ASKED | late)).text
    unmeant = await manager.send(form, **ASKED | {"expiration.on": "2099-01-01"})
    assert "Last day is given, but not that cards expire on it" in unmeant.text


async def test_a_person_has_a_campaign_made_and_finds_its_cards(
    server: Server, store: Store, admin: Client
) -> None:
    manager = await visitor(server, store, role="manager")
    manager.languages = "de-DE"
    form = (await manager.open("/office/campaigns/new")).form("/office/campaigns")
    page = await manager.send(
        form, **ASKED | {"expiration": "P2Y", "pinLength": "4", "redemptionLimit": "3"}
    )
    assert (page.status, "0 of 7 cards" in page.text) == (200, True)
    assert "12,50 €" in page.text
    assert "2 years after the sale" in page.text
    [made] = (await admin.run("{ giftcardCampaign { results { " + stock.CAMPAIGN + " } } }"))[
        "giftcardCampaign"
    ]["results"]
    assert (made["name"], made["count"], made["value"]) == ("Summer", 7, "12.50")
    assert (made["pinLength"], made["redemptionLimit"]) == (4, 3)
    assert made["expiration"] == {"kind": "RELATIVE", "on": None, "after": "P2Y"}
    taken = await manager.send(form, **ASKED)
    assert (taken.status, "Take another name, or look at the list" in taken.text) == (422, True)
    await work.do_all(store)
    page = await manager.open("/office/campaigns/1")
    assert "7 of 7 cards" in page.text
    assert 'href="/office/cards?campaign=1&amp;status=NOT_ACTIVATED"' in page.html
    assert "/exports/" not in page.html, "a manager may not export codes"
    listing = await manager.open("/office/cards?campaign=1&status=NOT_ACTIVATED")
    assert listing.html.count('<a href="/office/cards/') == 7
    assert "Of the campaign Summer" in listing.text
    assert 'href="/office/campaigns/1"' in (await manager.open("/office/cards/1")).html
    exporter = await visitor(
        server, store, Permission.MANAGE_CAMPAIGNS, Permission.EXPORT_GIFT_CARD_CODES
    )
    page = await exporter.open("/office/campaigns/1")
    assert 'href="/exports/campaigns/1.csv"' in page.html
    assert "needs the right ListGiftCards" in page.text


async def test_progress_has_a_rate_and_an_end_and_is_asked_for_while_it_goes_on(
    server: Server, store: Store, admin: Client, clock: SetClock
) -> None:
    await stock.campaign(admin, count=10_000)
    manager = await visitor(server, store, role="manager")
    page = await manager.open("/office/campaigns/1")
    assert page.text.count("not yet known") == 2
    async with store.write() as tx:
        lease = await jobs.claim(tx, [campaigns.JOB], "w")
    assert lease is not None
    for _ in range(5):
        async with store.write() as tx:
            await jobs.hold(tx, lease)
            await jobs.measure(tx, lease, 600)
            await campaigns.count(tx, await campaigns.held(tx, 1), 600)
        clock.forward(seconds=1)
    part = await manager.open("/office/campaigns/1/progress")
    assert "<html" not in part.html
    assert "3,000 of 10,000 cards" in part.text
    assert "600 cards a second" in part.text
    assert "in less than a minute" in part.text
    assert 'hx-trigger="every 2s"' in part.html
    clock.forward(minutes=5)
    stale = await manager.open("/office/campaigns/1")
    assert "cards a second" not in stale.text, "nobody is at it"

    paused = await manager.send(stale.form("/pause"))
    assert "Paused. Cards that are made stay." in paused.text
    assert not paused.offers("/pause")
    over = await manager.open("/office/campaigns/1/progress")
    assert "every" not in over.html
    assert 'hx-trigger="load"' in over.html, "scripts load the whole page once more"
    assert (await manager.send(stale.form("/pause"))).status == 200, "it stays paused"
    more = paused.form("/extend")
    assert "12,000" in (await manager.send(more, count="2000")).text
    again = await manager.send(more, count="2000")
    assert again.status == 422
    assert "extended meanwhile, to 12000 cards" in again.text, "a double click is done once"
    assert (await manager.send(again.form("/cancel"))).status == 422
    cancelled = await manager.send(again.form("/cancel"), confirmed="yes")
    assert "Cancelled. Cards that are made stay." in cancelled.text
    refused = await manager.send(paused.form("/resume"))
    assert (refused.status, "done or cancelled" in refused.text) == (422, True)
    assert (await manager.open("/office/campaigns/99")).status == 404
