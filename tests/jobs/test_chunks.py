"""Many jobs at once: any iterable, in chunks, with progress; a failure says what is not stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from job_processor import (
    BulkError,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobRequest,
    StoreUnavailableError,
    UnknownJobError,
)
from job_processor.jobs import chunks
from job_processor.models import Job
from tests.insides import store_of
from tests.processors import WAIT, Processors

BATCH = 100
"""Jobs of a chunk here: a tenth of what it is."""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tests write a tenth of what they would have to, to see several chunks."""
    monkeypatch.setattr(chunks, "SCHEDULE_BATCH", BATCH)
    monkeypatch.setattr(chunks, "_SLICE", BATCH // 10)


def echo(payload: Any) -> Any:
    """Return what it was given."""
    return payload


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with one job."""
    return await processors.make(jobs={"echo": JobDef(echo)})


async def count(processor: JobProcessor) -> int:
    """Return how many jobs are stored."""
    total, after = 0, None
    while True:
        page = await processor.find_jobs(limit=1000, after=after)
        total, after = total + len(page.jobs), page.next
        if after is None:
            return total


async def test_more_than_one_chunk(processor: JobProcessor) -> None:
    """All are stored, in order; progress is told after each write."""
    told: list[int] = []
    wanted = 2 * BATCH + 50
    jobs = await processor.schedule_jobs(
        (("echo", {"n": n}) for n in range(wanted)), on_progress=told.append
    )
    assert [job.payload for job in jobs] == [{"n": n} for n in range(wanted)]
    assert told == [100, 200, 250]
    assert await count(processor) == wanted


async def test_an_async_iterable(processor: JobProcessor) -> None:
    """A source that has to be waited for, and a progress that is awaited."""
    told: list[int] = []

    async def source() -> AsyncIterator[JobRequest]:
        for n in range(BATCH + 1):
            yield JobRequest("echo", {"n": n}, priority=n % 10)

    async def tell(written: int) -> None:
        told.append(await count(processor))
        assert told[-1] == written

    jobs = await processor.schedule_jobs(source(), on_progress=tell)
    assert [job.priority for job in jobs[:12]] == [*range(10), 0, 1]
    assert told == [100, 101]


async def test_a_source_that_waits_for_what_it_gave(processor: JobProcessor) -> None:
    """Progress is told before more is asked for, where the source has to be waited for."""
    told = asyncio.Event()

    async def source() -> AsyncIterator[str]:
        for _ in range(BATCH):
            yield "echo"
        await told.wait()
        yield "echo"

    async with asyncio.timeout(WAIT):
        jobs = await processor.schedule_jobs(source(), on_progress=lambda _: told.set())
    assert len(jobs) == BATCH + 1


async def test_a_source_that_fails(processor: JobProcessor) -> None:
    """What it gave before is stored and told, and its own error comes out."""
    told: list[int] = []

    def source() -> Iterator[str]:
        yield from ["echo"] * (BATCH + 1)
        raise OSError("the file is gone")

    with pytest.raises(OSError, match="gone"):
        await processor.schedule_jobs(source(), on_progress=told.append)
    assert told == [BATCH]
    assert await count(processor) == BATCH


async def test_a_caller_that_gives_up(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is stored behind its back."""
    asked, never = asyncio.Event(), asyncio.Event()

    async def insert(jobs: Sequence[Job]) -> list[Job]:
        asked.set()
        await never.wait()
        return []

    monkeypatch.setattr(store_of(processor).intake, "insert", insert)
    before = asyncio.all_tasks()
    call = asyncio.create_task(processor.schedule_jobs(["echo"] * 250))
    await asked.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert asyncio.all_tasks() <= before


async def test_others_go_on_meanwhile(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event loop is not held up for as long as a chunk takes to be made."""
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count_turns())
    at: list[int] = []

    def source() -> Iterator[str]:
        at.append(turns)
        yield from ["echo"] * BATCH

    async def insert(jobs: Sequence[Job]) -> list[Job]:
        at.append(turns)
        return await write(jobs)

    store = store_of(processor)
    write = store.intake.insert
    monkeypatch.setattr(store.intake, "insert", insert)
    await processor.schedule_jobs(source())
    other.cancel()
    taken, made = at
    assert made - taken >= 10


async def test_chunks_are_taken_one_after_the_other(processor: JobProcessor) -> None:
    """No more than the next one is taken while one is written, and nothing need be kept."""
    taken = 0
    ahead: list[int] = []

    def source() -> Iterator[str]:
        nonlocal taken
        for _ in range(3 * BATCH):
            taken += 1
            yield "echo"

    jobs = await processor.schedule_jobs(
        source(), on_progress=lambda written: ahead.append(taken - written), return_jobs=False
    )
    assert jobs == []
    assert ahead == [BATCH, BATCH, 0]
    assert await count(processor) == 3 * BATCH


async def test_nothing_at_all(processor: JobProcessor) -> None:
    """Is no error, and no progress."""
    told: list[int] = []
    assert await processor.schedule_jobs([], on_progress=told.append) == []
    assert told == []
    with pytest.raises(InvalidArgumentError, match="jobs: <a int>"):
        await processor.schedule_jobs(7)  # type: ignore[arg-type]  # what is tested


async def test_a_bad_one_in_a_later_chunk(processor: JobProcessor) -> None:
    """What was stored before stays; the error tells where it stopped, and why."""
    requests = [("echo",)] * 120 + [("nothing",)] + [("echo",)] * 90
    with pytest.raises(BulkError, match=r"100 jobs were stored, 100 were not: jobs\[120\]") as e:
        await processor.schedule_jobs(requests)
    assert (e.value.written, e.value.unknown) == (100, ())
    assert e.value.not_written == tuple(range(100, 200))
    assert isinstance(e.value.__cause__, UnknownJobError)
    assert await count(processor) == 100
    with pytest.raises(UnknownJobError, match=r"jobs\[3\]"):  # in the first one: nothing is stored
        await processor.schedule_jobs(["echo"] * 3 + ["nothing"])
    assert await count(processor) == 100


class Faulty:
    """A store's insert that fails at the second chunk, after a part of it."""

    def __init__(self, processor: JobProcessor, *, stays_away: bool) -> None:
        self._insert = store_of(processor).intake.insert
        self._get_many = store_of(processor).history.get_many
        self._stays_away = stays_away
        self._calls = 0

    async def insert(self, jobs: Sequence[Job]) -> list[Job]:
        """Do as the store does, but fail the second time."""
        self._calls += 1
        if self._calls != 2:
            return await self._insert(jobs)
        await self._insert(jobs[:30])
        raise StoreUnavailableError("it does not answer")

    async def get_many(self, job_ids: Any) -> list[Job]:
        """Do as the store does, unless it stays away."""
        if self._stays_away:
            raise StoreUnavailableError("it does not answer")
        return await self._get_many(job_ids)


@pytest.mark.parametrize("stays_away", [False, True])
async def test_a_chunk_that_fails_in_part(
    processor: JobProcessor, monkeypatch: pytest.MonkeyPatch, stays_away: bool
) -> None:
    """Its jobs are looked up: exactly those that are not there are named, if anybody knows.

    So are those of the next one, which was taken from the source already.
    """
    faulty = Faulty(processor, stays_away=stays_away)
    monkeypatch.setattr(store_of(processor).intake, "insert", faulty.insert)
    monkeypatch.setattr(store_of(processor).history, "get_many", faulty.get_many)
    with pytest.raises(BulkError, match="it does not answer") as caught:
        await processor.schedule_jobs(["echo"] * 250)
    error = caught.value
    assert isinstance(error.__cause__, StoreUnavailableError)
    if stays_away:
        assert (error.written, error.not_written) == (100, tuple(range(200, 250)))
        assert error.unknown == tuple(range(100, 200))
    else:
        assert (error.written, error.unknown) == (130, ())
        assert error.not_written == tuple(range(130, 250))
    assert await count(processor) == 130


@pytest.mark.parametrize("jobs", [{"echo": {"secret": "hunter2"}}, "echo", b"echo"])
async def test_what_is_iterable_and_no_list_of_jobs(processor: JobProcessor, jobs: Any) -> None:
    """A mapping of names to payloads, whose payloads would be lost, is told how to be written."""
    with pytest.raises(InvalidArgumentError, match=r"list\(payloads\.items\(\)\)") as raised:
        await processor.schedule_jobs(jobs)
    assert "hunter2" not in str(raised.value)
    assert await count(processor) == 0
    payloads = {"echo": {"n": 1}}
    (job,) = await processor.schedule_jobs(payloads.items())
    assert job.payload == {"n": 1}
