"""Each way that a job ends, with each rule of what comes after it, attached at each time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from job_processor import Context, InvalidArgumentError, JobDef, JobProcessor, JobStatus, SimpleJob
from tests.processors import Processors

ENDS = ("finished", "errored", "killed", "expired", "deleted")
RULES = ("skip", "run", "wait")
TIMES = ("before its end", "while it runs", "after its end")


class Family:
    """A parent that ends in one way, and a child of one rule that is attached at some time."""

    processor: JobProcessor
    child: SimpleJob

    def __init__(self, end: str, rule: Any, time: str) -> None:
        self.end, self.rule, self.time = end, rule, time

    def jobs(self) -> dict[str, JobDef]:
        """Return the definitions."""
        return {"parent": JobDef(self.parent), "child": JobDef(self.run)}

    async def run(self) -> None:
        """Do nothing."""

    async def parent(self, context: Context) -> None:
        """End in its way, as far as a run does so."""
        if self.time == "while it runs":
            await self.attach(context.job)
        if self.end == "killed":
            await self.processor.kill_job(context.job.id)
            await asyncio.Event().wait()
        if self.end == "errored":
            raise ValueError("no")

    async def attach(self, parent: Any) -> None:
        """Schedule the child."""
        schedule = self.processor.schedule_job
        self.child = await schedule("child", after=parent, on_parent_failure=self.rule)

    async def live(self) -> None:
        """Let the parent come and end, and the child with it."""
        options: dict[str, Any] = {}
        if self.end == "expired":
            options["expires_at"] = timedelta(milliseconds=1)
        parent = await self.processor.schedule_job("parent", **options)
        if self.time == "before its end":
            await self.attach(parent)
        if self.end == "expired":
            await asyncio.sleep(0.002)  # the time of its expiry, by the clock
        if self.end == "deleted":
            await self.processor.delete_job(parent.id)
        else:
            await self.processor.run_worker(burst=True)
        if self.time == "after its end":
            await self.attach(parent)
        await self.processor.run_worker(burst=True)


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("end", ENDS)
async def test_each_end_with_each_rule_at_each_time(
    processors: Processors, end: str, rule: str, time: str
) -> None:
    """The rule decides, and nothing else: neither how it failed, nor when that was.

    What is gone is waited for no more, and nothing can be made to come after it.
    """
    if time == "while it runs" and end in ("expired", "deleted"):
        pytest.skip("what runs neither expires nor can be deleted")
    family = Family(end, rule, time)
    processor = family.processor = await processors.make(jobs=family.jobs())
    if (end, time) == ("deleted", "after its end"):
        with pytest.raises(InvalidArgumentError, match="nothing of this id"):
            await family.live()
        return
    await family.live()
    child = await processor.get_job(family.child.id)
    failed = {
        "skip": JobStatus.SKIPPED,
        "run": JobStatus.FINISHED,
        "wait": JobStatus.SKIPPED if end == "deleted" else JobStatus.PENDING,
    }
    assert child is not None
    assert child.status is (JobStatus.FINISHED if end == "finished" else failed[rule])
