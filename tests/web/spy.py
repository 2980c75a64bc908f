"""What a dashboard asks its store for, noted, held up or refused."""

from __future__ import annotations

import asyncio
from typing import Any

from job_processor import JobProcessor
from tests.desks import Between, Verb
from tests.insides import put_store, store_of


class Spy:
    """Stands before the store of a processor: notes which verbs are asked for, may hold or fail."""

    def __init__(self, processor: JobProcessor) -> None:
        self.asked: list[str] = []
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.error: Exception | None = None
        stands_before: Any = Between(store_of(processor), self._through)
        put_store(processor, stands_before)

    def _through(self, name: str, verb: Verb) -> Verb:
        if name == "close":
            return verb

        async def ask(*arguments: Any) -> Any:
            self.asked.append(name)
            await self.may_go.wait()
            if self.error is not None:
                raise self.error
            return await verb(*arguments)

        return ask
