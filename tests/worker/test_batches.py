"""Batch handlers: how jobs come together, what each gets of the answer, how many at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from job_processor import (
    Context,
    EventKind,
    JobDef,
    JobStateError,
    JobStatus,
    Retry,
    SimpleJob,
    Snooze,
)
from job_processor.handlers.current import current_job
from job_processor.integrations.encryption import Encryption
from job_processor.models import Job
from job_processor.store.requests import Claim
from tests.insides import store_of
from tests.processors import Processors, eventually
from tests.worker.batched import Batched, all_ended, put, statuses


async def test_jobs_come_together(processors: Processors) -> None:
    """As many as a batch takes, in their order, one slot for each batch; each has its result."""
    batched = Batched()
    processor = await processors.make(jobs=batched.jobs(3), concurrency=1)
    jobs = await put(processor, *range(7))
    await processor.run_worker(burst=True)
    assert batched.calls == [[0, 1, 2], [3, 4, 5], [6]]
    found = await all_ended(processor, jobs)
    assert [job.result() for job in found] == [0, 10, 20, 30, 40, 50, 60]
    assert sorted(job.id for job in batched.exited) == sorted(job.id for job in jobs)


async def test_a_batch_waits_for_more(processors: Processors) -> None:
    """It begins once it is full, though its jobs come one by one, and its time is far away."""
    batched = Batched()
    processor, _ = await processors.start(jobs=batched.jobs(3, batch_wait=3600), concurrency=1)
    first = await put(processor, 0)

    async def is_claimed() -> bool:
        return await processor.count_jobs(status="running") == 1

    await eventually(is_claimed)
    assert batched.calls == []
    others = [*await put(processor, 1), *await put(processor, 2)]
    assert statuses(await all_ended(processor, [*first, *others])) == ["finished"] * 3
    assert batched.calls == [[0, 1, 2]]


async def test_a_batch_that_is_not_full_begins_in_time(processors: Processors) -> None:
    """After `batch_wait`, with what there is."""
    batched = Batched()
    processor, _ = await processors.start(jobs=batched.jobs(3, batch_wait=0.01))
    (job,) = await all_ended(processor, await put(processor, 0))
    assert job.result() == 0
    assert batched.calls == [[0]]


async def test_an_idle_worker_takes_all_that_comes(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for no single job first, as it does where each is run by itself."""
    batched = Batched()
    processor = await processors.make(jobs=batched.jobs(3), poll_interval=3600)
    queue, limits = store_of(processor).queue, list[int]()
    claim = queue.claim

    async def noted(asked: Claim) -> Sequence[Job]:
        limits.append(asked.limit)
        return await claim(asked)

    monkeypatch.setattr(queue, "claim", noted)
    await processors.worker(processor)

    async def has_looked() -> bool:
        return len(limits) > 0

    await eventually(has_looked)
    await all_ended(processor, await put(processor, 0, 1, 2))
    assert set(limits) == {3}


async def test_another_name_runs_beside_an_open_batch(processors: Processors) -> None:
    """A batch that waits has a slot, and leaves the others to other names."""
    batched = Batched()

    async def other() -> int:
        return 1

    jobs = {**batched.jobs(3, batch_wait=3600), "other": JobDef(other)}
    processor, worker = await processors.start(jobs=jobs, concurrency=2)
    (waiting,) = await put(processor, 0)
    job = await processor.schedule_job("other")
    assert statuses(await all_ended(processor, [job])) == ["finished"]
    await worker.stop()
    found = await processor.get_job(waiting.id)
    assert found is not None
    assert (found.status, found.attempt, found.started_at) == (JobStatus.PENDING, 1, None)
    assert batched.calls == []


def failing(jobs: Sequence[SimpleJob]) -> list[Any]:
    """Return a failure for each odd number."""
    return [_answer(job) for job in jobs]


def _answer(job: SimpleJob) -> Any:
    number = (job.payload or {})["n"]
    return ValueError(f"no {number}") if number % 2 else number


@pytest.mark.parametrize(
    "answer",
    [
        failing,
        lambda jobs: tuple(failing(jobs)),
        lambda jobs: {job.id: _answer(job) for job in jobs},
        lambda jobs: {str(job.id): _answer(job) for job in jobs},
    ],
)
async def test_each_job_has_its_own_end(processors: Processors, answer: Any) -> None:
    """An exception in the answer is the failure of that job; all others have their results."""
    batched = Batched(answer)
    processor = await processors.make(jobs=batched.jobs(4))
    jobs = await put(processor, 0, 1, 2, 3)
    await processor.run_worker(burst=True)
    found = await all_ended(processor, jobs)
    assert statuses(found) == ["finished", "errored", "finished", "errored"]
    assert [job.output and job.output.result for job in found] == [0, None, 2, None]
    assert [(job.output.error or "")[:18] for job in found if job.output] == [
        *("", "ValueError: no 1", "", "ValueError: no 3"),
    ]


