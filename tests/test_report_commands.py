"""Reports and the journal on the command line, and CSV that no spreadsheet runs."""

import csv
import io
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from giftgql import cli_reports
from giftgql.settings import Settings
from giftgql.store import Store
from tests import servers
from tests.bulk_books import fill, totals
from tests.client import Client
from tests.conftest import SetClock
from tests.factories import card, funded, refund, spend


def told(settings: Settings, *arguments: str) -> str:
    environment = servers.environment(settings.data_dir, settings.database_url)
    done = servers.giftgql(environment, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def rows(output: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(output, newline="")))


async def test_the_commands_print_the_reports(
    admin: Client, settings: Settings, clock: SetClock
) -> None:
    made = await funded(admin, "10.00", expiresOn="2100-01-31")
    await spend(admin, made, "-2.50", sourceId="=1+1")
    assert told(settings, "report", "trial-balance").splitlines() == [
        "currency  account     debits  credits  balance",
        "EUR       CARDS       2.50    10.00    7.50",
        "EUR       TENDER      10.00   0.00     -10.00",
        "EUR       REDEMPTION  0.00    2.50     2.50",
    ]
    by_month = ("report", "liability", "--group-by", "EXPIRY_MONTH", "--csv")
    assert rows(told(settings, *by_month)) == [
        ["currency", "month", "amount", "cards"],
        ["EUR", "2100-01", "7.50", "1"],
    ]
    day = clock.now.date().isoformat()
    assert rows(told(settings, "report", "summary", "--from", day, "--to", day, "--csv")) == [
        ["day", "source_id", "type", "currency", "count", "amount", "declined"],
        [day, "", "ADD", "EUR", "1", "10.00", "0"],
        [day, "'=1+1", "USE", "EUR", "1", "-2.50", "0"],
    ]


async def test_the_journal_is_csv_that_no_spreadsheet_runs(
    admin: Client, settings: Settings, clock: SetClock
) -> None:
    made, other = await funded(admin, "10.00"), await card(admin)
    clock.forward(hours=1)
    used = await spend(admin, made, "-2.50", sourceId="till, 7", refNo="@SUM(A1)", reason='"=x')
    clock.forward(days=1)
    await refund(admin, used["id"], "1.00")
    day = "2026-11-21"
    output = told(settings, "journal", "--from", day, "--to", day)
    head, first, second = rows(output)
    assert head == list(cli_reports.JOURNAL)
    account = f"CARD:{made['id']}"
    assert first[:8:1] == [
        *("2026-11-21T12:00:00+00:00", first[1], "0", "ADD", "TENDER", account, "10.00", "EUR")
    ]
    assert second == [
        *("2026-11-21T13:00:00+00:00", used["id"], "0", "USE", account, "REDEMPTION", "2.50"),
        *("EUR", second[8], "till, 7", "'@SUM(A1)", "'\"=x"),
    ]
    assert second[8].startswith("client:ggc_")
    assert output.count('"') == 2 * 3 * len(head) + 2
    both = rows(told(settings, "journal", "--from", day, "--to", "2026-11-22"))
    assert [row[3] for row in both[1:]] == ["ADD", "USE", "REFUND"]
    assert f"CARD:{other['id']}" not in output


async def test_the_journal_has_every_posting_of_the_period_once(
    store: Store, settings: Settings
) -> None:
    books = await fill(store, 20, 2_000)
    today = datetime.now(UTC).date()
    days = ("--from", (today - timedelta(days=365)).isoformat(), "--to", today.isoformat())
    _, *lines = rows(told(settings, "journal", *days))
    assert [line[0] for line in lines] == sorted(line[0] for line in lines)
    assert len({(line[1], line[2]) for line in lines}) == len(lines)
    sums: dict[str, int] = defaultdict(int)
    for line in lines:
        sums[line[4]] -= int(line[6].replace(".", ""))
        sums[line[5]] += int(line[6].replace(".", ""))
    for place in range(books.cards):
        assert sums[f"CARD:{books.card(place)}"] == totals(100, place)["posted"]


def test_a_journal_that_is_cut_short_says_so(tmp_path: Path) -> None:
    environment = servers.environment(tmp_path)
    days = ["--from", "2026-01-01", "--to", "2026-01-01"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "giftgql", "journal", *days],
            env=environment,
            cwd=tmp_path,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    assert "The journal is not complete: No space left on device." in done.stderr
