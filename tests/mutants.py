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
CHANGED = ("giftgql/ledger/decide.py", "giftgql/ledger/books.py")
TESTS = ("test_decide", "test_decide_ends", "test_decide_refunds", "test_decide_properties")
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

EQUIVALENT: dict[tuple[str, str], str] = {}


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
