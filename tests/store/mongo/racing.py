"""Two workers at a lane of MongoDB: something happens right before a step of one of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from job_processor.store.mongo.lanes import MongoLanes


def before(
    monkeypatch: pytest.MonkeyPatch, verb: str, happens: Callable[[], Awaitable[Any]]
) -> None:
    """Let something happen once, right before a step of the lanes."""
    step = getattr(MongoLanes, verb)
    times = iter([True])

    async def after_it(self: MongoLanes, *arguments: Any) -> Any:
        if next(times, False):
            await happens()
        return await step(self, *arguments)

    monkeypatch.setattr(MongoLanes, verb, after_it)
