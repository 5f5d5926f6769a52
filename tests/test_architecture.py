"""The house rules, read off the sources: what may import what, and how large it may be."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.house import (
    ABOVE,
    CALLS_OTHERS,
    FEATURES,
    GRAPHQL,
    HTTP,
    LAYERS,
    MAY_GRAPHQL,
    MAY_SQL,
    NAMES_REPOSITORIES,
    NO_NAMES,
    NOUNS,
    OF_EARLIER_FEATURES,
    PURE,
    PURE_KNOWS,
    SQL,
    TEXTS,
)
from tests.sources import modules

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "giftgql"

SOURCES = list(modules(PACKAGE))
LOCKS = ("requirements.lock", "requirements-dev.lock")


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(file): file for file in SOURCES}


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def imports(node: ast.AST) -> Iterator[tuple[str, int]]:
    """The modules that are imported anywhere below, in functions and for types too."""
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            yield from ((alias.name, each.lineno) for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            assert each.level == 0, "imports are absolute"
            for alias in each.names:
                inner = f"{each.module}.{alias.name}"
                yield (inner if inner in MODULES else str(each.module)), each.lineno


def edges() -> Iterator[tuple[list[str], list[str], str]]:
    """Each import within the package: who, whom, and where to look."""
    for module, file in MODULES.items():
        for target, line in imports(tree(file)):
            if target.split(".")[0] == "giftgql":
                where = f"{file.relative_to(ROOT)}:{line} imports {target}"
                yield module.split(".")[1:] or [""], target.split(".")[1:] or [""], where


def of_features() -> Iterator[tuple[str, Path]]:
    for feature in FEATURES:
        yield from ((feature, file) for file in sorted((PACKAGE / feature).glob("*.py")))


def layer(feature: str, name: str) -> int:
    return NOUNS[feature, name] if (feature, name) in NOUNS else LAYERS[name]


def test_a_feature_is_a_folder_of_at_most_four_modules_and_listed_nouns() -> None:
    folders = {each.name for each in PACKAGE.iterdir() if (each / "__init__.py").exists()}
    assert folders - {"app", "web", "backoffice", "migrations"} == set(FEATURES)
    for feature in FEATURES:
        found = {file.stem for file in (PACKAGE / feature).iterdir() if file.suffix == ".py"}
        nouns = {name for of, name in NOUNS if of == feature}
        assert found - nouns <= {"__init__", "models", "repository", "service", "api"}
        assert nouns <= found


def test_imports_go_down_the_layers_of_a_feature() -> None:
    wrong = [
        where
        for (own, *me), (other, *it), where in edges()
        if own in FEATURES and own == other and layer(own, me[0]) <= layer(own, it[0])
    ]
    assert wrong == []


def test_imports_go_down_the_order_of_the_features() -> None:
    wrong = [
        where
        for (own, *_), (other, *_), where in edges()
        if own in FEATURES and other in FEATURES and FEATURES.index(own) < FEATURES.index(other)
    ]
    assert wrong == []


def test_a_feature_uses_the_services_of_others_and_names_their_types() -> None:
    wrong = [
        where
        for (own, *me), (other, *it), where in edges()
        if {own, other} <= set(FEATURES) and own != other
        if not {it[0], f"{other}.{it[0]}"} & OF_EARLIER_FEATURES[me[0]]
    ]
    assert wrong == []


def test_only_what_puts_features_together_stands_above_them() -> None:
    for (own, *_), (other, *_), where in edges():
        if other in FEATURES:
            assert own in {*FEATURES, *ABOVE}, where
        if own in FEATURES:
            assert other not in ABOVE - {"store"} | {"migrations"}, where


def test_repositories_are_named_by_their_feature_and_the_store() -> None:
    wrong = [
        where
        for (own, *_), (other, *it), where in edges()
        if it == ["repository"] and own != other and own not in NAMES_REPOSITORIES
    ]
    assert wrong == []


def test_databases_graphql_and_http_stay_where_they_belong() -> None:
    for module, file in MODULES.items():
        parts = module.split(".")[1:] or [""]
        place = "migrations" if parts[0] == "migrations" else parts[-1]
        for target, line in imports(tree(file)):
            library, where = target.split(".")[0], f"{file.relative_to(ROOT)}:{line} {target}"
            if library in SQL:
                assert place in MAY_SQL, where
            if library in GRAPHQL and parts != ["cli"]:
                assert place in MAY_GRAPHQL or parts == ["app", "graphql"], where
            if library == "starlette":
                assert parts[0] in ("app", "web", "backoffice"), where
            if library in HTTP - {"starlette"}:
                assert parts == ["server"], where
            if library == "httpcore2":
                assert ".".join(parts) in CALLS_OTHERS, where


def test_the_command_line_knows_graphql_only_to_read_a_member() -> None:
    cli = tree(PACKAGE / "cli.py")
    adds_member = next(
        node
        for node in ast.walk(cli)
        if isinstance(node, ast.FunctionDef) and node.name == "member_add"
    )
    known = [line for target, line in imports(cli) if target.split(".")[0] in GRAPHQL]
    meant = [line for target, line in imports(adds_member) if target.split(".")[0] in GRAPHQL]
    assert known == meant


def test_services_know_no_framework_and_no_feature_commits() -> None:
    for feature, file in of_features():
        if file.stem == "service" or (
            (feature, file.stem) in NOUNS and file.stem not in MAY_GRAPHQL
        ):
            libraries = {target.split(".")[0] for target, _ in imports(tree(file))}
            assert not libraries & (SQL | GRAPHQL | HTTP), file
        calls = {
            node.func.attr
            for node in ast.walk(tree(file))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert not calls & {"commit", "rollback", "begin", "begin_nested"}, file


def test_the_rules_of_money_are_pure() -> None:
    """No I/O, no clock of their own, no chance; but for ids, which are made with an order."""
    for module in sorted(PURE):
        file = MODULES[f"giftgql.{module}"]
        ours = {target for target, _ in imports(tree(file)) if target.startswith("giftgql")}
        assert ours <= PURE_KNOWS | {f"giftgql.{each}" for each in PURE}, module
        theirs = {target.split(".")[0] for target, _ in imports(tree(file))} - {"giftgql"}
        allowed = {"collections", "dataclasses", "datetime", "typing"}
        assert theirs <= allowed | ({"secrets", "time"} if module == "ledger.orders" else set())
        for node in ast.walk(tree(file)):
            assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), module
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in ("now", "today", "utcnow"), module


def test_texts_are_read_and_made_without_database_clock_or_files() -> None:
    for module in sorted(TEXTS):
        file = MODULES[f"giftgql.{module}"]
        ours = {target for target, _ in imports(tree(file)) if target.startswith("giftgql")}
        known = {"giftgql", "giftgql.errors", "giftgql.imports", "giftgql.pins"}
        assert ours <= known | {f"giftgql.{each}" for each in TEXTS}, module
        assert not {target for target, _ in imports(tree(file))} & {"os", "pathlib", "time"}, module
        for node in ast.walk(tree(file)):
            assert not isinstance(node, ast.AsyncFunctionDef | ast.Await), module
            if isinstance(node, ast.Call):
                called = getattr(node.func, "attr", getattr(node.func, "id", ""))
                assert called not in ("now", "today", "utcnow", "open", "print"), module


def test_money_is_moved_by_the_ledger_alone() -> None:
    """Nobody else uses its repository."""
    wrong = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in SOURCES
        if file.parent.name != "ledger"
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Attribute) and node.attr == "ledger"
    ]
    assert wrong == []


def test_codes_are_masked_in_one_place() -> None:
    names = {
        module
        for module, file in MODULES.items()
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Name) and node.id == "masked"
    }
    assert names == {"giftgql.codes", "giftgql.cards.visibility"}


def test_no_module_imports_itself_in_a_circle() -> None:
    known: dict[str, set[str]] = {module: set() for module in MODULES}
    for module, file in MODULES.items():
        known[module] = {target for target, _ in imports(tree(file))} & MODULES.keys()
    while leaves := {module for module, needed in known.items() if not needed & known.keys()}:
        known = {module: needed for module, needed in known.items() if module not in leaves}
    assert known == {}, "these import each other, directly or through others"


def test_a_module_is_named_by_what_it_is() -> None:
    names = {part for module in MODULES for part in module.split(".")}
    assert not names & NO_NAMES


def test_nothing_is_related_by_relationship() -> None:
    for file in SOURCES:
        names = {node.id for node in ast.walk(tree(file)) if isinstance(node, ast.Name)}
        names |= {each.attr for each in ast.walk(tree(file)) if isinstance(each, ast.Attribute)}
        assert not names & {"relationship", "Relationship"}, file


def test_chance_comes_from_the_system() -> None:
    for file in SOURCES:
        assert "random" not in {target for target, _ in imports(tree(file))}, file


@pytest.mark.parametrize("folder", ["giftgql", "tests"])
def test_modules_have_400_lines_at_most_and_functions_under_50(folder: str) -> None:
    long = []
    for file in modules(ROOT / folder):
        if (lines := len(file.read_text().splitlines())) > 400:
            long.append(f"{file.relative_to(ROOT)}: {lines}")
        for node in ast.walk(tree(file)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines >= 50:
                    long.append(f"{file.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert long == []


def test_every_feature_and_the_package_has_its_page() -> None:
    for name in ("", *FEATURES, "app", "web", "backoffice", "migrations"):
        page = ast.get_docstring(tree(PACKAGE / name / "__init__.py"))
        assert page, f"giftgql/{name} says nothing of itself"
        assert len(page.splitlines()) <= 16, f"giftgql/{name} says too much"


def test_nothing_committed_names_a_machine_or_a_registry() -> None:
    files = [ROOT / lock for lock in LOCKS]
    files += [*(ROOT / "scripts").iterdir(), *(ROOT / ".ci").iterdir()]
    files += [ROOT / "pyproject.toml", ROOT / ".env.example", *SOURCES]
    files += (each for each in (ROOT / "tests" / "js").iterdir() if each.is_file())
    address = re.compile(r"https?://(?!127\.0\.0\.1|\{|localhost)|\bindex[-_]url\b")
    folder = re.compile(r"(?<![\w.}/)*'\"])/(?:work|root|home|tmp|usr/local|opt|mnt|Users)\b")
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            assert not address.search(line), f"{file.relative_to(ROOT)}:{number}"
            assert not folder.search(line), f"{file.relative_to(ROOT)}:{number}"
