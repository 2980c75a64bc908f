"""A worker's memory over many jobs: flat once it has warmed up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from job_processor import JobStatus
from tests.acceptance.workers import Site
from tests.insides import store_of

BATCH = 20_000
BATCHES = 10
WARM_UP = 2  # batches


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_memory_is_flat_over_200_000_jobs(site: Site) -> None:
    """One worker runs 200,000 jobs: what it holds after the last tenth is what it held early."""
    worker = site.start_worker(concurrency=100)
    await site.until_workers(1)
    resident = []
    for batch in range(BATCHES):
        jobs = await site.processor.schedule_jobs(("nothing", {"n": n}) for n in range(BATCH))
        for job in (jobs[0], jobs[-1]):
            await site.processor.wait_for_job(job.id, timeout=300)
        while await counted(site) < (batch + 1) * BATCH:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # another process settles them
        resident.append(resident_mb(worker.pid))
        print(f"{(batch + 1) * BATCH:,} jobs: {resident[-1]:.1f} MB")  # noqa: T201  # the figure
    warm = max(resident[:WARM_UP])
    assert max(resident[WARM_UP:]) < warm * 1.1, resident


async def counted(site: Site) -> int:
    """Return how many jobs are finished."""
    counts = await store_of(site.processor).history.count([("simple", "nothing")], 1_000_000)
    return sum(each.count for each in counts if each.status is JobStatus.FINISHED)


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")
