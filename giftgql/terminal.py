"""What commands have in common: settings, a store opened around the work, and how they fail.

Imports are made late, so that `--help` answers at once.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

if TYPE_CHECKING:
    from giftgql.settings import Settings
    from giftgql.store import Store

Result = TypeVar("Result")


def counted(number: int, word: str) -> str:
    """A number with its noun: `1 row`, `2,000 rows`."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def settings_or_fail() -> "Settings":
    from giftgql.settings import SettingsError, read_settings

    try:
        return read_settings()
    except SettingsError as error:
        fail(str(error))


def with_store(work: "Callable[[Store], Awaitable[Result]]") -> Result:
    """Do something with the store of the settings, opened and closed around it."""
    from giftgql import log
    from giftgql.startup import open_store

    settings = settings_or_fail()
    log.configure(settings, plain=True)

    async def opened() -> Result:
        store = await open_store(settings)
        try:
            return await work(store)
        finally:
            await store.close()

    return run(opened)


def run(work: Callable[[], Awaitable[Result]]) -> Result:
    """Run to the end; what a person can mend ends in its sentence, not in a traceback."""
    from giftgql.database import AnotherServer
    from giftgql.errors import Refusal
    from giftgql.startup import DatabaseTooNew, DatabaseUnusable
    from giftgql.trusted import TrustedDocumentsError
    from giftgql.vault import KeyringError

    async def whole() -> Result:
        return await work()

    try:
        return asyncio.run(whole())
    except (AnotherServer, DatabaseTooNew, DatabaseUnusable) as error:
        fail(str(error))
    except (KeyringError, Refusal, TrustedDocumentsError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.strerror or error} ({error.filename})" if error.filename else str(error))


def fail(sentence: str) -> NoReturn:
    typer.echo(sentence, err=True)
    raise typer.Exit(1)
