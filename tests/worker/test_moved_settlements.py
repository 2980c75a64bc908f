"""Ends that are on their way while their worker takes another id: they are written under that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from bson import ObjectId

from job_processor import JobDef, JobStatus, Output
from job_processor.errors import StoreUnavailableError
from job_processor.parts import parts_of
from job_processor.store.requests import Outcome, Settlement, Verdict
from job_processor.tasks import cancel
from job_processor.worker.gate import Gate
from job_processor.worker.runs import Run, Runs
from job_processor.worker.settler import RunSettlement, Settler
from tests.processors import WAIT, Processors
from tests.samples import NOW, SOON, WORKER, simple

NEW = ObjectId()


async def report(settled: Sequence[RunSettlement]) -> None:
    """Tell nobody."""


@pytest.mark.parametrize("sent", [False, True], ids=["waiting", "sent"])
async def test_an_end_follows_its_run_to_another_id(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, sent: bool
) -> None:
    """Whether the worker moves before the end is sent, or after it, with no reply."""
    definition = JobDef(None)
    processor = await processors.make(jobs={"a": definition})
    parts, runs = parts_of(processor), Runs()
    job = simple("a", at=NOW, status=JobStatus.RUNNING, started_at=NOW, worker_id=WORKER)
    await parts.store.intake.insert([job])
    run = Run(job, definition, of_worker=True)
    runs.add(run)

    async def move() -> None:
        assert await parts.store.runs.move(WORKER, NEW) == {job.id}
        run.job = replace(run.job, worker_id=NEW)

    settle = parts.store.runs.settle

    async def unanswered(settlements: Sequence[Settlement]) -> Verdict:
        monkeypatch.setattr(parts.store.runs, "settle", settle)
        await move()
        raise StoreUnavailableError("away")

    settler = Settler(parts, Gate(), runs, report, lambda *_: True)
    settler.add(run, Outcome(JobStatus.FINISHED, SOON, Output("1ms")))
    if sent:
        monkeypatch.setattr(parts.store.runs, "settle", unanswered)
    else:
        await move()
    writing = asyncio.create_task(settler.run())
    try:
        async with asyncio.timeout(WAIT):
            await settler.drained()
    finally:
        await cancel([writing])
    found = await processor.get_job(job.id)
    assert found is not None
    assert (found.status, found.worker_id) == (JobStatus.FINISHED, NEW)
    assert job.id not in runs
