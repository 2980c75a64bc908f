"""Background tasks end when they are cancelled, also those that lose a cancellation."""

from __future__ import annotations

import asyncio
import gc

import pytest

from job_processor import tasks as module
from job_processor.tasks import cancel
from tests.processors import WAIT


async def test_a_task_that_loses_a_cancellation_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As one that waits in `wait_for` of Python 3.11 just when its answer comes."""
    monkeypatch.setattr(module, "_AGAIN_AFTER", 0.01)
    lost = 0

    async def lose() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(WAIT)
            except asyncio.CancelledError:
                if lost == 2:
                    raise
                lost += 1

    tasks = [asyncio.create_task(lose()), asyncio.create_task(asyncio.sleep(WAIT))]
    await asyncio.sleep(0)
    async with asyncio.timeout(WAIT):
        await cancel(tasks)
    assert [task.cancelled() for task in tasks] == [True, True]
    assert lost == 2


async def test_what_ended_by_itself_is_no_trouble(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a result, nor an error, which nobody is told of a second time; nor nothing."""

    async def fail() -> None:
        raise ValueError

    tasks = [asyncio.create_task(fail()), asyncio.create_task(asyncio.sleep(0))]
    await asyncio.wait(tasks)
    await cancel(tasks)
    await cancel([])
    del tasks
    gc.collect()
    assert not caplog.records


async def test_a_task_may_take_its_time_to_end() -> None:
    """It is not interrupted a second time as long as it is about to end."""
    ended = False

    async def end_slowly() -> None:
        nonlocal ended
        try:
            await asyncio.sleep(WAIT)
        finally:
            await asyncio.sleep(0.05)
            ended = True

    task = asyncio.create_task(end_slowly())
    await asyncio.sleep(0)
    await cancel([task])
    assert ended
