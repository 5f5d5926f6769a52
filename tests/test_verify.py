"""Checking the books: a clean book gives nothing, and every rule has been seen to fail."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from giftgql.ledger.models import MovementType, SystemAccount
from giftgql.permissions import Permission
from giftgql.reports.rules import ALLOWED
from giftgql.settings import Settings
from giftgql.store import Store
from tests import servers
from tests.bulk_books import PATTERN, Books, fill
from tests.conftest import MakeClient
from tests.damages import Damage, are_named, damage, findings

CHECK = "{ ledgerCheck { isClean checkedAt movements unlisted findings { %s } } }"
FACTS = "rule promise table rowId expected found"
LATER, EARLIER = "'2039-01-01 00:00:00.000000'", "'2001-01-01 00:00:00.000000'"


async def small(store: Store) -> Books:
    """Four cards that go once through every sort of movement, with keys; one has an open hold."""
    books = await fill(store, 4, 4 * len(PATTERN), with_keys=True)
    await damage(
        store,
        "INSERT INTO movement (id, account_id, type, state, amount, asked, balance, against, "
        "hold_until, caller, created_at, changed_in) VALUES "
        f"({open_hold(books)}, {books.card(3)}, 'USE', 'HELD', -100, -100, 1, -2, {LATER}, "
        f"'client:x', {EARLIER}, 0)",
        "UPDATE account SET held = 100, open_holds = 1, uses = uses + 1, "
        f"next_hold_end = {EARLIER}, due_at = {EARLIER} WHERE id = {books.card(3)}",
    )
    return books


def open_hold(books: Books) -> int:
    return books.movement(0, len(PATTERN))


def damages(books: Books) -> Iterator[tuple[str, object, str]]:
    """A rule, the row that is to be named, and how that row is damaged."""
    yield from of_accounts(books)
    yield from of_postings(books)
    yield from of_movements(books)
    yield from of_transfers_and_refunds(books)
    yield from of_prices(books)
    yield from of_hold_ends_and_requests(books)


def of_accounts(books: Books) -> Iterator[tuple[str, object, str]]:
    card, held = books.card(0), books.card(3)
    account = f"UPDATE account SET %s WHERE id = {card}"
    yield "card-account", card, f"DELETE FROM account WHERE id = {card}"
    yield "card-account", card, account % "currency = 'USD'"
    yield "account-card", card, f"DELETE FROM gift_card WHERE id = {card}"
    yield "account-posted", card, account % "posted = posted + 1"
    yield "account-held", card, account % "held = held + 1"
    yield "account-held", held, f"UPDATE account SET held = 0 WHERE id = {held}"
    yield "account-open-holds", card, account % "open_holds = 1"
    yield "account-available", card, account % "held = posted + 1"
    yield "account-available", card, account % "held = -1"
    yield "account-lifetime", card, account % "lifetime = lifetime + 1"
    yield "account-redeemed", card, account % "redeemed = redeemed + 1"
    yield "account-uses", card, account % "uses = uses + 1"
    yield "account-uses", held, f"UPDATE account SET uses = uses - 1 WHERE id = {held}"
    yield "account-uses", card, amount(books.movement(0, 10), 0)
    yield "account-opened", card, account % "opens_with = 4999"
    yield "account-opened", card, change(books.movement(0, 15), f"created_at = {EARLIER}")
    yield "account-totals", card, account % "redeemed = -1"
    yield "account-totals", card, account % "lifetime = redeemed + posted - 1"
    yield "account-totals", card, account % "lifetime = -1, redeemed = 0, posted = -2"
    yield "account-revived", card, amount(books.movement(0, 18), 61)
    yield (
        "account-next-hold-end",
        held,
        f"UPDATE account SET next_hold_end = NULL WHERE id = {held}",
    )
    yield (
        "account-next-hold-end",
        held,
        f"UPDATE account SET next_hold_end = '2040-01-01 00:00:00.000000' WHERE id = {held}",
    )
    yield "account-due", held, f"UPDATE account SET due_at = NULL WHERE id = {held}"
    yield "account-due", held, f"UPDATE account SET due_at = {LATER} WHERE id = {held}"
    yield "account-due", card, account % f"valid_until = {LATER}"
    yield "account-closed", card, account % "closed = TRUE"
    yield "account-closed", held, f"UPDATE account SET closed = TRUE, posted = 0 WHERE id = {held}"
    yield "currency-zero", "EUR", account % "posted = posted + 1"
    yield "currency-zero", "USD", line(books.movement(0, 0), "currency = 'USD'")


def of_postings(books: Books) -> Iterator[tuple[str, object, str]]:
    added, used, sent = (books.movement(0, step) for step in (0, 1, 19))
    yield "posting-amount", f"{added}/0", line(added, "amount = 0")
    yield "posting-amount", f"{added}/0", line(added, "debit_account = credit_account")
    yield "posting-account", f"{added}/0", line(added, "debit_account = -8")
    yield "posting-account", f"{added}/0", line(added, "credit_account = 0")
    yield "posting-account", f"{added}/0", line(added, "credit_account = 999999")
    yield "posting-currency", f"{added}/0", line(added, "currency = 'USD'")
    yield "posting-currency", f"{used}/0", line(used, "currency = 'USD'")
    yield "posting-movement", f"{added}/0", f"DELETE FROM movement WHERE id = {added}"
    yield "posting-against", f"{used}/0", line(used, "credit_account = -1")
    yield "posting-against", f"{added}/0", line(added, "debit_account = -4")
    yield "posting-against", f"{added}/0", line(added, f"credit_account = {books.card(1)}")
    yield "posting-against", f"{added}/0", line(added, "credit_account = -4")
    yield "posting-against", f"{sent}/0", line(sent, f"debit_account = {books.card(2)}")
    yield "posting-against", f"{sent}/0", line(sent, "credit_account = -2")
    refunded = books.movement(0, 5)
    yield "posting-against", f"{refunded}/0", line(refunded, "debit_account = -1")


def of_movements(books: Books) -> Iterator[tuple[str, object, str]]:
    added, used, captured, _, refund, declined = (
        books.movement(0, step) for step in (0, 1, 3, 4, 5, 6)
    )
    hold, expired = open_hold(books), books.movement(0, 17)
    yield "movement-refers", added, change(added, "account_id = 999999")
    yield "movement-refers", declined, change(declined, "about_id = 999999")
    yield "movement-refers", added, change(added, "code_id = 999999")
    yield "movement-state", declined, change(declined, "error = NULL")
    yield "movement-state", added, change(added, "error = 'CONFLICT'")
    yield "movement-state", added, change(added, f"hold_until = {LATER}")
    yield "movement-state", hold, change(hold, "hold_until = NULL")
    yield "movement-state", hold, change(hold, "error = 'CONFLICT'")
    yield "movement-state", hold, change(hold, "type = 'EXPIRE'")
    yield "movement-state", added, change(added, "state = 'LOST'")
    yield "movement-amount", added, amount(added, -5_000)
    yield "movement-amount", used, amount(used, 649)
    yield "movement-amount", used, change(used, "asked = -648")
    yield "movement-amount", expired, amount(expired, 0)
    yield "movement-balance", declined, change(declined, "balance = -1")
    yield "movement-lines", added, f"DELETE FROM posting WHERE movement_id = {added}"
    yield "movement-lines", captured, f"DELETE FROM posting WHERE movement_id = {captured}"
    yield "movement-lines", captured, f"DELETE FROM hold_end WHERE hold_id = {captured}"
    yield "movement-lines", added, change(added, "state = 'DECLINED'")
    yield (
        "movement-lines",
        declined,
        "INSERT INTO posting (movement_id, line, debit_account, credit_account, amount, currency, "
        f"effective_at) VALUES ({declined}, 0, {books.card(0)}, -2, 1, 'EUR', {EARLIER})",
    )
    yield "movement-posted", added, line(added, "amount = amount + 1")
    yield "movement-posted", refund, amount(refund, 199)
    yield "movement-posted", captured, line(captured, "amount = amount + 1")
    yield "movement-posted", captured, ended(captured, "captured = 699")


def of_transfers_and_refunds(books: Books) -> Iterator[tuple[str, object, str]]:
    out, incoming, other = books.movement(0, 19), books.movement(1, 19), books.movement(2, 19)
    yield "transfer-incoming", incoming, change(incoming, "about_id = NULL")
    yield "transfer-incoming", incoming, change(incoming, f"about_id = {books.movement(0, 2)}")
    yield "transfer-incoming", incoming, change(incoming, f"about_id = {other}")
    yield "transfer-incoming", incoming, amount(incoming, 71)
    yield "transfer-incoming", incoming, line(out, f"credit_account = {books.card(2)}")
    yield "transfer-outgoing", out, f"DELETE FROM movement WHERE id = {incoming}"
    yield "transfer-outgoing", other, change(incoming, f"about_id = {other}")
    refund, undoing = books.movement(0, 5), books.movement(0, 10)
    yield "refund-about", refund, change(refund, "about_id = NULL")
    yield "refund-about", refund, change(refund, f"about_id = {books.movement(0, 6)}")
    yield "refund-about", refund, change(refund, f"about_id = {books.movement(0, 8)}")
    yield "refund-about", refund, change(refund, f"about_id = {books.movement(0, 0)}")
    yield "refund-about", refund, change(refund, f"about_id = {books.movement(1, 1)}")
    yield "refund-sum", books.movement(0, 1), amount(refund, 650)
    yield "refund-sum", books.movement(0, 9), amount(undoing, -701)
    yield "refund-sum", books.movement(0, 3), amount(undoing, 1)
    yield "refund-sum", books.movement(0, 0), amount(books.movement(0, 16), -5_001)


def of_prices(books: Books) -> Iterator[tuple[str, object, str]]:
    used, declined, unpriced, sold, back, again, given, dear, returned = (
        books.movement(0, step) for step in (1, 6, 16, 21, 22, 23, 24, 25, 26)
    )
    yield "movement-price", sold, change(sold, "price = -1")
    yield "movement-price", sold, change(sold, "against = -4")
    yield "movement-price", given, change(given, "against = -1")
    yield "movement-price", given, change(given, "against = NULL")
    yield "movement-price", back, change(back, "price = NULL")
    yield "movement-price", unpriced, change(unpriced, "price = 100")
    yield "movement-price", used, change(used, "price = 0")
    yield "movement-price", declined, change(declined, "price = 0")
    yield "movement-paid", sold, change(sold, "price = 449")
    yield "movement-paid", given, change(given, "price = 1")
    yield "movement-paid", back, change(back, "price = 89")
    yield "movement-paid", sold, line(sold, "amount = amount + 1") + " AND line = 0"
    yield "movement-paid", dear, f"DELETE FROM posting WHERE movement_id = {dear} AND line = 1"
    yield "refund-price", sold, change(again, "price = 0")
    yield "refund-price", sold, change(back, "price = 541")
    yield "refund-price", dear, change(returned, "price = 11")
    yield "refund-price", dear, change(returned, "price = 13")
    yield "posting-against", f"{sold}/1", change(sold, "price = NULL")
    yield "posting-against", f"{sold}/1", line(sold, "debit_account = -2") + " AND line = 1"
    yield "posting-against", f"{sold}/1", line(sold, "credit_account = -2") + " AND line = 1"
    yield "posting-against", f"{sold}/2", line(sold, "line = 2") + " AND line = 1"
    yield "posting-against", f"{dear}/0", line(dear, "debit_account = -4") + " AND line = 0"
    yield "posting-against", f"{unpriced}/1", line(unpriced, "line = 1")
    yield "posting-currency", f"{dear}/1", line(dear, "currency = 'USD'") + " AND line = 1"


def of_hold_ends_and_requests(books: Books) -> Iterator[tuple[str, object, str]]:
    used, captured, cancelled, timed_out = (books.movement(0, step) for step in (1, 3, 4, 8))
    yield "hold-end-hold", used, ended(cancelled, f"hold_id = {used}")
    yield "hold-end-hold", 999999, ended(cancelled, "hold_id = 999999")
    yield "hold-end-sum", captured, ended(captured, "released = released + 1")
    yield "hold-end-sum", captured, ended(captured, "captured = 1001, released = -1")
    yield "hold-end-captured", captured, ended(captured, "ending = 'CANCELLED'")
    yield "hold-end-captured", timed_out, ended(timed_out, "captured = 1")
    yield "hold-end-captured", cancelled, ended(cancelled, "ending = 'CAPTURED'")
    yield "hold-end-captured", cancelled, ended(cancelled, "ending = 'LOST'")
    yield "hold-end-time", captured, ended(captured, f"created_at = {LATER}")
    yield "hold-end-time", timed_out, ended(timed_out, f"created_at = {EARLIER}")
    yield "hold-end-balance", captured, ended(captured, "balance = -1")
    request = f"client:ggc_bulk bulk-{used}"
    for outcome in ("999999", '"lost"', '"9999999999999999999999"'):
        yield "request-movement", request, asked(used, f'{{"movement": {outcome}}}')
    yield "request-end", request, asked(used, f'{{"end": {used}}}')
    yield "request-end", request, asked(used, '{"end": "lost"}')


def change(movement: int, facts: str) -> str:
    return f"UPDATE movement SET {facts} WHERE id = {movement}"


def amount(movement: int, minor: int) -> str:
    return change(movement, f"amount = {minor}")


def line(movement: int, facts: str) -> str:
    return f"UPDATE posting SET {facts} WHERE movement_id = {movement}"


def ended(hold: int, facts: str) -> str:
    return f"UPDATE hold_end SET {facts} WHERE hold_id = {hold}"


def asked(movement: int, outcome: str) -> str:
    return f"UPDATE request SET outcome = '{outcome}' WHERE key = 'bulk-{movement}'"


NUMBERED = Books(1, 4, 1, 4 * len(PATTERN))
DAMAGES = [Damage(*each) for each in damages(NUMBERED)]


async def test_clean_books_give_nothing(store: Store) -> None:
    assert await findings(store) == []
    books = await small(store)
    assert books == NUMBERED, "the damages name the right rows"
    assert await findings(store) == []


async def test_each_damaged_row_is_named(store: Store) -> None:
    await small(store)
    await are_named(store, DAMAGES)


def test_the_rules_know_the_system_accounts() -> None:
    assert sorted(SystemAccount) == list(range(-7, 0))
    pairs = [
        (MovementType.ADD, SystemAccount.TENDER),
        (MovementType.USE, SystemAccount.REDEMPTION),
        (MovementType.ADJUST, SystemAccount.ADJUSTMENT),
        (MovementType.EXPIRE, SystemAccount.BREAKAGE),
        (MovementType.IMPORT, SystemAccount.IMPORT),
        (MovementType.EXTERNAL, SystemAccount.EXTERNAL),
    ]
    assert " ".join(ALLOWED.split()).endswith(
        f"VALUES {', '.join(f'({kind.value!r}, {account.value})' for kind, account in pairs)} )"
    )


async def test_of_many_wrong_rows_a_hundred_are_named_and_the_others_counted(store: Store) -> None:
    books = await fill(store, 150, 150)
    await damage(store, "UPDATE account SET lifetime = lifetime + 1")
    found = await findings(store)
    assert [each.row_id for each in found] == [str(books.card(place)) for place in range(100)]
    assert {each.rule.name for each in found} == {"account-lifetime"}
    assert [each.more for each in found] == [0] * 99 + [50]
    assert (found[0].expected, found[0].found) == ("5000", "5001")


async def test_ledger_check_tells_what_is_wrong(store: Store, client_with: MakeClient) -> None:
    finance = await client_with(Permission.VIEW_REPORTS)
    books = await small(store)
    clean = (await finance.run(CHECK % FACTS))["ledgerCheck"]
    assert (clean["isClean"], clean["findings"], clean["unlisted"]) == (True, [], 0)
    assert clean["movements"] == books.movements + 1
    await damage(store, f"UPDATE account SET held = 1 WHERE id = {books.card(0)}")
    wrong = (await finance.run(CHECK % FACTS))["ledgerCheck"]
    assert wrong["isClean"] is False
    [finding] = wrong["findings"]
    assert finding.pop("promise").startswith("What is held is the sum of")
    assert finding == {
        "rule": "account-held",
        "table": "account",
        "rowId": str(books.card(0)),
        "expected": "0",
        "found": "1",
    }


async def test_only_who_views_reports_checks_the_books(client_with: MakeClient) -> None:
    other = await client_with(*(set(Permission) - {Permission.VIEW_REPORTS}))
    assert (await other.run(CHECK % FACTS)).code == "PERMISSION_DENIED"


def verify(settings: Settings, *options: str) -> Any:
    environment = servers.environment(settings.data_dir, settings.database_url)
    return servers.giftgql(environment, "verify", *options)


async def test_the_command_ends_with_1_and_names_the_rows(store: Store, settings: Settings) -> None:
    books = await small(store)
    done = verify(settings)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "109 movements checked: the books are clean.\n"
    await damage(store, f"UPDATE account SET held = 1 WHERE id = {books.card(0)}")
    done = verify(settings)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"account-held: account {books.card(0)}: expected 0, found 1",
        "109 movements checked: 1 row is wrong.",
    ]
    done = verify(settings, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told.pop("checkedAt")
    assert told == {
        "isClean": False,
        "movements": 109,
        "findings": [
            {
                "rule": "account-held",
                "table": "account",
                "rowId": str(books.card(0)),
                "expected": "0",
                "found": "1",
            }
        ],
        "unlisted": 0,
    }


def test_a_database_that_was_never_used_is_clean(tmp_path: Path) -> None:
    done = servers.giftgql(servers.environment(tmp_path), "verify")
    assert done.stdout == "0 movements checked: the books are clean.\n"