async def test_an_answer_may_name_the_failures_alone(processors: Processors) -> None:
    """Who is not in the mapping has finished, and so have all where nothing is returned."""
    batched = Batched(lambda jobs: {jobs[1].id: ValueError("no")})
    nothing = Batched(lambda jobs: None)
    definitions = {**batched.jobs(4), "none": nothing.jobs(4)["send"]}
    processor = await processors.make(jobs=definitions)
    jobs = await put(processor, 0, 1, 2)
    others = [await processor.schedule_job("none", {"n": n}) for n in (0, 1)]
    await processor.run_worker(burst=True)
    assert statuses(await all_ended(processor, jobs)) == ["finished", "errored", "finished"]
    assert statuses(await all_ended(processor, others)) == ["finished", "finished"]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ([1], "there were 2 jobs, and 1 results"),
        ("ab", "a list with a result or an exception for each job"),
        (7, "a list with a result or an exception for each job"),
        ({"x": 1}, "no job of this batch has this id"),
    ],
)
async def test_an_answer_that_says_nothing_of_each(
    processors: Processors, answer: Any, told: str
) -> None:
    """All fail, with what is allowed."""
    batched = Batched(lambda jobs: answer)
    processor = await processors.make(jobs=batched.jobs())
    jobs = await put(processor, 0, 1)
    await processor.run_worker(burst=True)
    found = await all_ended(processor, jobs)
    assert statuses(found) == ["errored", "errored"]
    assert all(told in (job.output.error or "") for job in found if job.output)


async def test_one_is_tried_again_alone(processors: Processors) -> None:
    """What failed has its next attempt, with whoever is due then; the others are done."""
    failed: list[int] = []

    def answer(jobs: Sequence[SimpleJob]) -> list[Any]:
        answers = failing(jobs) if not failed else [7 for _ in jobs]
        failed.append(1)
        return answers

    batched = Batched(answer)
    processor, _ = await processors.start(jobs=batched.jobs(3, retry=Retry(2, delay=0.001)))
    jobs = await put(processor, 0, 1, 2)
    found = await all_ended(processor, jobs)
    assert statuses(found) == ["finished"] * 3
    assert [job.attempt for job in found] == [1, 2, 1]
    assert sorted(n for call in batched.calls for n in call) == [0, 1, 1, 2]
    again = await processor.retry_job(jobs[0].id)
    assert (await all_ended(processor, jobs[:1]))[0].attempt == 1
    assert again.attempt == 1
    assert batched.calls[-1] == [0]


async def test_what_a_handler_raises_is_the_failure_of_all(processors: Processors) -> None:
    """Each counts its own attempts; one that wants to come back later does."""

    def answer(jobs: Sequence[SimpleJob]) -> Any:
        if jobs[0].attempt == 1:
            raise ValueError("all")
        return [Snooze(delay=3600) for _ in jobs]

    batched = Batched(answer)
    processor = await processors.make(jobs=batched.jobs(3, retry=Retry(2, delay=0)))
    jobs = await put(processor, 0, 1)
    await processor.run_worker(burst=True)
    found = [await processor.get_job(job.id) for job in jobs]
    assert [(job.status, job.attempt, len(job.attempts)) for job in found if job] == [
        (JobStatus.PENDING, 2, 1)
    ] * 2


async def test_limits_count_jobs(processors: Processors) -> None:
    """Of a limit of two no more than two are in a batch, wherever it holds."""
    batched = Batched()
    processor = await processors.make(jobs=batched.jobs(10, limit=2))
    await put(processor, *range(5))
    await processor.run_worker(burst=True)
    assert sorted(n for call in batched.calls for n in call) == [0, 1, 2, 3, 4]
    assert max(map(len, batched.calls)) == 2


async def test_a_plain_function_runs_in_a_thread(processors: Processors) -> None:
    """As any plain handler; its contexts tell progress and lines, and have no steps."""
    threads: list[bool] = []
    refused: list[str] = []

    def handle(payloads: list[Any], contexts: list[Context]) -> None:
        threads.append(threading.current_thread() is threading.main_thread())
        for number, context in enumerate(contexts):
            context.progress(number / 2, "half")
            context.log(f"line {number}")
            refused.extend(refusals(context))

    processor = await processors.make(jobs={"send": JobDef(handle, batch=2)})
    jobs = await put(processor, 0, 1)
    await processor.run_worker(burst=True)
    found = await all_ended(processor, jobs)
    assert threads == [False]
    assert [job.progress and job.progress.fraction for job in found] == [0, 0.5]
    assert [job.log[0].text for job in found] == ["line 0", "line 1"]
    assert len(refused) == 6
    assert all("run in a batch" in told and "without batch=" in told for told in refused)


