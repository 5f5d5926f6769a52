"""What can be wrong with books in which a card was replaced.

Card 1 was replaced by card 2, card 2 by card 3; card 4 keeps its code, as nobody has an address.
"""

from collections.abc import Iterator

from tests.damages import Damage

TRANSFERS = "SELECT id FROM movement WHERE type = 'TRANSFER' AND account_id = 1 AND amount < 0"
FIRST = f"({TRANSFERS} ORDER BY id LIMIT 1)"
USE = "(SELECT id FROM movement WHERE type = 'USE' AND account_id = %d)"
LATER = "'2039-01-01 00:00:00.000000'"


def damages() -> Iterator[Damage]:
    yield from of_accounts()
    yield from of_successions()


def of_accounts() -> Iterator[Damage]:
    def account(rule: str, facts: str, card: int = 1, row: object = 1) -> Damage:
        return Damage(rule, row, f"UPDATE account SET {facts} WHERE id = {card}")

    yield account("account-replaced", "posted = 1")
    held = "UPDATE movement SET account_id = 1 WHERE state = 'HELD'"
    yield Damage("account-replaced", 1, held)
    for other in ("1", "3", "4", "999"):
        yield account("account-successor", f"replaced_by = {other}")
    yield account("account-successor", "currency = 'USD'", 2)
    yield account("account-successor", "replaced_by = 1", 3, 3)
    yield account("account-successor", "replaced_by = 2", 4)
    elsewhere = "UPDATE posting SET credit_account = 4 "
    elsewhere += "WHERE credit_account = 2 AND debit_account = 1"
    yield Damage("account-successor", 1, elsewhere)
    yield account("account-succession", "replaced_by = 3")
    yield account("code-replaced", "replaced_by = NULL", 1, None)
    revived = "UPDATE code SET ended_at = NULL, ending = NULL WHERE id = 1"
    yield Damage("code-replaced", 1, revived)


def of_successions() -> Iterator[Damage]:
    def succession(rule: str, fact: str, where: str, row: object = None) -> Damage:
        return Damage(rule, row, f"UPDATE succession SET {fact} WHERE {where}")

    mine = f"movement_id = {USE % 1}"
    yield succession("account-succession", "successor_id = 5", "successor_id = 2", 1)
    yield succession("succession-use", "successor_id = 5", "successor_id = 3")
    yield succession("succession-use", "movement_id = 999", mine, 999)
    yield succession("succession-use", f"movement_id = {FIRST}", mine)
    kept = "UPDATE account SET %s WHERE id = 4"
    yield Damage("succession-use", None, kept % "replaced_on_use = FALSE")
    yield Damage("account-succession", 4, kept % "replaced_by = 5")
    late = f"UPDATE movement SET created_at = {LATER} WHERE id = {USE % 1}"
    yield Damage("succession-moved", None, late)
    onward = "UPDATE posting SET %s WHERE movement_id IN (SELECT id FROM movement "
    onward += "WHERE type = 'TRANSFER') AND debit_account = %d AND credit_account = %d"
    yield Damage("succession-moved", None, onward % ("credit_account = 4", 1, 3))
    yield Damage("succession-moved", None, onward % ("debit_account = 4", 3, 1))


DAMAGES = list(damages())
