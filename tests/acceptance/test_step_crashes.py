"""Processes that die by SIGKILL around each write of a step, a sleep, a message and the end."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from bson import ObjectId

from job_processor import Job, JobDef, JobProcessor
from job_processor.store.requests import Settlement
from job_processor.worker.outcomes import rescue
from tests.acceptance.dying import PAID, POINTS, STEPS, Diary, make
from tests.definitions import nothing
from tests.insides import clock_of, store_of

ROOT = Path(__file__).parents[2]
AS_DEFINED = JobDef(nothing, resumable=True)


class Dying:
    """The program of `dying`, which runs what is due in a process of its own each time."""

    def __init__(self, program: asyncio.subprocess.Process) -> None:
        self._program = program

    async def run(self, points: set[str]) -> bool:
        """Run what is due; False when the process died at one of the points."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write((" ".join(sorted(points)) + "\n").encode())
        code = int(await self._program.stdout.readline())
        assert code in (0, -signal.SIGKILL)
        return code == 0


@asynccontextmanager
async def dying_processes(
    db_url: str, file: Path, module: str = "tests.acceptance.dying"
) -> AsyncIterator[Dying]:
    """Run the program for the time of the block."""
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, db_url, str(file)), stdin=pipe, stdout=pipe, cwd=ROOT
    )
    try:
        yield Dying(program)
    finally:
        assert program.stdin is not None
        program.stdin.close()
        await program.wait()


async def rescue_at_once(processor: JobProcessor) -> None:
    """Do what a rescuer does, without waiting for the time after which a worker is dead."""
    store = store_of(processor)
    for dead in (await store.workers.registrations()).workers:
        for job in await store.runs.of_worker(dead.id, 10):
            at = clock_of(processor).now()
            outcome = rescue(job, AS_DEFINED, killed=False, at=at, alone=False)
            await store.runs.settle([Settlement(job, outcome, dead.id)])
        await store.workers.unregister(dead.id)


async def ended(
    processor: JobProcessor, dying: Dying, diary: Diary, job_id: ObjectId, points: set[str]
) -> Job:
    """Run an order to its end, through a death at each of these points that it comes to."""
    left = set(points)
    while True:
        if not await dying.run(left):
            left.remove(diary.deaths()[-1])
        await rescue_at_once(processor)
        job = await processor.get_job(job_id)
        assert job is not None
        if job.settled:
            return job


def in_random_order(chance: random.Random, at_once: int) -> list[set[str]]:
    """Return all points, a few of them for each order."""
    points = chance.sample(POINTS, len(POINTS))
    return [set(points[start : start + at_once]) for start in range(0, len(points), at_once)]


def done_of(lines: list[list[str]]) -> Counter[str]:
    """Return how often the function of each step was called."""
    return Counter(words[1].partition(":")[2] for words in lines if words[0] == "did")


def lost_of(lines: list[list[str]]) -> Counter[str]:
    """Return how often a process died after the function of a step, and before its write."""
    died = (words[1].partition(":") for words in lines if words[0] == "died")
    return Counter(what for when, _, what in died if when == "before" and what != "end")


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, pytest.param(50, marks=pytest.mark.soak)])
async def test_no_step_is_lost_after_it_was_told(db_url: str, tmp_path: Path, rounds: int) -> None:
    """And none is done twice, but the one whose process died before it was written.

    In each round a process dies once at each point, in random order.
    """
    chance, file = random.Random(rounds), tmp_path / "diary"
    file.touch()
    diary, processor = Diary(file), make(db_url, Diary(file))
    async with processor, dying_processes(db_url, file) as dying:
        for points in (each for _ in range(rounds) for each in in_random_order(chance, 4)):
            before = len(diary.read())
            made = await processor.schedule_job("order")
            await processor.schedule_job("pay", {"order": str(made.id)})
            job = await ended(processor, dying, diary, made.id, points)
            lines = diary.read()[before:]
            results = {step.name: step.result for step in job.steps if step.until is None}
            kept = {name: token for name, token in results.items() if token != PAID}
            names = [step.name.partition(f":{made.id}")[0] for step in job.steps]
            assert names == list(STEPS)
            assert job.result() == list(results.values())
            assert {words[2] for words in lines if words[0] == "told"} == set(kept.values())
            assert done_of(lines) == {name: 1 + lost_of(lines)[name] for name in kept}
    assert Counter(diary.deaths()) == dict.fromkeys(POINTS, rounds)
