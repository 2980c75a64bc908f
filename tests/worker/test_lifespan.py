"""A lifespan is entered once by a process that runs jobs, and left after the last of them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from job_processor import (
    Context,
    Job,
    JobProcessor,
    LifespanError,
    NotSetUpError,
    WorkerStateError,
)
from job_processor.handlers.current import current_job
from job_processor.hooks import Host
from tests.processors import QUICK, WAIT, Processors


@pytest.fixture
def db_url() -> str:
    """In memory: nothing here depends on the database."""
    return "sqlite://"


class Opened:
    """What handlers share, and what happened, in order."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.entered = 0

    @asynccontextmanager
    async def lifespan(self, processor: JobProcessor) -> AsyncIterator[Opened]:
        """Enter, and leave."""
        self.entered += 1
        self.log.append("enter")
        yield self
        self.log.append("leave")


@pytest.fixture
def opened() -> Opened:
    """What is opened by a lifespan."""
    return Opened()


async def test_every_kind_of_handler_gets_them(processors: Processors, opened: Opened) -> None:
    """Coroutines, threads and crons, `around` and the hook; also by the context; entered once."""
    processor = await processors.make(lifespan=opened.lifespan)
    given: dict[str, list[Any]] = {}

    @asynccontextmanager
    async def around(job: Job, resources: Opened) -> AsyncIterator[None]:
        given.setdefault(job.name, []).append(resources)
        yield

    @contextmanager
    def around_plainly(job: Job, *, resources: Opened) -> Iterator[None]:
        given.setdefault(job.name, []).append(resources)
        yield

    def hook(job: Job, resources: Opened) -> None:
        given.setdefault(job.name, []).append(resources)

    async def hook_later(job: Job, resources: Opened) -> None:
        hook(job, resources)

    @processor.job(around=around, on_job_exited=hook)
    async def coroutine(resources: Opened, to: str, context: Context) -> None:
        given["coroutine"] += [resources, context.resources]

    @processor.job(around=around_plainly, on_job_exited=hook_later)
    def thread(to: str, *, resources: Opened) -> None:
        assert threading.current_thread() is not threading.main_thread()
        given["thread"].append(resources)

    @processor.cron("0 0 1 1 *")
    async def yearly(resources: Opened, context: Context) -> None:
        given["yearly"] = [resources, context.resources]

    for _ in range(2):
        await coroutine.schedule(to="ada")
    await thread.schedule(to="ada")
    await processor.run_worker(burst=True)  # which plans the cron
    await processor.run_cron("yearly")
    await processor.run_worker(burst=True)
    assert given == {"coroutine": [opened] * 8, "thread": [opened] * 3, "yearly": [opened] * 2}
    assert opened.log == ["enter", "leave"] * 2  # once by each worker


async def test_it_is_left_after_all_that_runs(processors: Processors, opened: Opened) -> None:
    """The last run, what stands around it, and its hook have ended, in a stop, too."""
    processor, worker = await processors.start(lifespan=opened.lifespan)
    running, hooked = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def around(job: Job) -> AsyncIterator[None]:
        yield
        opened.log.append("around")

    async def hook(job: Job) -> None:
        await asyncio.sleep(0)
        opened.log.append("hook")
        hooked.set()

    @processor.job(around=around, on_job_exited=hook)
    async def work(resources: Opened) -> None:
        running.set()
        await asyncio.sleep(0.05)  # it goes on while the worker stops
        opened.log.append("run")

    await work.schedule()
    await asyncio.wait_for(running.wait(), WAIT)
    await worker.stop()
    assert hooked.is_set()
    assert opened.log == ["enter", "run", "around", "hook", "leave"]
    assert (await processor.get_healthcheck())["workers"] == []


async def test_it_is_not_entered_by_who_only_schedules(
    processors: Processors, opened: Opened
) -> None:
    """Nor by what looks, waits or kills."""
    processor = await processors.make(lifespan=opened.lifespan)

    @processor.job
    async def work(resources: Opened) -> None: ...

    job = await work.schedule()
    await processor.get_status()
    await processor.kill_job(job.id)
    await processor.close()
    assert opened.log == []


