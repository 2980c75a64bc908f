"""What a dashboard asks its store for, noted, held up or refused."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from job_processor import JobProcessor


class Spy:
    """Stands before the store of a processor: notes which verbs are asked for, may hold or fail."""

    def __init__(self, processor: JobProcessor) -> None:
        self._store: Any = processor._store  # it stands before it
        self.asked: list[str] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.error: Exception | None = None
        processor._store = self  # type: ignore[assignment]  # the same

    def __getattr__(self, name: str) -> Any:
        verb = getattr(self._store, name)
        if not inspect.iscoroutinefunction(verb) or name == "close":
            return verb

        async def ask(*arguments: Any) -> Any:
            self.asked.append(name)
            await self.may_go.wait()
            if self.error is not None:
                raise self.error
            return await verb(*arguments)

        return ask
