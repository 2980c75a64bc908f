"""Questions about a database that need no handlers: what the commands without an APP do."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from job_processor.cli.app.reading import read_text
from job_processor.texts import harmless

if TYPE_CHECKING:  # see `ask`
    from job_processor.processor import JobProcessor

T = TypeVar("T")


def ask(db: str | None, prefix: str, question: Callable[[JobProcessor], Awaitable[T]]) -> T:
    """Return the answer of `question` about this database.

    Raises JobProcessorError, also when the database cannot be reached or used.
    """
    import asyncio  # noqa: PLC0415  # the help of a command does without, and without the engine

    from job_processor.processor import JobProcessor  # noqa: PLC0415  # the same

    async def answer() -> T:
        async with JobProcessor(db or None, collection_prefix=prefix) as processor:
            return await question(processor)

    read_text("--prefix", prefix)
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        return asyncio.run(answer())


def _warn(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning, such as of an unknown option in a URL, without a place in the code."""
    sys.stderr.write(f"Warning: {harmless(str(message))}\n")