async def test_run_job_leaves_it_open(processors: Processors, opened: Opened) -> None:
    """It is entered by the first, shared by all, and left as the processor is closed."""
    processor = await processors.make(lifespan=opened.lifespan)

    @processor.job
    async def work(resources: Opened) -> int:
        return resources.entered

    jobs = await asyncio.gather(*(work.run() for _ in range(3)))
    assert [job.result() for job in [*jobs, await work.run()]] == [1] * 4
    assert opened.log == ["enter"]
    await processor.close()
    assert opened.log == ["enter", "leave"]
    await processor.setup()
    assert (await work.run()).result() == 2


async def test_a_worker_and_run_job_share_it(processors: Processors, opened: Opened) -> None:
    """What a worker leaves behind while a job runs here stays for that, and then to the close."""
    processor, worker = await processors.start(lifespan=opened.lifespan)
    running, go = asyncio.Event(), asyncio.Event()

    @processor.job
    async def work(resources: Opened) -> None:
        running.set()
        await go.wait()
        resources.log.append("run")

    job = asyncio.create_task(work.run())
    await asyncio.wait_for(running.wait(), WAIT)
    await worker.stop()
    assert opened.log == ["enter"]
    go.set()
    (await job).result()
    assert opened.log == ["enter", "run"]
    await processor.close()
    assert opened.log == ["enter", "run", "leave"]


async def test_a_worker_leaves_what_run_job_left_open(
    processors: Processors, opened: Opened
) -> None:
    """It takes over what is entered, and leaves it at its end."""
    processor = await processors.make(lifespan=opened.lifespan)

    @processor.job
    async def work(resources: Opened) -> None: ...

    await work.run()
    await processor.run_worker(burst=True)
    assert opened.log == ["enter", "leave"]


async def test_a_block_shares_it(processors: Processors, opened: Opened) -> None:
    """`resources()` enters it, or holds what is entered, to its end."""
    processor = await processors.make(lifespan=opened.lifespan)
    async with processor.resources() as first, processor.resources() as second:
        assert first is second is opened
        await processor.run_worker(burst=True)
        assert opened.log == ["enter"]
    assert opened.log == ["enter", "leave"]
    plain = await processors.make()
    async with plain.resources() as nothing:
        assert nothing is None
    await plain.close()
    with pytest.raises(NotSetUpError):
        plain.resources()


async def test_it_may_use_its_processor(processors: Processors) -> None:
    """Set up, from its first line to its last, whoever ends it."""
    scheduled = []

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[None]:
        scheduled.append((await processor.schedule_job("work")).id)
        yield
        scheduled.append((await processor.schedule_job("work")).id)

    processor = await processors.make(lifespan=lifespan)

    @processor.job
    async def work() -> None: ...

    await processor.run_worker(burst=True)
    assert len((await processor.find_jobs(status="finished")).jobs) == 1
    await work.run()
    await processor.close()
    assert len(scheduled) == 4


