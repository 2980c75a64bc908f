"""Workers under the strict validator of the Node package: no outcome is lost to it."""

from __future__ import annotations

import pytest

from job_processor import JobDef, Retry
from tests.node.databases import install_node_validator
from tests.processors import Processors
from tests.worker.deaths import die_holding
from tests.worker.probe import Probe, ended

pytestmark = pytest.mark.mongo


async def test_a_retry_that_cannot_be_counted_ends_with_its_own_error(
    mongo_db_url: str, probe: Probe
) -> None:
    """The first failure is final, keeps the handler's error, and is hooked; others go on."""

    async def handler(payload: dict[str, int]) -> int:
        if payload["n"] % 2:
            raise ValueError("it was me")
        return payload["n"]

    definition = JobDef(handler, on_job_exited=probe.exit_hook, retry=Retry(delay=0))
    async with Processors(mongo_db_url) as processors:
        processor = await processors.make(jobs={"a": definition})
        await install_node_validator(mongo_db_url)
        made = await processor.schedule_jobs(("a", {"n": n}) for n in range(6))
        worker = await processors.worker(processor)
        jobs = [await ended(processor, job) for job in made]
        await worker.stop()
    assert [job.status for job in jobs] == ["finished", "errored"] * 3
    assert all("it was me" in str(job.output.error) for job in jobs[1::2] if job.output)
    assert sorted(job.id for job in probe.exited) == sorted(job.id for job in made)


async def test_a_crash_of_a_job_with_a_retry_is_rescued(mongo_db_url: str, probe: Probe) -> None:
    """What cannot be retried ends errored, once each, and keeps no other from its rescue."""
    jobs = {
        "retried": JobDef(probe.held, on_job_exited=probe.exit_hook, retry=Retry(delay=0)),
        "plain": JobDef(probe.held, on_job_exited=probe.exit_hook),
    }
    async with Processors(mongo_db_url) as processors:
        processor = await processors.make(jobs=jobs)
        await install_node_validator(mongo_db_url)
        made = await processor.schedule_jobs(["retried", "plain", "retried", "plain"])
        await die_holding(processor, list(jobs))
        worker = await processors.worker(processor)
        settled = [await ended(processor, job) for job in made]
        await worker.stop()
    assert {job.status for job in settled} == {"errored"}
    assert {job.output.error for job in settled if job.output} == {"Worker crashed unexpectedly"}
    assert sorted(job.id for job in probe.exited) == sorted(job.id for job in made)
