"""What stands around each run of a handler, wherever that runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, cast

import pytest

from job_processor import CronTask, Job, JobDef, JobStatus, Retry
from tests.processors import Processors
from tests.worker import process_handlers as handlers

HANDLERS = [
    (handlers.say_whose_async, None),
    (handlers.say_whose, None),
    (handlers.say_whose_async, "process"),
    (handlers.say_whose, "process"),
]


@pytest.mark.parametrize(("handler", "executor"), HANDLERS)
async def test_wherever_the_handler_runs(
    processors: Processors, tmp_path: Path, handler: Callable[..., Any], executor: Any
) -> None:
    """Asynchronous ones are entered first, plain ones in the handler's thread; both see its end."""
    definition = JobDef(handler, executor=executor, around=handlers.tenant_of_job)
    processor = await processors.make(jobs={"say": definition}, around=handlers.connection_of_job)
    file = tmp_path / "lines"
    for fail, ended in ((False, "leave"), (True, "ValueError")):
        job = await processor.run_job("say", {"of": "ada", "file": str(file), "fail": fail})
        assert job.status is (JobStatus.ERRORED if fail else JobStatus.FINISHED)
        lines = file.read_text().splitlines()
        file.unlink()
        thread = lines[1].removeprefix("enter ")
        assert lines == [
            "enter in the loop",
            f"enter {thread}",
            f"{ended} {thread}",
            f"{ended} in the loop",
        ]
        if not fail:
            assert job.result() == f"ada {thread}"
        else:
            assert job.output is not None
            assert "ValueError: failed" in str(job.output.error)


async def test_what_it_raises_is_a_failed_attempt(processors: Processors) -> None:
    """Entered or left: the job is tried again as its `retry` says."""

    @asynccontextmanager
    async def around(job: Job) -> AsyncIterator[None]:
        if job.attempt == 1:
            raise ConnectionError("no session")
        yield
        if job.attempt == 2:
            raise RuntimeError("not committed")

    processor = await processors.make()

    @processor.job(around=around, retry=Retry(max_attempts=3, delay=0))
    async def work() -> str:
        return "done"

    job = await work.schedule()
    await processor.run_worker(burst=True)
    job = await work.wait(job)
    errors = [str(attempt.error).splitlines()[0] for attempt in job.attempts]
    assert errors == ["ConnectionError: no session", "RuntimeError: not committed"]
    assert (job.attempt, job.result()) == (3, "done")


async def test_one_may_take_the_exception(processors: Processors) -> None:
    """As in a `with`: then the job has finished, without a result."""
    processor = await processors.make()

    @processor.job(around=lambda job: suppress(ValueError))
    async def fails() -> int:
        raise ValueError("taken")

    @processor.job(around=lambda job: suppress(ValueError))
    def fails_in_a_thread() -> int:
        raise ValueError("taken")

    processor.job("process", executor="process", around=handlers.take_errors)(handlers.say_whose)
    for name in ("fails", "fails_in_a_thread", "process"):
        payload = {"of": "a", "file": "", "fail": True} if name == "process" else None
        job = await processor.run_job(name, payload)
        assert (job.status, job.result()) == (JobStatus.FINISHED, None)


async def test_it_must_return_a_context_manager(processors: Processors) -> None:
    """What it returns is seen only then; the job says what is wrong."""
    processor = await processors.make()

    @processor.job(around=cast("Any", lambda job: 3))
    async def work() -> None: ...

    job = await work.run()
    assert job.output is not None
    assert "allowed is what returns a context manager" in str(job.output.error)


async def test_around_crons_and_kills(processors: Processors) -> None:
    """A cron's task is given, too; one that is killed leaves it as it is cancelled."""
    seen: list[Any] = []
    running = asyncio.Event()

    @asynccontextmanager
    async def around(job: Job) -> AsyncIterator[None]:
        seen.append(type(job))
        try:
            yield
        except BaseException as error:
            seen.append(type(error))
            raise

    processor = await processors.make(kill_grace=0.05, around=around)

    @processor.job
    async def endless() -> None:
        running.set()
        await asyncio.Event().wait()

    @processor.cron("0 0 1 1 *")
    async def yearly() -> None: ...

    job = await endless.schedule()
    worker = asyncio.create_task(processor.run_worker())
    await running.wait()
    await processor.kill_job(job.id)
    assert (await endless.wait(job, timeout=10)).status is JobStatus.KILLED
    task = await processor.run_cron("yearly")
    await processor.wait_for_job(task.id, timeout=10)
    worker.cancel()
    await asyncio.wait([worker])
    assert seen[1:] == [asyncio.CancelledError, CronTask]
