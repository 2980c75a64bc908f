"""Jobs that come after others, as a user meets them: scheduled, released, skipped, brought back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    CronDef,
    InvalidArgumentError,
    JobConflictError,
    JobDef,
    JobProcessor,
    JobRequest,
    JobStatus,
    Retry,
)
from job_processor.jobs import after as after_jobs
from job_processor.models import SimpleJob
from job_processor.parts import parts_of
from tests.desks import dead
from tests.processors import WAIT, Processors
from tests.samples import cron


class Tasks:
    """Handlers that note the order in which they ran, and fail when told to."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.fails: set[str] = set()

    async def run(self, payload: dict[str, Any]) -> str:
        """Run, or fail."""
        self.ran.append(payload["as"])
        if payload["as"] in self.fails:
            raise ValueError(payload["as"])
        return str(payload["as"])

    def jobs(self, **options: Any) -> dict[str, JobDef]:
        """Return the definition."""
        return {"task": JobDef(self.run, **options)}


async def add(processor: JobProcessor, name: str, *after: SimpleJob, **options: Any) -> SimpleJob:
    """Schedule a task that is to come after others."""
    return await processor.schedule_job("task", {"as": name}, after=list(after), **options)


async def states(processor: JobProcessor, *jobs: SimpleJob) -> list[JobStatus]:
    """Return the states of jobs."""
    found = [await processor.get_job(job.id) for job in jobs]
    return [job.status for job in found if job is not None]


FINISHED, ERRORED, SKIPPED, PENDING = (
    JobStatus.FINISHED,
    JobStatus.ERRORED,
    JobStatus.SKIPPED,
    JobStatus.PENDING,
)


async def test_a_diamond(processors: Processors) -> None:
    """What comes after two others runs once both have finished."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    top = await add(processor, "top")
    left, right = await add(processor, "left", top), await add(processor, "right", top)
    bottom = await add(processor, "bottom", left, right)
    await processor.run_worker(burst=True)
    assert tasks.ran[0] == "top"
    assert sorted(tasks.ran[1:3]) == ["left", "right"]
    assert tasks.ran[3:] == ["bottom"]
    assert await states(processor, bottom) == [FINISHED]


@pytest.mark.parametrize(
    ("rule", "status"), [("skip", SKIPPED), (None, SKIPPED), ("run", FINISHED), ("wait", PENDING)]
)
@pytest.mark.parametrize("ended", [False, True], ids=["attached before", "attached after"])
async def test_what_a_failure_leads_to(
    processors: Processors, rule: Any, status: JobStatus, ended: bool
) -> None:
    """By the rule of what comes after it, whether it had failed already or not."""
    tasks = Tasks()
    tasks.fails = {"a"}
    processor = await processors.make(jobs=tasks.jobs())
    a = await add(processor, "a")
    if ended:
        await processor.run_worker(burst=True)
    b = await add(processor, "b", a, on_parent_failure=rule)
    c = await add(processor, "c", b)
    await processor.run_worker(burst=True)
    assert await states(processor, a, b) == [ERRORED, status]
    assert await states(processor, c) == [status]
    if status is SKIPPED:
        job = await processor.get_job(b.id)
        assert job is not None
        assert job.output is not None
        assert job.output.error == f"parent {a.id} errored"


async def test_one_that_waits_runs_after_the_retry(processors: Processors) -> None:
    """`wait`: a retry of the parent that finishes releases it."""
    tasks = Tasks()
    tasks.fails = {"a"}
    processor = await processors.make(jobs=tasks.jobs())
    a = await add(processor, "a")
    b = await add(processor, "b", a, on_parent_failure="wait")
    await processor.run_worker(burst=True)
    assert await states(processor, a, b) == [ERRORED, PENDING]
    tasks.fails.clear()
    await processor.retry_job(a.id)
    await processor.run_worker(burst=True)
    assert await states(processor, a, b) == [FINISHED, FINISHED]


async def test_a_retry_that_is_to_come_is_no_failure(processors: Processors) -> None:
    """While a parent is tried again, nothing is skipped."""
    tasks = Tasks()
    tasks.fails = {"a"}
    processor = await processors.make(jobs=tasks.jobs(retry=Retry(max_attempts=3, delay=3600)))
    a = await add(processor, "a")
    b = await add(processor, "b", a)
    await processor.run_worker(burst=True)
    assert await states(processor, a, b) == [PENDING, PENDING]


async def test_a_parent_that_runs_while_it_is_followed(processors: Processors) -> None:
    """A run that began before somebody came after it ends with its result, and releases."""
    began, may_end, count = asyncio.Event(), asyncio.Event(), 0

    async def slow() -> str:
        nonlocal count
        count += 1
        began.set()
        await may_end.wait()
        return "done"

    tasks = Tasks()
    processor, _ = await processors.start(jobs={**tasks.jobs(), "slow": JobDef(slow)})
    a = await processor.schedule_job("slow")
    await began.wait()
    b = await add(processor, "b", a)
    assert (await processor.get_job(b.id)) is not None
    may_end.set()
    assert (await processor.wait_for_job(b.id, WAIT)).status is FINISHED
    ended = await processor.wait_for_job(a.id, WAIT)
    assert ended.output is not None
    assert (ended.output.result, count) == ("done", 1)


async def test_a_kill_while_it_waits_skips_what_comes_after(processors: Processors) -> None:
    """A job that is killed before it ran takes its followers along."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    a = await add(processor, "a")
    b = await add(processor, "b", a)
    await processor.kill_job(a.id)
    assert await states(processor, b) == [SKIPPED]


