"""Processes that die by SIGKILL around each write in the life of a group."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from job_processor import Clock, JobProcessor
from job_processor.settings import GROUP_LEFT
from job_processor.worker.group_sweeper import GroupSweeper
from tests.acceptance.group_dying import WRITES, make
from tests.insides import engine_of, store_of
from tests.processors import WAIT, eventually, working

ROOT = Path(__file__).parents[2]
POINTS = [
    (write, when, time)
    for write in WRITES
    for when in ("before", "after")
    for time in ((1, 2) if write in ("add", "settle") else (1,))
]


async def die(db_url: str, point: tuple[str, str, int]) -> None:
    """Run the program until it dies at this point."""
    arguments = ["-m", "tests.acceptance.group_dying", db_url, *map(str, point)]
    program = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT)
    assert await asyncio.wait_for(program.wait(), WAIT) == -signal.SIGKILL, point


async def all_have_ended(processor: JobProcessor) -> bool:
    """Break off what was left open, as the sweep does ten minutes later; tell if all ended."""
    records = await store_of(processor).groups.unfinished(None, 100)
    later = Clock().now() + timedelta(seconds=GROUP_LEFT + 1)
    await GroupSweeper(engine_of(processor)).look_after(records, later)
    return not await store_of(processor).groups.unfinished(None, 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("rounds", [1, pytest.param(56, marks=pytest.mark.soak)])
async def test_no_group_stands_and_none_is_followed_twice(db_url: str, rounds: int) -> None:
    """Whichever write a process dies at, before or after it: one callback follows each group."""
    points = POINTS * rounds
    random.Random(rounds).shuffle(points)
    for point in points:
        await die(db_url, point)
    async with make(db_url) as processor, working(processor):
        await eventually(lambda: all_have_ended(processor), "the end of all groups")
    async with make(db_url) as processor:
        groups = [group.id for group in await processor.find_groups(limit=100)]
        assert rounds > 1 or len(groups) == len(POINTS) - 1  # one died before it was opened
        called: Counter[object] = Counter()
        for name in ("then", "catch"):
            page = await processor.find_jobs(name, limit=1000)
            called.update(job.callback_of for job in page.jobs)
    assert set(called.values()) == {1}
    assert rounds > 1 or set(called) == set(groups)
