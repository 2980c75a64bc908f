"""A lifespan that fails, hangs or is cancelled: nothing is lost by it, and no stop waits for it."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import pytest

from job_processor import JobProcessor, JobStatus, LifespanError, WorkerStateError
from job_processor.worker import resources as module
from tests.processors import WAIT, Processors, RunningWorker, eventually
from tests.worker.frozen import GRACES
from tests.worker.test_program_ends import cancel_all

pytestmark = pytest.mark.usefixtures("little_time")


@pytest.fixture
def db_url() -> str:
    """In memory: nothing here depends on the database."""
    return "sqlite://"


async def test_one_that_fails_as_it_is_entered(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker does not start: it is not registered, and claims nothing; the next try enters."""
    fails = [ConnectionError("no pool"), ConnectionError("no pool"), None]

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[None]:
        error = fails.pop(0)
        if error is not None:
            raise error
        yield

    processor = await processors.make(lifespan=lifespan)
    seen: list[str] = []
    processor.listen(lambda event: seen.append(event.kind))

    @processor.job
    async def work() -> str:
        return "done"

    job = await work.schedule()
    told = r"lifespan .*\.lifespan failed as it was entered: ConnectionError: no pool"
    with pytest.raises(LifespanError, match=told) as caught:
        await processor.run_worker()
    assert isinstance(caught.value.__cause__, ConnectionError)
    (record,) = [each for each in caplog.records if each.levelno == logging.CRITICAL]
    assert "the worker does not start" in record.getMessage()
    assert "resources.py" not in caplog.text  # its traceback begins in the lifespan
    with pytest.raises(LifespanError, match=told):
        await work.run()
    found = await processor.get_job(job.id)
    assert found is not None
    assert (found.status, found.attempt) == (JobStatus.PENDING, 1)
    assert "worker_started" not in seen
    assert "claimed" not in seen
    await processor.run_worker(burst=True)
    assert (await work.wait(job)).result() == "done"


@pytest.mark.parametrize(
    ("given", "told"),
    [(3, "allowed is what returns a context manager"), (None, "allowed is what returns")],
)
async def test_one_that_returns_no_manager(processors: Processors, given: Any, told: str) -> None:
    """What it returns is seen only then; whoever needs it is told what to write."""
    processor = await processors.make(lifespan=cast("Any", lambda processor: given))
    with pytest.raises(LifespanError, match=f"DefinitionError: lifespan: .*{told}"):
        await processor.run_worker(burst=True)


