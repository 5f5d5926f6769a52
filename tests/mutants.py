"""Mutation testing of the rules of money: one small change at a time, does a test fail?

Works on a copy with mutmut. What survives is either named here, with why it changes nothing, or
it is a gap in the tests: it is printed, and the exit code is 1.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHANGED = tuple(f"giftgql/ledger/{each}.py" for each in ("decide", "reasons", "books"))
TESTS = (
    *("test_decide", "test_decide_ends", "test_decide_facts", "test_decide_prices"),
    *("test_decide_refunds", "test_decide_replacement", "test_decide_properties"),
)
CONFIG = f"""[mutmut]
source_paths=giftgql
only_mutate={" ".join(f"{chr(10)}    {each}" for each in CHANGED)}
pytest_add_cli_args=
    --noconftest
    -x
pytest_add_cli_args_test_selection={"".join(f"{chr(10)}    tests/{each}.py" for each in TESTS)}
also_copy=
    tests
"""
KILLED = {"killed", "timeout", "caught by type check"}

NO_ZERO = "an amount of zero never comes here"
NO_COUNT = "what is taken otherwise than by a USE is not counted"
EQUIVALENT = {
    (
        "if order.allow_partial and taken < 0:",
        "if order.allow_partial and taken <= 0:",
    ): "zero is refused, partial or not",
    (
        "if order.allow_partial and taken < 0:",
        "if order.allow_partial and taken < 1:",
    ): "zero is refused, partial or not",
    ("if taken < 0:", "if taken <= 0:"): NO_ZERO,
    ("if taken < 0:", "if taken < 1:"): NO_ZERO,
    ("if amount > 0:", "if amount >= 0:"): NO_ZERO,
    ("if hold.amount > 0:", "if hold.amount >= 0:"): NO_ZERO,
    ("if hold.amount < 0:", "if hold.amount <= 0:"): NO_ZERO,
    ("if hold.amount < 0:", "if hold.amount < 1:"): NO_ZERO,
    **{
        (f"if there is not funds and signed {sign} 0:", f"if there is not funds and {changed}:"): (
            NO_ZERO
        )
        for sign, changed in (("<", "signed <= 0"), ("<", "signed < 1"), (">", "signed >= 0"))
    },
    (
        "return why_not_add(books, funds, size) if signed > 0 "
        "else why_not_take(books.now, funds, size)",
        "return why_not_add(books, funds, size) if signed >= 0 "
        "else why_not_take(books.now, funds, size)",
    ): NO_ZERO,
    (
        "debit, credit = (against, funds.id) if amount > 0 else (funds.id, against)",
        "debit, credit = (against, funds.id) if amount >= 0 else (funds.id, against)",
    ): NO_ZERO,
    (
        "elif amount > 0 and kind is not MovementType.EXPIRE and not is_refund:",
        "elif amount >= 0 and kind is not MovementType.EXPIRE and not is_refund:",
    ): "zero more of a lifetime total is no more",
    (
        "if amount == 0 or amount * sign < 0 "
        "or max(abs(amount), order.price or 0) > books.ceiling:",
        "if amount == 0 or amount * sign < 0 "
        "or max(abs(amount), order.price or 1) > books.ceiling:",
    ): "the amount is at least 1",
    (
        "rest = (promotion, funds.id) if price < size else (tender, promotion)",
        "rest = (promotion, funds.id) if price <= size else (tender, promotion)",
    ): "where they are equal there is no rest",
    (
        "debit, credit = (source, target) if amount > 0 else (target, source)",
        "debit, credit = (source, target) if amount >= 0 else (target, source)",
    ): NO_ZERO,
    (
        "count(books, target, MovementType.TRANSFER, size)",
        "count(books, target, None, size)",
    ): "whatever is added counts alike, unless it is a USE or an EXPIRE",
    **{
        (f"count({', '.join(right)})", f"count({', '.join(changed)})"): NO_COUNT
        for *right, places in (
            ("books", "source", "MovementType.TRANSFER", "-size", (0, 1, 2)),
            ("books", "funds", "kind", "taken", (0, 1, 2)),
            ("books", "funds", "past.root or past.type", "signed", "is_refund=True", (0,)),
        )
        for place in places
        for changed in [[*right[:place], "None", *right[place + 1 :]]]
    },
    (
        "there = Order(account_id=target.id, by=order.by._replace(code_id=None), id=order.twin_id)",
        "there = Order(account_id=None, by=order.by._replace(code_id=None), id=order.twin_id)",
    ): "the account is given beside it",
    (
        "outcome = _off_the_books(books, funds, order, MovementType.ADJUST, books.now)",
        "outcome = _off_the_books(books, funds, order, MovementType.ADJUST, None)",
    ): "a posting without a moment is of now",
}
"""Changes that survive, and why they change nothing: the line, and what it was changed to."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for each in ("giftgql", "tests"):
            shutil.copytree(ROOT / each, copy / each)
        (copy / "setup.cfg").write_text(CONFIG)
        _mutmut(copy, "run", "--max-children", str(asked.processes))
        lines = _mutmut(copy, "results", "--all", "true").splitlines()
        results = dict(line.strip().split(": ", 1) for line in lines if ": " in line)
        survivors = {
            name: _change(_mutmut(copy, "show", name))
            for name, result in results.items()
            if result not in KILLED
        }
    unknown = {name: each for name, each in survivors.items() if each not in EQUIVALENT}
    for name, (old, new) in unknown.items():
        print(f"{name}: {results[name]}\n    - {old}\n    + {new}")
    gone = EQUIVALENT.keys() - set(survivors.values())
    for old, new in gone:
        print(f"named as equivalent, but does not survive:\n    - {old}\n    + {new}")
    print(
        f"{len(results)} changes: {len(results) - len(survivors)} found by a test, "
        f"{len(survivors) - len(unknown)} that change nothing, {len(unknown)} not found."
    )
    return 1 if unknown or gone or not results else 0


def _mutmut(folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "mutmut", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stdout + done.stderr)[-2_000:])
    return done.stdout


def _change(diff: str) -> tuple[str, str]:
    """The line that was changed, and what it was changed to."""
    lines = [line for line in diff.splitlines() if not line.startswith(("---", "+++"))]
    old, new = ([line[1:] for line in lines if line.startswith(sign)] for sign in "-+")
    return " ".join(" ".join(old).split()), " ".join(" ".join(new).split())


if __name__ == "__main__":
    sys.exit(main())
