"""A kill of a flow that races with the release of its jobs."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor import JobDef, JobProcessor, JobStatus
from job_processor.models import SimpleJob
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors


class Killing:
    """Kills a flow around the first release that its worker makes."""

    def __init__(self, processor: JobProcessor, flow: Any, when: str) -> None:
        self.processor = processor
        self.flow = flow
        self.when = when
        self.killed = 0
        waits = store_of(processor).waits
        self.release = waits._release
        waits._release = self.released  # type: ignore[assignment, method-assign]  # a spy

    async def released(self, *arguments: Any) -> Any:
        """Release, and kill before or after that."""
        if self.when == "before":
            await self.kill()
        answer = await self.release(*arguments)
        if self.when == "after":
            await self.kill()
        return answer

    async def kill(self) -> None:
        """Kill the flow, once."""
        if not self.killed:
            self.killed = 1  # what it does releases itself
            self.killed = (await self.processor.kill_flow(self.flow.id)).done


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_kill_beside_a_release(processors: Processors, when: str) -> None:
    """Nothing of the flow runs afterwards, nothing stands, and each was killed, not skipped."""
    processor = await processors.make(jobs={"task": JobDef(nothing)}, concurrency=1)
    flow = processor.flow()
    first = flow.add("task")
    parts = flow.add_many("task", [None] * 20, after=first)
    last = flow.add("task", after=parts)
    flow.add("task", after=last)
    jobs: list[SimpleJob] = await flow.start()
    killing = Killing(processor, flow, when)
    await processor.run_worker(burst=True)
    found = [await processor.get_job(job.id) for job in jobs]
    statuses = [job.status for job in found if job is not None]
    assert statuses[0] is JobStatus.FINISHED
    assert set(statuses[1:]) <= {JobStatus.KILLED, JobStatus.FINISHED}  # it had begun by then
    assert statuses[-2:] == [JobStatus.KILLED] * 2
    assert killing.killed == 22 or when == "after"
