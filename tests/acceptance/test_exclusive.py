"""Exclusive jobs that many processes schedule at once: the database decides."""

from __future__ import annotations

import asyncio
import itertools
import sys

import pytest

from job_processor import JobStatus
from tests.acceptance.workers import ROOT, Site

PROGRAM = """
import asyncio, sys
from tests.acceptance.app import make

async def main():
    async with make() as processor:
        print("ready", flush=True)
        sys.stdin.readline()
        for _ in range(int(sys.argv[1])):
            await processor.schedule_job("exclusive", {"seconds": 0.01})

asyncio.run(main())
"""


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("processes", "each"), [(3, 12), pytest.param(20, 50, marks=pytest.mark.soak)]
)
async def test_exclusive_jobs_from_many_processes(site: Site, processes: int, each: int) -> None:
    """One is active, the others are skipped by it, and say so; with workers none overlaps."""
    await schedule_everywhere(processes, each)
    jobs = (await site.processor.find_jobs(name="exclusive", limit=1000)).jobs
    assert len(jobs) == processes * each
    (active,) = [job for job in jobs if job.status is JobStatus.PENDING]
    for job in jobs:
        if job is not active:
            assert job.status is JobStatus.SKIPPED
            assert job.output is not None
            assert job.output.skip_metadata is not None
            assert job.output.skip_metadata.reason == "noConcurrent_conflict"
            assert job.output.skip_metadata.conflicting_job_id == active.id

    for _ in range(2):
        site.start_worker()
    await site.settled([active])
    await schedule_everywhere(processes, each)
    later = (await site.processor.find_jobs(name="exclusive", limit=1000)).jobs
    settled = await site.settled(later)
    assert {job.status for job in settled} == {JobStatus.FINISHED, JobStatus.SKIPPED}
    spans = sorted(
        (span for spans in site.spans().values() for span in spans), key=lambda span: span.start
    )
    for before, behind in itertools.pairwise(spans):
        assert before.end is not None
        assert before.end <= behind.start


async def schedule_everywhere(count: int, each: int) -> None:
    """Schedule `each` exclusive jobs from every process, all at the same moment."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            PROGRAM,
            str(each),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