async def test_an_expired_parent_skips_what_comes_after(processors: Processors) -> None:
    """One that has not begun in time is a failure for those after it."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    a = await add(processor, "a", expires_at=timedelta(milliseconds=1))
    b = await add(processor, "b", a)
    await asyncio.sleep(0.002)  # the time of its expiry, which is what this is about
    await processor.run_worker(burst=True)
    assert await states(processor, a, b) == [SKIPPED, SKIPPED]


async def test_many_at_once(processors: Processors) -> None:
    """`schedule_jobs` takes `after` in its requests, and each is released in its own turn."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    parents = [await add(processor, f"p{n}") for n in range(3)]
    children = await processor.schedule_jobs(
        JobRequest("task", {"as": f"c{n}"}, after=parents[n % 3]) for n in range(30)
    )
    await processor.run_worker(burst=True)
    assert set(await states(processor, *children)) == {FINISHED}


async def test_an_occurrence_of_a_cron_may_be_a_parent(processors: Processors) -> None:
    """By its id, as any job."""
    tasks, ran = Tasks(), []

    async def nightly() -> None:
        ran.append("nightly")

    processor = await processors.make(
        jobs=tasks.jobs(), crons={"nightly": CronDef("0 2 * * *", nightly)}
    )
    await processor.run_worker(burst=True)  # which makes the cron
    occurrence = await processor.run_cron("nightly")
    child = await processor.schedule_job("task", {"as": "after"}, after=str(occurrence.id))
    assert child.parents == (occurrence.id,)
    await processor.run_worker(burst=True)
    assert (ran, tasks.ran) == (["nightly"], ["after"])


async def test_a_chain_of_a_thousand(processors: Processors) -> None:
    """Each link runs after the one before it."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs(), poll_interval=1.0)
    length = 1000 if "sqlite" in processors.db_url else 60
    last = await add(processor, "0")
    for n in range(1, length):
        last = await add(processor, str(n), last)
    await processor.run_worker(burst=True)
    assert tasks.ran == [str(n) for n in range(length)]


async def test_a_chain_whose_head_fails(processors: Processors) -> None:
    """All of it is skipped, also what one pass of a release does not reach."""
    tasks = Tasks()
    tasks.fails = {"0"}
    processor = await processors.make(jobs=tasks.jobs())
    chain = [await add(processor, "0")]
    for n in range(1, 50):
        chain.append(await add(processor, str(n), chain[-1]))
    await processor.run_worker(burst=True)
    assert await states(processor, *chain) == [ERRORED, *[SKIPPED] * 49]


# --- what a process that died has owed ---------------------------------------------------------


async def test_the_sweep_finds_what_has_ended(processors: Processors) -> None:
    """Where the end of a parent released nobody, the next sweep does."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    a = await add(processor, "a")
    b, c = await add(processor, "b", a), await add(processor, "c", a, on_parent_failure="run")
    store = parts_of(processor).store
    store.kills.waits = dead()  # it dies before it can release
    await processor.kill_job(a.id)
    assert await states(processor, a, b, c) == [JobStatus.KILLED, PENDING, PENDING]
    _, _ = await processors.start(jobs=tasks.jobs())
    for job in (b, c):
        await processor.wait_for_job(job.id, WAIT)
    assert await states(processor, b, c) == [SKIPPED, FINISHED]


