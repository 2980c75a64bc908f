"""Worker processes that die by SIGKILL in the middle of their batches, on both stores."""

from __future__ import annotations

import random

import pytest

from job_processor import JobStatus
from job_processor.worker.outcomes import CRASHED
from tests.acceptance.workers import Site
from tests.processors import WAIT

pytestmark = pytest.mark.timeout(300)

KINDS = ("batch", "batch_resumable", "batch_retried")
EACH = 60


async def test_sigkill_in_a_batch_loses_no_job(site: Site) -> None:
    """Each job is taken up again, or has crashed, as its definition says; no runs overlap."""
    until = site.folder / "released"
    for _ in range(2):
        site.start_worker(concurrency=3)
    jobs = await site.processor.schedule_jobs(
        (kind, {"n": f"{kind}-{n}", "until": str(until)}) for kind in KINDS for n in range(EACH)
    )
    await site.until_started(2 * 3 * 20)  # each worker has all the batches that it may
    victim = site.workers[0]
    victim.kill()
    until.touch()
    held = {line["job"] for line in site.lines("start") if line["pid"] == victim.pid}
    assert len(held) == 3 * 20
    site.start_worker(concurrency=3)
    for _ in range(2):
        started = len(site.lines("start"))
        await site.until_started(min(started + 20, len(jobs)))
        random.choice([each for each in site.workers if each.ended_at is None]).kill()
        site.start_worker(concurrency=3)

    settled = await site.settled(jobs, timeout=3 * WAIT)
    await site.assert_nothing_runs(jobs)
    site.assert_no_overlap()
    done = {line["job"] for line in site.lines("end")}
    spans = site.spans()
    for job in settled:
        number = (job.payload or {})["n"]  # type: ignore[union-attr]  # none is of a cron
        if job.status is JobStatus.FINISHED:
            assert number in done
        else:
            assert job.output is not None
            assert job.output.error == CRASHED or job.crashes >= 3
            assert job.name == "batch" or job.crashes >= 3
        if job.name == "batch":
            assert len(spans[number]) == 1
            assert (job.status is JobStatus.ERRORED) or number not in held
        elif number in held:
            assert len(spans[number]) > 1
