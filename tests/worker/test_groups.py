"""Groups as their members and callbacks meet them, and what a sweep does for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from job_processor import (
    Clock,
    Context,
    GroupClosedError,
    GroupStatus,
    JobDef,
    JobProcessor,
    JobStateError,
    JobStatus,
)
from job_processor.settings import GROUP_LEFT
from job_processor.store.requests import Outcome, Settlement
from job_processor.worker.group_sweeper import GroupSweeper
from tests.insides import engine_of, store_of
from tests.processors import WAIT, Processors
from tests.samples import claim
from tests.worker import process_handlers


async def branch(context: Context, depth: int) -> int:
    """Add two members, which do the same."""
    if depth:
        for _ in range(2):
            await context.group.add("branch", {"depth": depth - 1})
    return depth


def branch_sync(context: Context, depth: int) -> int:
    """Do the same in a thread."""
    if depth:
        context.group.add_sync("branch", {"depth": depth - 1})
        context.group.add_many_sync([("branch", {"depth": depth - 1})])
    return depth


async def summed(context: Context) -> int:
    """Return the sum of all results."""
    with pytest.raises(GroupClosedError):
        await context.group.add("branch", {"depth": 0})
    return sum([each async for each in context.group.results()])


def summed_sync(context: Context) -> int:
    """Do the same in a thread."""
    assert context.group.info_sync().status is GroupStatus.FINISHED
    assert context.group.counts_sync().finished == 7
    return sum(context.group.results_sync())


BRANCHES: dict[str, tuple[JobDef, JobDef]] = {
    "async": (JobDef(branch), JobDef(summed)),
    "thread": (JobDef(branch_sync), JobDef(summed_sync)),
    "process": (
        JobDef(process_handlers.branch, executor="process"),
        JobDef(process_handlers.summed, executor="process"),
    ),
}


@pytest.mark.parametrize("kind", BRANCHES)
async def test_members_add_members(processors: Processors, kind: str) -> None:
    """What a member adds while it runs is waited for, and the callback sees all results."""
    of_member, of_callback = BRANCHES[kind]
    processor = await processors.make(jobs={"branch": of_member, "summed": of_callback})
    group = await processor.schedule_group("branch", [{"depth": 2}], then="summed")
    await processor.run_worker(burst=True)
    info = await group.wait(timeout=WAIT)
    assert info.counts.finished == 7
    assert info.callback_id is not None
    callback = await processor.wait_for_job(info.callback_id, WAIT)
    assert callback.result() == 2 + 2 * 1


async def test_who_is_in_no_group_has_none(processors: Processors) -> None:
    """A handler of a job without a group that asks for it is told what to write."""
    told: list[str] = []

    async def lonely(context: Context) -> None:
        with pytest.raises(JobStateError) as caught:
            _ = context.group
        told.append(str(caught.value))

    processor = await processors.make(jobs={"lonely": JobDef(lonely)})
    await processor.run_job("lonely")
    assert "async with processor.group(…)" in told[0]


async def test_a_member_that_has_ended_adds_nothing(processors: Processors) -> None:
    """A group that was kept beyond the run of its member is closed."""
    kept: list[Any] = []

    async def keep(context: Context) -> None:
        kept.append(context.group)

    processor = await processors.make(jobs={"keep": JobDef(keep)})
    group = await processor.schedule_group("keep", [{}])
    await processor.run_worker(burst=True)
    await group.wait(timeout=WAIT)
    with pytest.raises(GroupClosedError):
        await kept[0].add("keep")


async def test_jobs_come_after_a_group(processors: Processors) -> None:
    """A job is released by the end of the group that it comes after, or skipped by its failure."""

    async def part(broken: bool = False) -> None:
        if broken:
            raise ValueError("no")

    processor = await processors.make(jobs={"part": JobDef(part), "report": JobDef(nothing)})
    async with processor.group() as group, processor.group() as bad, processor.group() as third:
        await group.add("part")
        await bad.add("part", {"broken": True})
        waiting = await processor.schedule_job("report", after=[group])
        stuck = await processor.schedule_job("report", after=[group, bad])
        member = await third.add("report", after=[bad])
    assert waiting.parked == "parent"
    await processor.run_worker(burst=True)
    assert (await processor.wait_for_job(waiting.id, WAIT)).status is JobStatus.FINISHED
    skipped = await processor.wait_for_job(stuck.id, WAIT)
    assert skipped.status is JobStatus.SKIPPED
    assert (await processor.wait_for_job(member.id, WAIT)).status is JobStatus.SKIPPED
    assert (await bad.info()).status is GroupStatus.ERRORED
    assert (await third.wait(timeout=WAIT)).counts.failed == 1
    late = await processor.schedule_job("report", after=bad, on_parent_failure="run")
    assert late.parked is None


# --- the sweep ----------------------------------------------------------------------------------


async def nothing() -> None:
    """Do nothing."""


async def prepared(processors: Processors) -> tuple[JobProcessor, GroupSweeper]:
    """Return a processor without a worker, and what sweeps for it."""
    jobs = {name: JobDef(nothing) for name in ("part", "zip", "alert")}
    processor = await processors.make(jobs=jobs, worker_timeout=60.0)
    return processor, GroupSweeper(engine_of(processor))


async def callbacks(processor: JobProcessor) -> list[str]:
    """Return the names of the callbacks that were made."""
    names = [(await processor.find_jobs(name)).jobs for name in ("zip", "alert")]
    return [job.name for jobs in names for job in jobs]


async def test_the_sweep_does_what_is_owed(processors: Processors) -> None:
    """Whoever ended a group died before its callback was stored: the sweep stores it."""
    processor, sweeper = await prepared(processors)
    store = store_of(processor)
    async with processor.group(then="zip") as group:
        await group.add("part")
        record = await store.groups.get(group.id)
        assert record is not None
        await store.kills.kill_waiting(
            (await processor.find_jobs("part")).jobs[0].id, record.created_at
        )
        await store.history.delete([job.id async for job in group.jobs()])
        await store.groups._seal(group.id, None)
    assert await callbacks(processor) == []
    assert await store.groups.complete(group.id) is not None
    assert await sweeper.sweep()
    assert await callbacks(processor) == ["zip"]
    assert not await sweeper.sweep(), "nothing is left"


async def test_the_sweep_ends_what_nobody_looked_at(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ended the last member died before it looked: the sweep looks."""
    processor, sweeper = await prepared(processors)
    store = store_of(processor)
    async with processor.group(then="zip"):
        monkeypatch.setattr(store.groups, "look", _nothing)
    monkeypatch.undo()
    assert await callbacks(processor) == []
    assert await sweeper.sweep()
    assert await callbacks(processor) == ["zip"]