def refusals(context: Context) -> Iterator[str]:
    """Give what is said to a step, a sleep and a wait for a message."""
    calls: list[Callable[[], object]] = [
        lambda: context.step_sync("a", print),
        lambda: context.sleep_sync(seconds=1),
        lambda: context.receive_sync("a"),
    ]
    for call in calls:
        with pytest.raises(JobStateError) as told:
            call()
        yield str(told.value)


@dataclass
class Mail:
    """A payload."""

    n: int


async def test_payloads_are_of_their_class(processors: Processors) -> None:
    """A list of instances; one that cannot be read is the failure of its job alone."""
    got: list[Mail] = []

    async def handle(payloads: list[Mail]) -> list[int]:
        got.extend(payloads)
        return [mail.n for mail in payloads]

    processor = await processors.make(jobs={"send": JobDef(handle, batch=5)})
    elsewhere = await processors.make(jobs={"send": JobDef(None)})
    good = await processor.schedule_job("send", Mail(1))
    bad = await elsewhere.schedule_job("send", {"m": 1})
    last = await put(processor, 2)
    await processor.run_worker(burst=True)
    found = await all_ended(processor, [good, bad, *last])
    assert got == [Mail(1), Mail(2)]
    assert statuses(found) == ["finished", "errored", "finished"]
    assert [job.output and job.output.result for job in found] == [1, None, 2]


async def test_one_that_is_run_here_and_now_is_alone(processors: Processors) -> None:
    """`run_job` waits for nobody."""
    batched = Batched()
    processor = await processors.make(jobs=batched.jobs(3, batch_wait=3600))
    assert (await processor.run_job("send", {"n": 4})).result() == 40
    assert batched.calls == [[4]]


async def test_a_batch_is_of_no_single_job(processors: Processors) -> None:
    """Not even of that whose handler runs one here and now."""
    told: list[Any] = []

    async def handle(payloads: list[Any]) -> None:
        told.append(current_job())

    async def outer(job: SimpleJob) -> None:
        told.append(current_job() == job)
        await processor.run_job("send", {"n": 1})

    definitions = {"send": JobDef(handle, batch=2), "outer": JobDef(outer)}
    processor = await processors.make(jobs=definitions)
    await put(processor, 0)
    await processor.run_worker(burst=True)
    await processor.run_job("outer")
    assert told == [None, True, None]


async def test_events_are_of_each_job(processors: Processors) -> None:
    """Claimed, started and ended, each once; one that expired is skipped, and not in the batch."""
    batched = Batched(failing)
    processor = await processors.make(jobs=batched.jobs(3))
    told: list[tuple[EventKind, Any]] = []
    jobs = await put(processor, 0, 1)
    processor.listen(lambda event: told.append((event.kind, event.job and event.job.id)))
    await processor.run_worker(burst=True)
    for kind, job in (
        *((kind, job) for kind in (EventKind.CLAIMED, EventKind.STARTED) for job in jobs),
        *((EventKind.FINISHED, jobs[0]), (EventKind.ERRORED, jobs[1])),
    ):
        assert told.count((kind, job.id)) == 1


async def test_what_a_handler_does_to_a_payload_is_its_own(processors: Processors) -> None:
    """The hook gets it as it is stored."""

    async def handle(payloads: list[dict[str, int]]) -> None:
        for payload in payloads:
            payload.clear()

    exited: list[Any] = []
    definition = JobDef(handle, batch=2, on_job_exited=lambda job: exited.append(job.payload))
    processor = await processors.make(jobs={"send": definition})
    await put(processor, 0, 1)
    await processor.run_worker(burst=True)
    assert sorted(payload["n"] for payload in exited) == [0, 1]


async def test_a_payload_that_is_not_to_be_read_fails_alone(processors: Processors) -> None:
    """What a codec has encoded that is not here ends its own job, and never comes to a handler."""
    batched = Batched()
    processor = await processors.make(jobs=batched.jobs(5))
    codec = Encryption({"a": bytes(range(32))}, use="a")
    encrypting = await processors.make(jobs={"send": JobDef(None)}, codec=codec)
    sealed = await put(encrypting, 1)
    jobs = await put(processor, 2, 3)
    await processor.run_worker(burst=True)
    assert statuses(await all_ended(processor, jobs)) == ["finished", "finished"]
    (found,) = await all_ended(encrypting, sealed)
    assert found.status is JobStatus.ERRORED
    assert found.output is not None
    assert "CodecError" in (found.output.error or "")
    assert batched.calls == [[2, 3]]
