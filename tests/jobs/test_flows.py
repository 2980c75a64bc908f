"""Flows: written down, stored as one, run in their order, killed, retried."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    FlowNotFoundError,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobRequest,
    JobStateError,
    JobStatus,
)
from job_processor.errors import StoreUnavailableError
from job_processor.jobs import after, flows
from job_processor.jobs.after import release_ended
from job_processor.jobs.flows import Flow
from job_processor.models import Job, SimpleJob
from job_processor.parts import parts_of
from job_processor.store.requests import JobQuery
from tests.processors import Processors

FINISHED, ERRORED, SKIPPED, KILLED, PENDING = (
    JobStatus.FINISHED,
    JobStatus.ERRORED,
    JobStatus.SKIPPED,
    JobStatus.KILLED,
    JobStatus.PENDING,
)


class Tasks:
    """A handler that notes what it ran, and fails when told to."""

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


def called(name: str) -> dict[str, str]:
    """Return the payload of a task."""
    return {"as": name}


async def stored(processor: JobProcessor, *jobs: SimpleJob) -> list[Job]:
    """Return jobs as they stand."""
    found = [await processor.get_job(job.id) for job in jobs]
    return [job for job in found if job is not None]


async def states(processor: JobProcessor, *jobs: SimpleJob) -> list[JobStatus]:
    """Return the states of jobs."""
    return [job.status for job in await stored(processor, *jobs)]


async def test_a_flow_runs_in_its_order(processors: Processors) -> None:
    """One, then a hundred, then one: each of the next only after all that it comes after."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs(), concurrency=20)
    flow = processor.flow("import")
    first = flow.add("task", called("extract"))
    parts = flow.add_many("task", [called(f"load {n}") for n in range(100)], after=first)
    last = flow.add("task", called("report"), after=parts)
    assert await stored(processor, first, last) == []
    jobs = await flow.start()
    assert [job.id for job in jobs] == [first.id, *(job.id for job in parts), last.id]
    assert await stored(processor, *jobs) == jobs == list(flow.jobs)
    assert {(job.flow, job.flow_name) for job in jobs} == {(flow.id, "import")}
    await processor.run_worker(burst=True)
    assert tasks.ran[0] == "extract"
    assert tasks.ran[-1] == "report"
    assert sorted(tasks.ran[1:-1]) == sorted(f"load {n}" for n in range(100))


async def test_more_than_a_hundred_are_waited_for_as_a_group(processors: Processors) -> None:
    """Neither the child's document nor its release grows with their number."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs(), concurrency=50)
    flow = processor.flow()
    parts = flow.add_many("task", [called(str(n)) for n in range(flows.GROUPED + 1)])
    last = flow.add("task", called("last"), after=parts)
    assert len(last.after) == 1
    assert (len(parts), parts[0].group, parts[-1:]) == (101, parts[5].group, [parts[100]])
    await flow.start()
    await processor.run_worker(burst=True)
    assert tasks.ran[-1] == "last"
    assert len(tasks.ran) == 102


async def test_a_group_that_fails_skips_what_comes_after(processors: Processors) -> None:
    """As a parent that fails does; and a retry of the flow brings it back."""
    tasks = Tasks()
    tasks.fails = {"7"}
    processor = await processors.make(jobs=tasks.jobs(), concurrency=50)
    flow = processor.flow()
    parts = flow.add_many("task", [called(str(n)) for n in range(flows.GROUPED + 1)])
    last = flow.add("task", called("last"), after=parts)
    await flow.start()
    await processor.run_worker(burst=True)
    assert await states(processor, last) == [SKIPPED]
    assert "last" not in tasks.ran


async def test_a_chain(processors: Processors) -> None:
    """Each after the one before it; names, tuples, requests and handles may be mixed."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())

    @processor.job
    async def send() -> None:
        tasks.ran.append("send")

    chain = processor.chain(
        ("task", called("a")), JobRequest("task", called("b"), priority=3), send, "send"
    )
    jobs = await chain.start()
    assert [job.parents for job in jobs] == [(), *((job.id,) for job in jobs[:-1])]
    await processor.run_worker(burst=True)
    assert tasks.ran == ["a", "b", "send", "send"]
    assert {job.flow_name for job in jobs} == {"chain"}


