"""What is imported is declared, pinned with its hash, and not older than what was tried."""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, version

import pytest

from tests.test_architecture import LOCKS, ROOT, imports, tree

FLOORS = {
    "strawberry-graphql": "0.341.2",
    "graphql-core": "3.3.2",
    "starlette": "1.10.0",
    "sqlalchemy": "2.1.9",
    "cryptography": "50.0.2",
    "argon2-cffi": "25.1.0",
    "asyncpg": "0.32.0",
    "aiosqlite": "0.22.1",
    "uvicorn": "0.54.0",
    "httptools": "0.9.0",
    "joserfc": "1.8.0",
}
FLOORS_IF_THERE = {"pyjwt": "2.15.1"}
"""Releases below these have known faults, or were never tried."""

DISTRIBUTIONS = packages_distributions()


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared(*extras: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [*project["dependencies"]]
    for extra in extras:
        named += project["optional-dependencies"][extra]
    return {canonical(re.split(r"[\[<>=!~; ]", each, maxsplit=1)[0]) for each in named}


def pinned(lock: str) -> dict[str, str]:
    text = (ROOT / lock).read_text()
    return {canonical(n): v for n, v in re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)}


def imported(folder: str) -> set[str]:
    """The distributions that the sources in a folder import."""
    libraries = {
        target.split(".")[0]
        for file in (ROOT / folder).rglob("*.py")
        for target, _ in imports(tree(file))
    }
    foreign = libraries - sys.stdlib_module_names - {"giftgql", "tests"}
    return {canonical(DISTRIBUTIONS[library][0]) for library in foreign}


def as_numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def test_what_is_imported_is_declared_and_pinned() -> None:
    assert imported("giftgql") - declared() == set()
    assert imported("tests") - declared("dev") == set()
    assert declared() - pinned("requirements.lock").keys() == set()
    assert declared("dev", "build") - pinned("requirements-dev.lock").keys() == set()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_nothing_else_is_locked(lock: str) -> None:
    entries = re.split(r"^(?=\S)", (ROOT / lock).read_text(), flags=re.MULTILINE)
    for entry in entries:
        if entry.startswith("#") or not entry.strip():
            continue
        assert re.match(r"[\w.-]+==[\w.]+ (; .+ )?\\\n", entry), entry.splitlines()[0]
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), entry.splitlines()[0]


def test_both_locks_pin_the_same_releases() -> None:
    served, developed = pinned("requirements.lock"), pinned("requirements-dev.lock")
    assert served.items() <= developed.items()


def test_no_dependency_is_below_its_floor() -> None:
    locked = pinned("requirements.lock")
    for name, floor in FLOORS.items():
        assert as_numbers(version(name)) >= as_numbers(floor), name
        assert as_numbers(locked[name]) >= as_numbers(floor), name
    for name, floor in FLOORS_IF_THERE.items():
        if name in locked:
            assert as_numbers(locked[name]) >= as_numbers(floor), name
    assert "authlib" not in pinned("requirements-dev.lock")
    assert "websockets" not in locked
    with pytest.raises(PackageNotFoundError):
        version("authlib")
