"""A pause that an event ends."""

from __future__ import annotations

import asyncio

from job_processor.tasks import set_within
from tests.processors import WAIT


async def test_an_event_ends_a_pause() -> None:
    """It is true at once for one that is set, and as soon as it is."""
    event = asyncio.Event()
    pause = asyncio.create_task(set_within(event, WAIT))
    event.set()
    assert await pause
    assert await set_within(event, 0)


async def test_a_pause_ends_without_its_event() -> None:
    """It is false after its time."""
    assert not await set_within(asyncio.Event(), 0)
