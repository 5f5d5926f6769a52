"""Our own Python: not that of packages which npm has installed."""

from collections.abc import Iterator
from pathlib import Path


def modules(folder: Path) -> Iterator[Path]:
    return (file for file in sorted(folder.rglob("*.py")) if "node_modules" not in file.parts)
