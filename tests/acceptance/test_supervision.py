"""A part of the worker that dies takes the worker with it, loudly, and no job."""

from __future__ import annotations

from job_processor import JobStatus
from tests.acceptance.workers import Site


async def test_a_part_that_dies_ends_the_worker(site: Site) -> None:
    """The process leaves with status 1 and says which part; what it ran is taken up elsewhere."""
    worker = site.start_worker(broken="scheduler", crons={"tick": "0 0 1 1 *"})
    jobs = await site.processor.schedule_jobs(("resumable", {"seconds": 1}) for _ in range(5))
    assert await worker.wait() == 1, worker.log
    assert "the scheduler died; the worker stops" in worker.log
    assert "RuntimeError: a bug" in worker.log
    assert (await site.processor.get_healthcheck())["workers"] == []
    site.start_worker()
    settled = await site.settled(jobs)
    assert {job.status for job in settled} == {JobStatus.FINISHED}
    site.assert_no_overlap()