async def test_it_may_enter_its_processor(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """As it has to in the process of a handler: it is set up, and stays so."""

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[JobProcessor]:
        async with processor:
            yield processor
        await processor.schedule_job("work")

    processor = await processors.make(lifespan=lifespan)

    @processor.job
    async def work(resources: JobProcessor) -> None: ...

    await work.schedule()
    await asyncio.wait_for(processor.run_worker(burst=True), WAIT)
    statuses = sorted(job.status for job in (await processor.find_jobs()).jobs)
    assert statuses == ["finished", "pending"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_plain_manager_is_entered_in_a_thread(processors: Processors) -> None:
    """The event loop goes on meanwhile."""
    threads = []

    @contextmanager
    def lifespan(processor: JobProcessor) -> Iterator[str]:
        threads.append(threading.current_thread())
        yield "opened"
        threads.append(threading.current_thread())

    processor = await processors.make(lifespan=lifespan)

    @processor.job
    async def work(resources: str | Any) -> str:
        return str(resources)

    job = await work.schedule()
    await processor.run_worker(burst=True)
    assert (await work.wait(job)).result() == "opened"
    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_one_task_enters_and_leaves_it(processors: Processors) -> None:
    """Task groups and timeouts want that; it is of no job, even where one needed it first."""
    seen: list[Any] = []
    before: ContextVar[str] = ContextVar("before")
    before.set("as it was")

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[None]:
        seen.append((asyncio.current_task(), current_job(), before.get()))
        async with asyncio.TaskGroup():
            yield
        seen.append((asyncio.current_task(), current_job(), before.get()))

    processor = await processors.make(lifespan=lifespan)
    other = await processors.make()

    @processor.job
    async def inner() -> None: ...

    @other.job
    async def outer() -> None:
        await inner.run()

    (await outer.run()).result()
    await processor.close()
    assert seen[0] == seen[1]
    assert seen[0][1:] == (None, "as it was")


async def test_integrations_wrap_it(processors: Processors, opened: Opened) -> None:
    """As one async call, from entering to leaving it; what fails there fails as it does."""

    class Wrapping:
        def install(self, host: Host) -> None:
            host.wrap_calls(lambda call, is_async: partial(self.wrapped, call, is_async))

        async def wrapped(self, call: Any, is_async: bool) -> Any:
            opened.log.append(f"before {is_async}")
            if opened.entered:
                raise ConnectionError("no thread")
            await call()
            opened.log.append("after")

    processor = await processors.make(lifespan=opened.lifespan, integrations=[Wrapping()])
    await processor.run_worker(burst=True)
    assert opened.log == ["before True", "enter", "leave", "after"]
    with pytest.raises(LifespanError, match="no thread"):
        await processor.run_worker(burst=True)


def test_one_event_loop_after_the_other(opened: Opened) -> None:
    """Each enters its own; what a loop that ends still holds is left there."""
    processor = JobProcessor("sqlite://", lifespan=opened.lifespan, **QUICK)

    @processor.job
    async def work(resources: Opened) -> int:
        return resources.entered

    entered: list[int] = []

    async def closing() -> None:
        async with processor:
            entered.append((await work.run()).result())

    async def leaving() -> None:
        await processor.setup()
        entered.append((await work.run()).result())

    for main in (closing, closing, leaving, leaving, closing):
        asyncio.run(main())
    assert opened.log == ["enter", "leave"] * 5
    assert entered == [1, 2, 3, 4, 5]


async def test_a_twin_has_its_own(tmp_path: Path, opened: Opened) -> None:
    """It runs in an event loop of its own, perhaps."""
    db = f"sqlite:///{tmp_path}/jobs.db"
    async with JobProcessor(db, lifespan=opened.lifespan, **QUICK) as processor:

        @processor.job
        async def work(resources: Opened) -> None: ...

        await work.run()
        async with processor.twin() as twin:
            (await twin.run_job("work")).result()
        assert opened.log == ["enter", "enter", "leave"]
    assert opened.log == ["enter", "enter", "leave", "leave"]


async def test_another_one_may_take_its_place(opened: Opened) -> None:
    """Before it is set up; it gets its own back."""
    processor = JobProcessor("sqlite://", lifespan=opened.lifespan, **QUICK)
    other = Opened()
    undo = processor.override(lifespan=other.lifespan)
    async with processor:
        await processor.run_worker(burst=True)
        with pytest.raises(WorkerStateError, match="before its lifespan is changed"):
            processor.override(lifespan=opened.lifespan)
    undo()
    assert (opened.entered, other.entered) == (0, 1)
    async with processor:
        await processor.run_worker(burst=True)
    assert (opened.entered, other.entered) == (1, 1)


async def test_other_settings_leave_it_open(processors: Processors, opened: Opened) -> None:
    """What is changed between two jobs that are run here does not enter it again."""
    processor = await processors.make(lifespan=opened.lifespan)

    @processor.job
    async def work(resources: Opened) -> None: ...

    await work.run()
    processor.override(concurrency=3)
    await work.run()
    await processor.close()
    assert opened.log == ["enter", "leave"]