async def test_a_long_chain(processors: Processors, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stored in parts, from its end on, and runs through."""
    monkeypatch.setattr(flows, "SCHEDULE_BATCH", 30)
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    names = [str(n) for n in range(100)]
    await processor.chain(*(("task", called(name)) for name in names)).start()
    await processor.run_worker(burst=True)
    assert tasks.ran == names


async def test_nothing_is_stored_before_what_comes_after_it(processors: Processors) -> None:
    """From the last to the first: so nothing begins, and nothing ends, unseen by what follows."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    flow = processor.flow()
    first = flow.add("task", called("first"))
    parts = flow.add_many("task", [called(str(n)) for n in range(50)], after=first)
    flow.add("task", called("last"), after=parts)
    store = parts_of(processor).store
    seen: list[list[ObjectId]] = []
    insert = store.intake.insert

    async def noted(jobs: Any) -> Any:
        seen.append([job.id for job in jobs])
        return await insert(jobs)

    store.intake.insert = noted  # type: ignore[method-assign]  # a spy
    added = flow.jobs
    await flow.start()
    order = [job_id for part in seen for job_id in part]
    assert order == [job.id for job in reversed(added)]


async def broken_off(processor: JobProcessor, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """Return a flow whose start failed after its last job was stored."""
    store = parts_of(processor).store
    insert, calls = store.intake.insert, count(1)

    async def failing(jobs: Any) -> Any:
        if next(calls) == 2:
            raise StoreUnavailableError("it does not answer")
        return await insert(jobs)

    chain = processor.chain(*(("task", called(name)) for name in "abc"))
    with monkeypatch.context() as patch:
        patch.setattr(flows, "SCHEDULE_BATCH", 1)
        patch.setattr(store.intake, "insert", failing)
        with pytest.raises(StoreUnavailableError):
            await chain.start()
    return chain


async def test_a_start_that_broke_off_is_repeated(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has begun nothing, and then stores what is missing; nothing is there twice."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    chain = await broken_off(processor, monkeypatch)
    await processor.run_worker(burst=True)
    assert tasks.ran == []
    assert await processor.count_jobs(flow=chain.id) == 1
    await chain.start()
    await processor.run_worker(burst=True)
    assert tasks.ran == ["a", "b", "c"]
    assert await processor.count_jobs(flow=chain.id) == 3


async def test_a_start_that_broke_off_for_good_is_skipped(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep leaves it alone while it may still go on, and afterwards nothing of it stands."""
    processor = await processors.make(jobs=Tasks().jobs())
    parts = parts_of(processor)
    chain = await broken_off(processor, monkeypatch)
    last = chain.jobs[-1]
    tags = await parts.store.waits.waited_for("", 10)
    assert await release_ended(parts, tags) == 0
    assert await states(processor, last) == [PENDING]
    monkeypatch.setattr(after, "NOT_YET", timedelta(seconds=-60))
    assert await release_ended(parts, tags) == 1
    (job,) = await stored(processor, last)
    assert job.status is SKIPPED
    assert job.output is not None
    assert job.output.error == f"parent {chain.jobs[-2].id} is gone"
    chain._started = True


@pytest.mark.parametrize("rule", ["skip", "run", "wait"])
async def test_what_a_failure_leads_to(processors: Processors, rule: Any) -> None:
    """A job of a flow follows its own rule, as any job that comes after others."""
    tasks = Tasks()
    tasks.fails = {"a"}
    processor = await processors.make(jobs=tasks.jobs())
    chain = processor.chain(("task", called("a")), ("task", called("b")), on_parent_failure=rule)
    jobs = await chain.start()
    await processor.run_worker(burst=True)
    after = {"skip": SKIPPED, "run": FINISHED, "wait": PENDING}[rule]
    assert await states(processor, *jobs) == [ERRORED, after]


async def test_retry_of_a_flow(processors: Processors) -> None:
    """What failed runs again, and with it what was skipped by that; what finished does not."""
    tasks = Tasks()
    tasks.fails = {"b"}
    processor = await processors.make(jobs=tasks.jobs())
    chain = processor.chain(*(("task", called(name)) for name in "abcd"))
    jobs = await chain.start()
    await processor.run_worker(burst=True)
    assert await states(processor, *jobs) == [FINISHED, ERRORED, SKIPPED, SKIPPED]
    tasks.fails.clear()
    assert (await processor.retry_flow(chain.id)).done == 1
    await processor.run_worker(burst=True)
    assert await states(processor, *jobs) == [FINISHED] * 4
    assert tasks.ran == ["a", "b", "b", "c", "d"]


async def test_kill_of_a_flow(processors: Processors) -> None:
    """Nothing of it runs afterwards, and each was killed, not skipped."""
    tasks = Tasks()
    processor = await processors.make(jobs=tasks.jobs())
    chain = processor.chain(*(("task", called(name)) for name in "abcd"))
    jobs = await chain.start()
    assert (await processor.kill_flow(str(chain.id))).done == 4
    await processor.run_worker(burst=True)
    assert await states(processor, *jobs) == [KILLED] * 4
    assert tasks.ran == []
    again = await processor.kill_flow(chain.id)
    assert again.done == 0


async def test_jobs_of_a_flow_are_found(processors: Processors) -> None:
    """By its id, newest first, with whatever else is asked for."""
    processor = await processors.make(jobs=Tasks().jobs())
    chain = processor.chain(*(("task", called(name)) for name in "abc"))
    jobs = await chain.start()
    await processor.schedule_job("task", called("other"))
    page = await processor.find_jobs(flow=chain.id)
    assert list(page.jobs) == jobs[::-1]
    assert await processor.count_jobs(flow=str(chain.id)) == 3
    assert await processor.count_jobs(flow=ObjectId()) == 0


async def test_after_jobs_that_are_stored_already(processors: Processors) -> None:
    """A job of a flow may come after one outside, which has ended or not."""
    tasks = Tasks()
    tasks.fails = {"bad"}
    processor = await processors.make(jobs=tasks.jobs())
    good = await processor.schedule_job("task", called("good"))
    bad = await processor.schedule_job("task", called("bad"))
    await processor.run_worker(burst=True)
    later = await processor.schedule_job("task", called("later"))
    flow = processor.flow()
    ready, lost, waits = (
        flow.add("task", called("ready"), after=good),
        flow.add("task", called("lost"), after=[bad, later]),
        flow.add("task", called("waits"), after=later),
    )
    behind = flow.add("task", called("behind"), after=lost)
    await flow.start()
    await processor.run_worker(burst=True)
    assert await states(processor, ready, waits) == [FINISHED, FINISHED]
    assert await states(processor, lost, behind) == [SKIPPED, SKIPPED]


async def test_a_flow_starts_once(processors: Processors) -> None:
    """Neither start nor add is taken afterwards; nothing is stored twice."""
    processor = await processors.make(jobs=Tasks().jobs())
    flow = processor.flow("import")
    flow.add("task", called("a"))
    await flow.start()
    with pytest.raises(JobStateError, match="has started; a handler of it adds more"):
        await flow.start()
    with pytest.raises(JobStateError, match="has started"):
        flow.add("task", called("b"))


async def test_a_flow_that_is_forgotten_is_told(processors: Processors) -> None:
    """As a coroutine that was never awaited is."""
    processor = await processors.make(jobs=Tasks().jobs())
    flow = processor.flow("import")
    flow.add("task", called("a"))
    kept = [flow]
    del flow
    with pytest.warns(RuntimeWarning, match="flow 'import' was never started"):
        kept.clear()


async def test_an_empty_flow(processors: Processors) -> None:
    """It is no mistake: a program may have found nothing to do."""
    processor = await processors.make(jobs=Tasks().jobs())
    assert await processor.flow().start() == []


async def test_what_cannot_be_in_a_flow(processors: Processors) -> None:
    """Each is refused where it is written, with what to write instead."""
    processor = await processors.make(jobs=Tasks().jobs())
    flow: Any = processor.flow()
    wrong: Any = 7
    for refused, told in (
        (lambda: flow.add("unknown"), "unknown"),
        (lambda: flow.add("task", called("a"), unique_key="k"), "allowed in a flow is 'skip'"),
        (lambda: flow.add("task", called("a"), session=1), "session"),
        (lambda: flow.add("task", called("a"), after=["no id"]), "it is no id"),
        (lambda: flow.add_many("task", called("a")), r"write \[payload\]"),
        (lambda: flow.add(7), "^flow.add: 7.*allowed is a name, a handle"),
        (lambda: flow.add("task", called("a"), often=1), "^flow.add: 'often'.*allowed are after"),
        (lambda: processor.flow(""), "name"),
        (processor.chain, "allowed is one job or more"),
        (lambda: processor.chain(("task", called("a")), wrong), r"jobs\[1\]"),
        (lambda: processor.chain(JobRequest("task", called("a"), after=[ObjectId()])), "after"),
    ):
        with pytest.raises(InvalidArgumentError, match=told):
            refused()
    flow.add("task", called("a"), after=ObjectId())
    with pytest.raises(InvalidArgumentError, match="nothing of this id"):
        await flow.start()
    with pytest.raises(FlowNotFoundError):
        await processor.kill_flow(flow.id)
    with pytest.raises(FlowNotFoundError):
        await processor.retry_flow(flow.id)
    assert await parts_of(processor).store.history.find(JobQuery(flow=flow.id)) == []
    flow._started = True
