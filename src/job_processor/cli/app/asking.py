"""Questions about a database that need no handlers: what the commands without an APP do."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from job_processor.cli.app.failing import AppError, UsageError
from job_processor.cli.app.reading import read_text
from job_processor.cli.app.source import WAYS, find_app
from job_processor.texts import harmless

if TYPE_CHECKING:  # see `ask`
    from job_processor.cli.app.loading import App
    from job_processor.processor import JobProcessor

T = TypeVar("T")

DEFAULT_PREFIX = "job_processor"
_DATABASE = "JOB_PROCESSOR_DB"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command looks, as typed: `--db` is what it is, else the database of an application.

    An application that is not typed is that of the variable or of pyproject.toml, and is left alone
    where `--db` is typed: a database can be looked at from anywhere.
    """

    db: str | None = None
    prefix: str | None = None
    app: str | None = None
    by: str = "--app"
    """How `app` is typed."""

    def application(self) -> App | None:
        """Import the application; None where there is none or it is left alone; raises AppError."""
        if self.prefix is not None:
            read_text("--prefix", self.prefix)
        alone = self.db is not None and self.app is None
        source = None if alone else find_app(self.app, self.by)
        if source is None:
            return None
        from job_processor.cli.app.loading import load_app  # noqa: PLC0415  # and the engine

        return load_app(source)

    async def observer(self, app: App | None) -> JobProcessor:
        """Return a processor without handlers, not set up; raises AppError."""
        from job_processor.processor import JobProcessor  # noqa: PLC0415  # see `ask`

        if app is None:
            prefix = DEFAULT_PREFIX if self.prefix is None else self.prefix
            return JobProcessor(self.db, collection_prefix=prefix)
        made = await app.processor()
        return made.observer(db=self.db, collection_prefix=self.prefix)

    async def processor(self, app: App | None) -> JobProcessor:
        """Return the application's processor, on `--db` where that is typed; else an observer.

        Not set up. Raises AppError, UsageError, and as `check_exists` where there is no
        application.
        """
        if app is None:
            observer = await self.observer(None)
            await self.check_exists(observer, None)
            return observer
        if self.prefix is not None:
            raise UsageError(
                "--prefix: the prefix is that of the application; give --db without APP, or leave "
                "--prefix out"
            )
        made = await app.processor()
        made.override(db=self.db)
        return made

    async def check_exists(self, processor: JobProcessor, app: App | None) -> None:
        """Raise UsageError, with what to do, where a look would make a database."""
        if await processor.database_exists():
            return
        by, of = self._named_by(app), f", that of {app.spec!r}" if app is not None else ""
        told = _not_there(processor.address) + of
        first = "A worker makes it, or the first job that is scheduled; --db URL names another"
        if by is not None:
            raise UsageError(f"{by}: {told}. {first}")
        raise UsageError(
            f"{told}. Which database is meant? Name it by --db URL or ${_DATABASE}, or name the "
            f"application that has it: {WAYS}"
        )

    def _named_by(self, app: App | None) -> str | None:
        """Return what named the database, None when nothing did."""
        if self.db is not None:
            return "--db"
        if app is not None:
            return app.source.by
        return f"${_DATABASE}" if os.environ.get(_DATABASE) else None


def _not_there(address: str) -> str:
    """Return what there is to say of the address of an SQLite database that nobody has made."""
    from job_processor.settings import IN_MEMORY  # noqa: PLC0415  # see `ask`

    if address.startswith(IN_MEMORY):
        return "a database in memory is seen by its own process alone"
    folder = Path(address).parent
    missing = "" if folder.is_dir() else f", and its folder {folder} does not exist"
    return f"there is no file {address}{missing}"


def ask(place: Place, question: Callable[[JobProcessor], Awaitable[T]]) -> T:
    """Return the answer of `question` about a database, which is never made for that.

    Raises JobProcessorError, also when the database cannot be reached or used.
    """
    import asyncio  # noqa: PLC0415  # the help of a command does without, and without the engine

    try:
        app = place.application()
    except AppError as error:
        told = f"{error}; a database can be looked at without it: --db URL"
        raise type(error)(told) from error

    async def answer() -> T:
        processor = await place.observer(app)
        await place.check_exists(processor, app)
        async with processor:
            return await question(processor)

    with warnings.catch_warnings():
        warnings.showwarning = _warn
        return asyncio.run(answer())


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning, such as of an unknown option in a URL, without a place in the code."""
    sys.stderr.write(f"Warning: {harmless(str(message))}\n")