async def _nothing(_: object) -> None:
    return None


async def test_the_sweep_mends_what_an_older_program_settled(processors: Processors) -> None:
    """A member that was settled by who knows no groups leaves none open for ever."""
    processor, sweeper = await prepared(processors)
    store = store_of(processor)
    group = await processor.schedule_group("part", [{}, {}], then="zip", catch="alert")
    runs = await store.queue.claim(claim(2, "part", now=_later()))
    ends = [
        Settlement(replace(run, group=None), Outcome(status, _later()), run.worker_id or run.id)
        for run, status in zip(runs, (JobStatus.FINISHED, JobStatus.ERRORED), strict=True)
    ]
    assert len((await store.runs.settle(ends)).won) == 2
    assert await callbacks(processor) == []
    await sweeper.sweep()
    assert await callbacks(processor) == ["alert"]
    assert (await group.info()).status is GroupStatus.ERRORED


def _later() -> Any:
    return Clock().now() + timedelta(seconds=5)


async def test_the_sweep_breaks_off_what_was_left_open(processors: Processors) -> None:
    """Whoever filled a group is gone: after ten minutes it cannot end well, but it ends."""
    processor, sweeper = await prepared(processors)
    block = processor.group(then="zip", catch="alert")
    group = await block.__aenter__()
    records = await store_of(processor).groups.unfinished(None, 10)
    now = records[0].touched_at
    await sweeper.look_after(records, now + timedelta(seconds=GROUP_LEFT - 1))
    assert await callbacks(processor) == []
    await sweeper.look_after(records, now + timedelta(seconds=GROUP_LEFT))
    assert await callbacks(processor) == ["alert"]
    for attempt in (group.add("part"), block.__aexit__(None, None, None)):
        with pytest.raises(GroupClosedError, match="has not been seen for 10 minutes"):
            await attempt
    assert (await group.info()).status is GroupStatus.ERRORED


async def test_one_of_many_sweeps(processors: Processors) -> None:
    """Within a `worker_timeout` one worker does, whoever wins."""
    processor, sweeper = await prepared(processors)
    async with processor.group():
        assert await sweeper.sweep()
        assert not await sweeper.sweep()
