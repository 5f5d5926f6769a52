"""Liability over time: what the books say of each day, and its page."""

import pytest

from giftgql.backoffice.charts import Chart, changes
from giftgql.backoffice.liability import PERIODS
from giftgql.ledger import service as ledger
from giftgql.money import Money
from giftgql.permissions import Permission
from giftgql.reports import service as reports
from giftgql.reports.models import LiabilityGroup
from giftgql.store import Store
from tests.backoffice import visitor
from tests.client import Client, Server
from tests.conftest import SetClock
from tests.factories import capture, card, funded, hold, spend, stand, top_up


async def keep_books(admin: Client, store: Store, clock: SetClock) -> None:
    """Two weeks with uses, holds, two currencies, and funds that expire, swept in part."""
    ending = [await funded(admin, "10.00", expiresOn=f"2026-11-{day}") for day in (23, 24, 29)]
    await hold(admin, ending[0], "-4.00", authorizeFor="P20D")
    await stand(admin, "Block", ending[1]["id"])
    yen = await card(admin, currency="JPY")
    for days, sweeps in ((1, False), (2, True), (3, False), (7, False)):
        clock.forward(days=days, hours=3)
        made = await funded(admin, "25.00")
        await spend(admin, made, "-5.00")
        held = await hold(admin, made, "-3.00")
        await capture(admin, held["id"], "2.50")
        await top_up(admin, yen, "700")
        if sweeps:
            async with store.write() as tx:
                await ledger.sweep(tx)


async def test_what_was_owed_on_each_day_is_what_the_report_of_that_day_says(
    admin: Client, store: Store, clock: SetClock
) -> None:
    await keep_books(admin, store, clock)
    async with store.snapshot() as reading:
        days = PERIODS["month"].days(reading.today)
        owed = await reports.liability_over_time(reading, days)
        for place, day in enumerate(days):
            told = await reports.liability_lines(reading, day, LiabilityGroup.CURRENCY)
            expected = {each.amount.currency: each.amount for each in told}
            shown = {name: amounts[place] for name, amounts in owed.items() if amounts[place].minor}
            assert shown == expected, day
        yen = [amount.minor for amount in owed["JPY"]]
        assert sorted(set(yen)) == [0, 700, 1_400, 2_100, 2_800]


@pytest.mark.parametrize("minors", [(0, 0), (1, 0), (0, 27_500, 13), (10**15, 1), (99, 100, 101)])
def test_a_chart_has_every_amount_between_its_lines_at_its_height(minors: tuple[int, ...]) -> None:
    chart = Chart.of([Money(each, "EUR") for each in minors])
    sides = [side.amount.minor for side in chart.sides]
    assert sides[0] == 0
    assert max(sides) >= max(minors)
    assert 2 <= len(sides) <= 6
    heights = {side.amount.minor: side.y for side in chart.sides}
    for spot in chart.spots:
        assert heights[sides[-1]] <= spot.y <= heights[0]
        assert spot.amount.minor not in heights or spot.y == heights[spot.amount.minor]
    across = [spot.x for spot in chart.spots]
    assert across == sorted(set(across))


def test_a_change_is_the_difference_to_the_amount_before() -> None:
    amounts = [Money(each, "EUR") for each in (100, 250, 50)]
    assert changes(amounts) == [None, Money(150, "EUR"), Money(-200, "EUR")]


async def test_liability_is_shown_as_a_picture_and_as_a_table(
    server: Server, store: Store, admin: Client, clock: SetClock
) -> None:
    bookkeeper = await visitor(server, store, Permission.VIEW_REPORTS)
    assert "Nothing is owed" in (await bookkeeper.open("/office/liability")).text
    await keep_books(admin, store, clock)
    bookkeeper = await visitor(server, store, Permission.VIEW_REPORTS)
    bookkeeper.languages = "de"
    page = await bookkeeper.open("/office/liability?period=month")
    assert "JPY today 2.800 ¥" in page.text
    assert page.html.count("<circle") == 2 * 31
    assert "05.12.2026 2.800 ¥ +700 ¥" in page.text
    assert "selected>30 days" in page.html
    clerk = await visitor(server, store, role="clerk")
    assert (await clerk.open("/office/liability")).status == 403