async def test_the_sweep_finds_what_is_gone(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent that a database's own time to live has removed is waited for no more.

    One that was made a short while ago may still come.
    """
    monkeypatch.setattr(after_jobs, "NOT_YET", timedelta(seconds=-60))
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    a = await add(processor, "a")
    b = await add(processor, "b", a, on_parent_failure="wait")
    store = parts_of(processor).store
    store.history.waits = dead()
    await processor.delete_job(a.id)
    await processors.start(jobs=tasks.jobs())
    assert (await processor.wait_for_job(b.id, WAIT)).status is SKIPPED


# --- bad input ---------------------------------------------------------------------------------


async def refused(processor: JobProcessor, after: Any, **options: Any) -> str:
    """Return what is said of an `after` that cannot be."""
    with pytest.raises(InvalidArgumentError) as caught:
        await processor.schedule_job("task", {"as": "x"}, after=after, **options)
    assert (await processor.find_jobs()).jobs == ()
    return str(caught.value)


async def test_what_no_job_can_come_after(processors: Processors) -> None:
    """It is said what is meant, and nothing is stored."""
    processor = await processors.make(jobs=Tasks().jobs())

    @processor.job
    async def first() -> None: ...

    unknown = ObjectId()
    assert f"'{unknown}' is not allowed; nothing of this id is in this database" in await refused(
        processor, unknown
    )
    assert "after[0]: 'x' is not allowed; it is no id" in await refused(processor, ["x"])
    assert "write" not in await refused(processor, 5)
    assert "schedule it first: first = await first.schedule(…)" in await refused(processor, first)
    coroutine = first.schedule()
    assert "it was not awaited; write first = await" in await refused(processor, [coroutine])
    coroutine.close()
    request = JobRequest("task")
    assert "processor.schedule_job(…)" in await refused(processor, [request])
    assert "a cron never ends" in await refused(processor, [cron()])
    many = [ObjectId() for _ in range(101)]
    assert "at most 100 for one job; put them into a group" in await refused(processor, many)
    rule: Any = "ignore"
    assert "allowed are 'skip'" in await refused(processor, [unknown], on_parent_failure=rule)
    assert "give after=[…]" in await refused(processor, None, on_parent_failure="run")


async def test_a_name_that_nobody_defines(processors: Processors) -> None:
    """It is refused as ever, whatever it is to come after."""
    processor = await processors.make(jobs=Tasks().jobs())
    a = await add(processor, "a")
    with pytest.raises(InvalidArgumentError, match="name: 'lod'"):
        await processor.schedule_job("lod", after=[a])
    found = await processor.get_job(a.id)
    assert found is not None
    assert not found.followed


async def test_no_parents_at_all(processors: Processors) -> None:
    """An empty list is as none: what comes after nothing starts at once."""
    processor = await processors.make(jobs=Tasks().jobs())
    job = await processor.schedule_job("task", {"as": "x"}, after=[], on_parent_failure="run")
    assert (job.after, job.parked) == ((), None)


async def test_one_whose_unique_key_is_held(processors: Processors) -> None:
    """The job that holds it is returned where it comes after the same, and gets no new parents."""
    processor = await processors.make(jobs=Tasks().jobs())
    a, b = await add(processor, "a"), await add(processor, "b")
    held = await add(processor, "c", a, b, unique_key="k")
    assert (await add(processor, "c", b, a, unique_key="k")).id == held.id
    with pytest.raises(JobConflictError, match="comes after other jobs than `after` says"):
        await add(processor, "c", a, unique_key="k")
    assert (await processor.schedule_job("task", {"as": "c"}, unique_key="k")).id == held.id
    replaced = await add(processor, "c", a, unique_key="k", on_conflict="replace")
    assert (replaced.id, replaced.parents) == (held.id, (a.id,))


async def test_a_worker_that_waits_is_woken(processors: Processors) -> None:
    """A released job starts without a look of the slow sweep, also in another process's worker."""
    tasks = Tasks()
    processor, _ = await processors.start(jobs=tasks.jobs(), poll_interval=3600.0)
    other = await processors.make(jobs=tasks.jobs())
    a = await add(other, "a", scheduled_for=timedelta(hours=1))
    b = await add(other, "b", a, on_parent_failure="run")
    await other.kill_job(a.id)
    assert (await processor.wait_for_job(b.id, WAIT)).status is FINISHED
    assert tasks.ran == ["b"]
