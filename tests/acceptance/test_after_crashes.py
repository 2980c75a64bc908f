"""Processes that die by SIGKILL around each write of attaching and of releasing."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest

from job_processor import Job, JobProcessor, JobStatus
from tests.acceptance.dying import Diary
from tests.acceptance.following import POINTS, make
from tests.processors import Processors, eventually

ROOT = Path(__file__).parents[2]


async def deaths(db_url: str, file: Path, orders: list[set[str]]) -> list[int]:
    """Let a process die for each of these; return how each ended."""
    pipe, module = asyncio.subprocess.PIPE, "tests.acceptance.following"
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, db_url, str(file)), stdin=pipe, stdout=pipe, cwd=ROOT
    )
    lines = "".join(" ".join(sorted(points)) + "\n" for points in orders)
    told, _ = await program.communicate(lines.encode())
    return [int(line) for line in told.split()]


async def all_jobs(processor: JobProcessor) -> list[Job]:
    """Return all jobs of the database."""
    page = await processor.find_jobs(limit=1000)
    return list(page.jobs)


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [2, pytest.param(125, marks=pytest.mark.soak)])
async def test_no_job_stands_whoever_dies(db_url: str, tmp_path: Path, rounds: int) -> None:
    """Whatever was stored comes to its end: run, or skipped because of the one that failed."""
    file = tmp_path / "diary"
    file.touch()
    diary, chance = Diary(file), random.Random(rounds)
    async with make(db_url, diary):  # which makes the database
        pass
    orders = [{point} for _ in range(rounds) for point in chance.sample(POINTS, len(POINTS))]
    ended = await deaths(db_url, file, orders)
    assert Counter(ended) == {-signal.SIGKILL: len(orders)}
    assert Counter(diary.deaths()) == dict.fromkeys(POINTS, rounds)
    async with Processors(db_url) as processors:
        processor = await processors.open(make(db_url, diary))
        await processors.worker(processor)

        async def done() -> bool:
            return all(job.settled for job in await all_jobs(processor))

        await eventually(done)
        jobs = {job.id: job for job in await all_jobs(processor)}
    for job in jobs.values():
        failed = [
            parent
            for parent in job.parents
            if jobs[parent].status in (JobStatus.ERRORED, JobStatus.SKIPPED)
        ]
        skipped = bool(failed) and job.on_parent_failure != "run"
        assert (job.status is JobStatus.SKIPPED) == skipped, job