@pytest.mark.parametrize("error", [ValueError("not closed"), SystemExit(3), KeyboardInterrupt()])
async def test_one_that_fails_as_it_is_left(
    processors: Processors, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    """It is logged; what ran has its end."""

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[None]:
        yield
        raise error

    processor = await processors.make(lifespan=lifespan)

    @processor.job
    async def work() -> str:
        return "done"

    job = await work.schedule()
    await processor.run_worker(burst=True)
    assert (await work.wait(job)).result() == "done"
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert "failed as it was left" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert (await processor.get_healthcheck())["workers"] == []


class Hanging:
    """A lifespan that hangs as it is entered, or as it is left."""

    def __init__(self, *, entering: bool, obeys: bool = True) -> None:
        self.reached = asyncio.Event()
        self.go = asyncio.Event()
        self.ended: list[str] = []
        self._entering = entering
        self._obeys = obeys

    @asynccontextmanager
    async def lifespan(self, processor: JobProcessor) -> AsyncIterator[None]:
        """Hang."""
        try:
            if self._entering:
                await self._hang()
            yield
            if not self._entering:
                await self._hang()
        finally:
            self.ended.append("ended")

    async def _hang(self) -> None:
        self.reached.set()
        while not self.go.is_set():
            try:
                await self.go.wait()
            except asyncio.CancelledError:
                if self._obeys:
                    raise


async def test_a_stop_does_not_wait_for_one_that_is_entered(
    processors: Processors, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log says that nothing is run yet; a stop cancels it, and lets it end itself."""
    monkeypatch.setattr(module, "LIFESPAN_PATIENCE", 0.01)
    hanging = Hanging(entering=True)
    processor = await processors.make(lifespan=hanging.lifespan)

    @processor.job
    async def work() -> None: ...

    job = await work.schedule()
    worker = RunningWorker(processor)
    await asyncio.wait_for(hanging.reached.wait(), WAIT)

    async def told() -> bool:
        return "nothing is run before it yields" in caplog.text

    await eventually(told)
    assert (await processor.get_healthcheck())["workers"] == []
    await worker.stop()
    assert hanging.ended == ["ended"]
    assert "did not end within" not in caplog.text
    found = await processor.get_job(job.id)
    assert found is not None
    assert found.status is JobStatus.PENDING


@pytest.mark.parametrize("who", ["worker", "run_job", "block"])
async def test_cancelled_while_it_is_entered(processors: Processors, who: str) -> None:
    """Whoever asked for it is cancelled, and so is it, unless somebody else waits for it."""
    hanging = Hanging(entering=True)
    processor = await processors.make(lifespan=hanging.lifespan)

    @processor.job
    async def work() -> str:
        return "done"

    async def block() -> None:
        async with processor.resources():
            pass

    calls: dict[str, Any] = {"worker": processor.run_worker, "run_job": work.run, "block": block}
    other = asyncio.create_task(work.run())
    await asyncio.wait_for(hanging.reached.wait(), WAIT)
    asked = asyncio.create_task(calls[who]())
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert asked.cancelled()
    assert hanging.ended == []
    other.cancel()
    await asyncio.wait([other])
    assert hanging.ended == ["ended"]
    hanging.go.set()
    assert (await work.run()).result() == "done"


@pytest.mark.parametrize("obeys", [True, False])
async def test_a_stop_does_not_wait_for_one_that_is_left(
    processors: Processors, caplog: pytest.LogCaptureFixture, obeys: bool
) -> None:
    """It is cancelled, and left alone where it does not obey; within the time of the stop."""
    hanging = Hanging(entering=False, obeys=obeys)
    processor, worker = await processors.start(lifespan=hanging.lifespan, **GRACES)
    began = time.monotonic()
    await worker.stop()
    took = time.monotonic() - began
    settings = processor.settings
    assert took < settings.shutdown_grace + 2 * settings.kill_grace + 5
    assert "did not end within" in caplog.text
    assert ("is left alone" in caplog.text) is not obeys
    assert hanging.ended == (["ended"] if obeys else [])
    assert (await processor.get_healthcheck())["workers"] == []
    hanging.go.set()


async def test_whoever_comes_while_it_is_left(processors: Processors) -> None:
    """Waits until it is, and then enters it anew: it is never entered twice at a time."""
    log: list[str] = []
    leaving, go = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[None]:
        log.append("enter")
        yield
        leaving.set()
        await go.wait()
        log.append("leave")

    processor = await processors.make(lifespan=lifespan, shutdown_grace=WAIT)

    @processor.job
    async def work(resources: None) -> None:
        log.append("run")

    worker = RunningWorker(processor)
    worker.controller.abort("test")
    await asyncio.wait_for(leaving.wait(), WAIT)
    job = asyncio.create_task(work.run())
    await asyncio.sleep(0)
    go.set()
    (await job).result()
    await worker.task
    assert log == ["enter", "leave", "enter", "run"]


async def test_a_plain_one_that_hangs(processors: Processors) -> None:
    """Its thread is left alone."""
    began = asyncio.Event()
    loop, go = asyncio.get_running_loop(), threading.Event()

    @contextmanager
    def lifespan(processor: JobProcessor) -> Iterator[None]:
        loop.call_soon_threadsafe(began.set)
        go.wait()
        yield

    processor = await processors.make(lifespan=lifespan)
    worker = RunningWorker(processor)
    await asyncio.wait_for(began.wait(), WAIT)
    await worker.stop()
    go.set()


async def test_a_task_of_its_own_that_dies(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """It cancels the lifespan: the worker says so, and stops after its runs, which have it yet."""
    die, running = asyncio.Event(), asyncio.Event()
    log: list[str] = []

    async def beside() -> None:
        await die.wait()
        raise ConnectionError("token expired")

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[list[str]]:
        async with asyncio.TaskGroup() as group:
            group.create_task(beside())
            yield log
        log.append("never")

    processor = await processors.make(lifespan=lifespan)

    @processor.job(resumable=True)
    async def work(resources: list[str] | Any, signal: Any) -> str:
        running.set()
        try:
            await signal.wait()
        finally:
            resources.append("run")
        return "done"

    job = await work.schedule()
    worker = RunningWorker(processor)
    await asyncio.wait_for(running.wait(), WAIT)
    die.set()
    with pytest.raises(WorkerStateError, match="lifespan was cancelled, as by a task of its own"):
        await asyncio.wait_for(worker.task, WAIT)
    assert log == ["run"]
    assert "token expired" in caplog.text
    found = await processor.get_job(job.id)
    assert found is not None
    assert found.status in (JobStatus.FINISHED, JobStatus.PAUSED)


async def test_a_program_that_ends(processors: Processors) -> None:
    """All tasks are cancelled at once: the runs end before the lifespan does."""
    log: list[str] = []
    running = asyncio.Event()

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[list[str]]:
        try:
            yield log
        finally:
            log.append("leave")

    processor = await processors.make(lifespan=lifespan, **GRACES)

    @processor.job(resumable=True)
    async def work(resources: Any) -> None:
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            resources.append("run")

    await work.schedule()
    worker = RunningWorker(processor)
    await asyncio.wait_for(running.wait(), WAIT)
    cancel_all()
    await asyncio.wait([worker.task], timeout=WAIT)
    assert log == ["run", "leave"]


def test_a_program_that_forgets_to_close() -> None:
    """Nothing that it left open holds its end up."""
    log: list[str] = []

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[None]:
        yield
        log.append("leave")

    processor = JobProcessor("sqlite://", lifespan=lifespan)

    async def main() -> None:
        await processor.setup()
        held.append(processor.resources())
        await held[0].__aenter__()

    held: list[Any] = []
    asyncio.run(main())
    assert log == ["leave"]


@pytest.mark.parametrize("where", ["entered", "left"])
async def test_one_that_runs_jobs(processors: Processors, where: str) -> None:
    """It would wait for itself for ever: it is told so."""
    errors: list[BaseException] = []

    async def run(processor: JobProcessor) -> None:
        try:
            await processor.run_job("work")
        except WorkerStateError as error:
            errors.append(error)

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[None]:
        if where == "entered":
            await run(processor)
        yield
        if where == "left":
            await run(processor)

    processor = await processors.make(lifespan=lifespan)

    @processor.job
    async def work() -> None: ...

    await asyncio.wait_for(processor.run_worker(burst=True), WAIT)
    (error,) = errors
    assert "the lifespan cannot run jobs, which need what it yields" in str(error)
