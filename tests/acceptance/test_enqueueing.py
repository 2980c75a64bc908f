"""Many callers schedule in a process that dies by SIGKILL: what was acknowledged is stored."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from bson import ObjectId

from job_processor import JobProcessor
from job_processor.models import Job, SimpleJob
from tests.acceptance.enqueueing import CALLERS, JOBS
from tests.insides import store_of
from tests.processors import WAIT

ROOT = Path(__file__).parents[2]
ENOUGH = 20 * CALLERS
"""Jobs after which the process is killed, in the midst of the next."""


async def acknowledged(db_url: str, how: str) -> dict[ObjectId, tuple[int, int]]:
    """Let a process schedule until it is killed; return whose jobs it was told are stored."""
    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.acceptance.enqueueing", db_url, how),
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert program.stdout is not None
    async with asyncio.timeout(2 * WAIT):
        lines = [await program.stdout.readline() for _ in range(ENOUGH)]
        program.kill()
        lines += (await program.stdout.read()).splitlines()
        await program.wait()
    told = [line.decode().split() for line in lines if line.strip()]
    return {ObjectId(job_id): (int(caller), int(number)) for caller, number, job_id in told}


@pytest.mark.parametrize("how", ["tasks", "threads"])
async def test_what_was_acknowledged_is_stored_whoever_dies(db_url: str, how: str) -> None:
    """Each job by itself, though many were written together; and in the order of each caller."""
    told = await acknowledged(db_url, how)
    assert len(told) >= ENOUGH
    async with JobProcessor(db_url, jobs=JOBS) as processor:
        ids = sorted(told)
        jobs: list[Job] = []
        for start in range(0, len(ids), 500):
            jobs += await store_of(processor).history.get_many(ids[start : start + 500])
    stored = {
        job.id: (job.payload["caller"], job.payload["number"])
        for job in jobs
        if isinstance(job, SimpleJob) and job.payload is not None
    }
    assert stored == told
    for caller in range(CALLERS):
        numbers = [number for job_id in ids for who, number in [told[job_id]] if who == caller]
        assert numbers == list(range(len(numbers)))
