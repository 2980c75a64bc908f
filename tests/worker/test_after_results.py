"""What a handler learns of the jobs that its own came after, wherever it runs."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    Context,
    InvalidArgumentError,
    Job,
    JobDef,
    JobFailed,
    JobNotFoundError,
    JobProcessor,
    JobStatus,
    RelatedJob,
)
from tests.processors import Processors
from tests.worker import process_handlers as handlers


async def answer(payload: dict[str, Any]) -> Any:
    """Return what it is given, or fail."""
    if payload.get("fails"):
        raise ValueError("no answer")
    return payload["n"]


async def parents_of_two(processor: JobProcessor) -> list[Job]:
    """Schedule one that finishes and one that fails."""
    return [
        await processor.schedule_job("answer", {"n": {"rows": [1, 2]}}),
        await processor.schedule_job("answer", {"fails": True}),
    ]


async def asks(context: Context) -> Any:
    """Ask for all there is."""
    good, bad = context.parents
    results = await context.results()
    with pytest.raises(JobFailed, match="no answer"):
        await context.result(bad.id)
    return _told(good, bad, results, await context.result(str(good.id)))


def asks_in_a_thread(context: Context) -> Any:
    """Ask for all there is, without an event loop."""
    good, bad = context.parents
    results = context.results_sync()
    with pytest.raises(JobFailed, match="no answer"):
        context.result_sync(bad.id)
    return _told(good, bad, results, context.result_sync(good.id))


def _told(good: RelatedJob, bad: RelatedJob, results: dict[ObjectId, Any], result: Any) -> Any:
    return {
        "names": [good.name, bad.name],
        "states": [good.status, bad.status],
        "errors": [good.error, (bad.error or "").splitlines()[0]],
        "results": {str(job_id): each for job_id, each in results.items()},
        "result": result,
    }


@pytest.mark.parametrize(
    ("handler", "executor"),
    [
        (asks, None),
        (asks_in_a_thread, None),
        (handlers.asks_its_parents, "process"),
        (handlers.asks_its_parents_async, "process"),
    ],
    ids=["async", "thread", "process", "async in a process"],
)
async def test_what_a_handler_learns(processors: Processors, handler: Any, executor: Any) -> None:
    """States and errors of all, in their order, and the results of those that have finished."""
    processor = await processors.make(
        jobs={"answer": JobDef(answer), "ask": JobDef(handler, executor=executor)}
    )
    good, bad = await parents_of_two(processor)
    child = await processor.schedule_job("ask", after=[good, bad], on_parent_failure="run")
    await processor.run_worker(burst=True)
    done = await processor.get_job(child.id)
    assert done is not None
    assert done.result() == {
        "names": ["answer", "answer"],
        "states": ["finished", "errored"],
        "errors": [None, "ValueError: no answer"],
        "results": {str(good.id): {"rows": [1, 2]}},
        "result": {"rows": [1, 2]},
    }


class Asking:
    """A handler that does with its context what a test says."""

    def __init__(self) -> None:
        self.raised: Exception | None = None
        self.found: Any = None
        self.ask: Any = None

    async def run(self, context: Context) -> None:
        """Keep what comes of it."""
        try:
            self.found = await self.ask(context)
        except Exception as error:  # noqa: BLE001  # it is what the test looks at
            self.raised = error


async def asking(processors: Processors, ask: Any, **options: Any) -> tuple[Asking, Job, Job]:
    """Run one job after another, which asks."""
    handler = Asking()
    handler.ask = ask
    processor = await processors.make(
        jobs={"answer": JobDef(answer, **options), "ask": JobDef(handler.run)}
    )
    parent = await processor.schedule_job("answer", {"n": 1})
    other = await processor.schedule_job("answer", {"n": 2})
    await processor.schedule_job("ask", after=parent)
    await processor.run_worker(burst=True)
    return handler, parent, other


async def test_a_result_that_is_not_kept(processors: Processors) -> None:
    """Whoever asks for the result of a job with `discard_result` is told, and not given None."""
    handler, _, _ = await asking(processors, lambda context: context.results(), discard_result=True)
    assert isinstance(handler.raised, InvalidArgumentError)
    assert str(handler.raised).startswith("discard_result: 'answer' is not allowed; its result was")


async def test_a_job_that_is_no_parent(processors: Processors) -> None:
    """Only those that it came after can be asked for."""
    others: list[Any] = []

    async def ask(context: Context) -> Any:
        return await context.result(ObjectId())

    handler, parent, _ = await asking(processors, ask)
    others.append(parent)
    assert isinstance(handler.raised, InvalidArgumentError)
    assert f"allowed are the jobs that this one came after: {parent.id}" in str(handler.raised)


async def test_a_parent_that_is_gone(processors: Processors) -> None:
    """Its result is not found, and it is not among the parents."""
    handler = Asking()
    handler.ask = lambda context: context.result(context.job.parents[0])
    processor = await processors.make(jobs={"answer": JobDef(answer), "ask": JobDef(handler.run)})
    parent = await processor.schedule_job("answer", {"n": 1})
    await processor.schedule_job("ask", after=parent, on_parent_failure="run")
    await processor.delete_job(parent.id)
    await processor.run_worker(burst=True)
    assert isinstance(handler.raised, JobNotFoundError)


async def test_one_that_came_after_nothing(processors: Processors) -> None:
    """It has no parents, and no results of any."""

    async def ask(context: Context) -> Any:
        return context.parents, await context.results()

    handler = Asking()
    handler.ask = ask
    processor = await processors.make(jobs={"ask": JobDef(handler.run)})
    await processor.schedule_job("ask")
    await processor.run_worker(burst=True)
    assert handler.found == ((), {})


# --- retries that bring descendants back -------------------------------------------------------


async def family(processors: Processors) -> tuple[JobProcessor, dict[str, bool], list[Job]]:
    """Return a chain of three whose head fails as long as the switch says."""
    switch = {"fails": True}

    async def step() -> None:
        if switch["fails"]:
            raise ValueError("no")

    processor = await processors.make(jobs={"step": JobDef(step)})
    head = await processor.schedule_job("step")
    middle = await processor.schedule_job("step", after=head)
    last = await processor.schedule_job("step", after=[middle, head])
    await processor.run_worker(burst=True)
    switch["fails"] = False
    return processor, switch, [head, middle, last]


async def states(processor: JobProcessor, jobs: list[Job]) -> list[JobStatus]:
    """Return the states of jobs."""
    found = [await processor.get_job(job.id) for job in jobs]
    return [job.status for job in found if job is not None]


FINISHED, ERRORED, SKIPPED = JobStatus.FINISHED, JobStatus.ERRORED, JobStatus.SKIPPED


async def test_a_retry_alone_leaves_what_was_skipped(processors: Processors) -> None:
    """What was skipped stays so unless its return is asked for."""
    processor, _, jobs = await family(processors)
    assert await states(processor, jobs) == [ERRORED, SKIPPED, SKIPPED]
    await processor.retry_job(jobs[0].id)
    await processor.run_worker(burst=True)
    assert await states(processor, jobs) == [FINISHED, SKIPPED, SKIPPED]


@pytest.mark.parametrize("many", [False, True])
async def test_a_retry_brings_descendants_back(processors: Processors, many: bool) -> None:
    """In the same call, for one job and for many; they run after it, in their order."""
    processor, _, jobs = await family(processors)
    if many:
        acted = await processor.act_on_jobs("retry", status=ERRORED, descendants=True)
        assert acted.done == 1
    else:
        await processor.retry_job(jobs[0].id, descendants=True)
    await processor.run_worker(burst=True)
    assert await states(processor, jobs) == [FINISHED, FINISHED, FINISHED]


async def test_descendants_of_a_second_failure_are_skipped_again(processors: Processors) -> None:
    """A head that fails once more takes them along once more, and may come back again."""
    processor, switch, jobs = await family(processors)
    switch["fails"] = True
    await processor.retry_job(jobs[0].id, descendants=True)
    await processor.run_worker(burst=True)
    assert await states(processor, jobs) == [ERRORED, SKIPPED, SKIPPED]
    switch["fails"] = False
    await processor.retry_job(jobs[0].id, descendants=True)
    await processor.run_worker(burst=True)
    assert await states(processor, jobs) == [FINISHED, FINISHED, FINISHED]


async def test_descendants_are_of_retries_alone(processors: Processors) -> None:
    """No other action has any."""
    processor, _, _ = await family(processors)
    with pytest.raises(InvalidArgumentError, match="descendants: True is not allowed"):
        await processor.act_on_jobs("kill", status=ERRORED, descendants=True)


async def test_a_skipped_one_can_be_run_by_itself(processors: Processors) -> None:
    """A retry of a skipped child runs it, whatever its parent has come to."""
    processor, _, jobs = await family(processors)
    await processor.retry_job(jobs[1].id)
    await processor.run_worker(burst=True)
    assert await states(processor, jobs) == [ERRORED, FINISHED, SKIPPED]
