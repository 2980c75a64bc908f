"""Questions about a database that need no handlers: what the commands without an APP do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from job_processor.processor import JobProcessor

T = TypeVar("T")


def ask(db: str | None, prefix: str, question: Callable[[JobProcessor], Awaitable[T]]) -> T:
    """Return the answer of `question` about this database.

    Raises JobProcessorError, also when the database cannot be reached or used.
    """

    async def answer() -> T:
        async with JobProcessor(db or None, collection_prefix=prefix) as processor:
            return await question(processor)

    return asyncio.run(answer())
