"""Groups as whoever opens them meets them: filled, sealed, waited for, killed, retried."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    GroupClosedError,
    GroupNotFoundError,
    GroupStatus,
    InvalidArgumentError,
    JobProcessor,
    JobRequest,
    JobStatus,
    JobTimeoutError,
    SimpleJob,
)
from job_processor.models import Job
from job_processor.settings import GROUP_PAGE
from job_processor.store.requests import JobQuery
from tests.insides import store_of
from tests.processors import WAIT, Processors

pytestmark = pytest.mark.usefixtures("processors")


async def made(processors: Processors) -> JobProcessor:
    """Return a processor with jobs for groups."""
    processor = await processors.make()

    @processor.job
    async def resize(id: int, broken: bool = False) -> int:
        if broken:
            raise ValueError("no picture")
        return id * 10

    @processor.job("zip")
    async def zip_up(name: str = "all") -> None: ...

    @processor.job
    async def alert() -> None: ...

    @processor.job(exclusive=True)
    async def alone() -> None: ...

    return processor


async def jobs_named(processor: JobProcessor, name: str) -> tuple[Job, ...]:
    """Return the jobs of a name."""
    return (await processor.find_jobs(name)).jobs


async def test_a_group_from_its_opening_to_its_end(processors: Processors) -> None:
    """Members are added in the block, `then` follows once all have finished, and wait tells so."""
    processor = await made(processors)
    async with processor.group(then="zip", catch="alert") as group:
        assert (await group.info()).status is GroupStatus.OPEN
        for number in range(3):
            job = await group.add("resize", {"id": number})
            assert job.group == group.id
    info = await group.info()
    assert (info.status, info.then, info.catch) == (GroupStatus.RUNNING, "zip", "alert")
    with pytest.raises(JobTimeoutError):
        await group.wait(timeout=0)
    await processor.run_worker(burst=True)
    ended = await group.wait(timeout=WAIT)
    assert (ended.status, ended.round, ended.is_over) == (GroupStatus.FINISHED, 1, True)
    assert (str(ended.counts), ended.counts.finished, ended.counts.active) == ("3/3", 3, 0)
    assert [result async for result in group.results()] == [0, 10, 20]
    (callback,) = await jobs_named(processor, "zip")
    assert (callback.id, callback.callback_of) == (ended.callback_id, group.id)
    assert callback.status is JobStatus.FINISHED
    assert await jobs_named(processor, "alert") == ()
    found = await processor.find_jobs(group=group, status="finished")
    assert {job.id for job in found.jobs} == {job.id async for job in group.jobs()}


async def test_who_waits_is_told(processors: Processors) -> None:
    """Whoever waits learns of the end while workers run."""
    processor = await made(processors)
    await processors.worker(processor)
    group = await processor.schedule_group("resize", ({"id": n} for n in range(25)), then="zip")
    ended = await group.wait(timeout=WAIT)
    assert ended.counts.finished == 25
    assert ended.callback_id is not None
    assert (await processor.wait_for_job(ended.callback_id, WAIT)).status is JobStatus.FINISHED


async def test_payloads_are_streamed(processors: Processors) -> None:
    """Payloads come from any iterable, plain or async; handles keep their options."""
    processor = await made(processors)
    resize: Any = processor.registry.jobs["resize"]

    async def payloads() -> AsyncIterator[dict[str, int]]:
        for number in range(3):
            await asyncio.sleep(0)
            yield {"id": number}

    @processor.job
    async def small(id: int) -> int:
        return id

    del resize
    told: list[int] = []
    group = await processor.schedule_group(
        small.options(priority=4), payloads(), then="zip", on_progress=told.append
    )
    assert told == [3]
    assert {job.priority async for job in group.jobs()} == {4}
    async with processor.group() as other:
        await small.options(group=other).schedule(id=7)
        await other.add(small, {"id": 8}, priority=2)
        await other.add(small.request(id=9))
        await other.add_many([("small", {"id": 10}), JobRequest("small", {"id": 11})])
        await small.options(group=other).schedule_many([{"id": 12}])
    assert (await other.counts()).total == 6


async def test_one_that_failed(processors: Processors) -> None:
    """One member that does not finish is enough for `catch`; a retry begins another round."""
    processor = await made(processors)
    group = await processor.schedule_group(
        "resize", [{"id": 1}, {"id": 2, "broken": True}], then="zip", catch="alert"
    )
    await processor.run_worker(burst=True)
    info = await group.wait(timeout=WAIT)
    assert (info.status, info.counts.failed) == (GroupStatus.ERRORED, 1)
    assert str(info.counts) == "2/2, 1 failed"
    assert len(await jobs_named(processor, "alert")) == 1
    assert [result async for result in group.results()] == [10]
    assert await group.retry() == 1
    again = await group.info()
    assert (again.status, again.round) == (GroupStatus.RUNNING, 2)
    await processor.run_worker(burst=True)
    assert (await group.wait(timeout=WAIT)).round == 2
    assert len(await jobs_named(processor, "alert")) == 2
    assert await jobs_named(processor, "zip") == ()


async def test_a_retry_of_what_went_well_does_nothing(processors: Processors) -> None:
    """Where no member failed there is nothing to be retried, and no new round."""
    processor = await made(processors)
    group = await processor.schedule_group("resize", [{"id": 1}], then="zip")
    assert await group.retry() == 0
    await processor.run_worker(burst=True)
    assert await group.retry() == 0
    assert (await group.info()).round == 1


async def test_a_kill_ends_it(processors: Processors) -> None:
    """All members are killed, nothing is added any more, and `catch` follows."""
    processor = await made(processors)
    async with processor.group(then="zip", catch="alert") as group:
        await group.add_many([("resize", {"id": n}) for n in range(3)])
        assert await group.kill() == 3
        with pytest.raises(GroupClosedError, match="it was killed"):
            await group.add("resize", {"id": 9})
        with pytest.raises(GroupClosedError):
            await group.add_many([("resize", {"id": 9})])
    info = await group.info()
    assert (info.status, info.broken) == (GroupStatus.ERRORED, "it was killed")
    assert info.counts["killed"] == 3
    assert len(await jobs_named(processor, "alert")) == 1


async def test_a_block_that_raises_breaks_its_group_off(processors: Processors) -> None:
    """What was added goes on; `catch` follows, and never `then`."""
    processor = await made(processors)
    block = processor.group(then="zip", catch="alert")
    group = await block.__aenter__()
    await group.add("resize", {"id": 1})
    await block.__aexit__(RuntimeError, RuntimeError("lost"), None)
    await processor.run_worker(burst=True)
    info = await group.wait(timeout=WAIT)
    assert (info.status, info.counts.finished) == (GroupStatus.ERRORED, 1)
    assert info.broken == "the block that filled it raised RuntimeError"
    assert len(await jobs_named(processor, "alert")) == 1
    assert await jobs_named(processor, "zip") == ()


async def test_outsiders_add_nothing(processors: Processors) -> None:
    """A group is closed once its block is over, and to who only knows its id."""
    processor = await made(processors)
    async with processor.group(then="zip") as group:
        known = await processor.get_group(group.id)
        assert known == group
        with pytest.raises(GroupClosedError, match="only the block that opened it"):
            await known.add("resize", {"id": 1})
    for attempt in (group, known):
        with pytest.raises(GroupClosedError, match=r"context\.group\.add"):
            await attempt.add("resize", {"id": 1})
    with pytest.raises(GroupClosedError):
        await processor.schedule_jobs([JobRequest("resize", {"id": 1}, group=group)])
    assert (await processor.find_jobs("resize")).jobs == ()
    assert await processor.get_group(ObjectId()) is None


async def test_a_job_that_stands_in_is_no_member(processors: Processors) -> None:
    """A group waits for the jobs that it has made, and not for who holds their key."""
    processor = await made(processors)
    other = await processor.schedule_job("resize", {"id": 1}, unique_key="a")
    async with processor.group(then="zip") as group:
        assert (await group.add("resize", {"id": 1}, unique_key="a")).id == other.id
    assert (await group.info()).status is GroupStatus.FINISHED


async def test_a_skipped_member_has_failed(processors: Processors) -> None:
    """One that is stored as skipped has not finished."""
    processor = await made(processors)
    await processor.schedule_job("alone")
    async with processor.group(catch="alert") as group:
        assert (await group.add("alone")).status is JobStatus.SKIPPED
    assert (await group.info()).status is GroupStatus.ERRORED


REFUSED: list[tuple[Any, str]] = [
    ("nowhere", "nowhere"),
    (7, "then: 7 is not allowed; allowed is a name, a handle or a JobRequest"),
    (JobRequest("resize"), "id"),
    (JobRequest("zip", {"name": 7}), "name"),
    (JobRequest("zip", unique_key="a"), "then.unique_key"),
    (JobRequest("zip", expires_at=datetime(2100, 1, 1, tzinfo=UTC)), "then.expires_at"),
    (JobRequest("zip", scheduled_for=datetime(2100, 1, 1)), "scheduled_for"),  # noqa: DTZ001
]


@pytest.mark.parametrize(("then", "told"), REFUSED, ids=range(len(REFUSED)))
async def test_a_callback_that_cannot_be_is_refused_at_once(
    processors: Processors, then: Any, told: str
) -> None:
    """Before anything is stored: a callback that fails in an hour helps nobody."""
    processor = await made(processors)
    with pytest.raises(InvalidArgumentError, match=told):
        async with processor.group(then=then):
            pytest.fail("it was opened")
    assert await processor.find_groups() == []


async def test_other_bad_input(processors: Processors) -> None:
    """Errors name the argument, and what to write."""
    processor = await made(processors)
    with pytest.raises(InvalidArgumentError, match="payloads"):
        await processor.schedule_group("resize", {"id": 1})
    with pytest.raises(InvalidArgumentError, match="name"):
        await processor.schedule_group(7, [])  # type: ignore[arg-type]
    async with processor.group() as group:
        with pytest.raises(InvalidArgumentError, match=r"allowed are .*priority"):
            await group.add("resize", {"id": 1}, prio=3)
        with pytest.raises(InvalidArgumentError, match="JobRequest"):
            await group.add(JobRequest("zip"), {"name": "a"})
        with pytest.raises(InvalidArgumentError, match="name, a handle"):
            await group.add(7)
        with pytest.raises(InvalidArgumentError, match="session"):
            await processor.schedule_jobs([JobRequest("zip", group=group)], session=object())
        with pytest.raises(InvalidArgumentError, match=r"context\.group"):
            await processor.schedule_jobs([JobRequest("zip", group=group.id)])  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="group"):
            await processor.find_jobs(group="no id")
        assert (await group.counts()).total == 0
    with pytest.raises(InvalidArgumentError, match="limit"):
        await processor.find_groups(limit=101)


async def test_a_callback_has_what_was_asked_for(processors: Processors) -> None:
    """Payload and options are those of the request; spans count from the end of the group."""
    processor = await made(processors)
    then = JobRequest("zip", {"name": "b"}, timedelta(hours=1), 7, timedelta(hours=2))
    async with processor.group(then=then) as group:
        pass
    ended = await group.info()
    (job,) = await jobs_named(processor, "zip")
    assert isinstance(job, SimpleJob)
    assert (job.payload, job.priority) == ({"name": "b"}, 7)
    assert ended.completed_at is not None
    assert job.scheduled_for == ended.completed_at + timedelta(hours=1)
    assert job.expires_at == ended.completed_at + timedelta(hours=2)


async def test_a_group_that_is_gone(processors: Processors) -> None:
    """History has removed it: who asks for it is told."""
    processor = await made(processors)
    async with processor.group() as group:
        pass
    await store_of(processor).history.prune(datetime.now(UTC) + timedelta(days=1), 10)
    for ask in (group.info, group.wait, group.kill, group.retry):
        with pytest.raises(GroupNotFoundError, match=str(group.id)):
            await ask()


async def test_groups_are_found(processors: Processors) -> None:
    """The newest first, a page at a time."""
    processor = await made(processors)
    groups = [await processor.schedule_group("resize", []) for _ in range(3)]
    first = await processor.find_groups(limit=2)
    assert [each.id for each in first] == [groups[2].id, groups[1].id]
    rest = await processor.find_groups(after=first[-1].id)
    assert [each.id for each in rest] == [groups[0].id]


async def test_results_are_read_as_they_are_asked_for(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page, so that a group of any size takes no more memory than one page."""
    processor = await made(processors)
    group = await processor.schedule_group("resize", [{"id": n} for n in range(3 * GROUP_PAGE)])
    await processor.run_worker(burst=True)
    history = store_of(processor).history
    find, pages = history.find, 0

    async def counted(query: JobQuery) -> list[Job]:
        nonlocal pages
        pages += 1
        return await find(query)

    monkeypatch.setattr(history, "find", counted)
    seen = [pages async for _ in group.results()]
    assert len(seen) == 3 * GROUP_PAGE
    assert seen == sorted([1, 2, 3] * GROUP_PAGE)
