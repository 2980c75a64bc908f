"""Handlers that add to the flow of their job while they run."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor import JobDef, JobStateError
from job_processor.handlers.context import Context
from tests.processors import Processors
from tests.worker import process_handlers


class Growing:
    """Handlers that add to the flow of their job while they run."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    async def split(self, context: Context) -> None:
        """Add two, and one that comes after them and this one."""
        parts = await context.flow.add_many("part", [{"n": n} for n in range(2)])
        await context.flow.add("last", after=[*parts, context.job])
        assert context.flow.name == "import"

    def split_sync(self, context: Context) -> None:
        """The same, in a thread."""
        parts = context.flow.add_many_sync("part", [{"n": n} for n in range(2)])
        context.flow.add_sync("last", after=[*parts, context.job])

    async def part(self, payload: dict[str, Any]) -> None:
        """Note what ran."""
        self.ran.append(f"part {payload['n']}")

    async def last(self, context: Context) -> None:
        """Note what ran, and what it came after."""
        self.ran.append(f"last of {len(context.job.parents)}")

    def jobs(self, split: Any, **options: Any) -> dict[str, JobDef]:
        """Return the definitions."""
        return {
            "split": JobDef(split, **options),
            "part": JobDef(self.part),
            "last": JobDef(self.last),
        }


@pytest.mark.parametrize("kind", ["coroutine", "thread", "process"])
async def test_a_job_adds_to_its_flow(processors: Processors, kind: str) -> None:
    """What it adds is of the flow, and may come after the job that adds it."""
    growing = Growing()
    handler: Any = {
        "coroutine": growing.split,
        "thread": growing.split_sync,
        "process": process_handlers.split,
    }[kind]
    options: dict[str, Any] = {"executor": "process"} if kind == "process" else {}
    processor = await processors.make(jobs=growing.jobs(handler, **options))
    flow = processor.flow("import")
    flow.add("split")
    await flow.start()
    await processor.run_worker(burst=True)
    assert sorted(growing.ran[:2]) == ["part 0", "part 1"]
    assert growing.ran[2:] == ["last of 3"]
    assert await processor.count_jobs(flow=flow.id, status="finished") == 4


async def test_a_job_of_no_flow_adds_to_none(processors: Processors) -> None:
    """It is told so; one that runs no more adds nothing either."""
    kept: list[Context] = []

    async def keep(context: Context) -> None:
        kept.append(context)

    processor = await processors.make(jobs={"keep": JobDef(keep)})
    await processor.schedule_job("keep")
    await processor.run_worker(burst=True)
    with pytest.raises(JobStateError, match="is of no flow"):
        _ = kept[0].flow
    await processor.chain("keep").start()
    await processor.run_worker(burst=True)
    with pytest.raises(JobStateError, match="runs no more"):
        await kept[1].flow.add("keep")
