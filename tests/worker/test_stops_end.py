"""A stop ends, whatever hangs; on both stores.

What hangs here hangs for good. How long a stop takes is told by real processes, in
tests/acceptance/test_stops.py; here it has little time beyond its graces.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from job_processor import (
    AbortSignal,
    JobDef,
    JobProcessor,
    JobStatus,
    Retry,
)
from job_processor.models import Job
from job_processor.worker import hooks, stopping
from job_processor.worker.processes.pool import Processes
from tests.desks import at
from tests.insides import engine_of, store_of
from tests.mongo_server import database_of
from tests.processors import WAIT, Processors, RunningWorker, eventually
from tests.proxy import Proxy
from tests.worker import process_handlers
from tests.worker.probe import Probe, ended, in_state

GRACES: dict[str, Any] = {"shutdown_grace": 0.2, "kill_grace": 0.1}


@pytest.fixture(autouse=True)
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stop have half a second beyond its graces."""
    monkeypatch.setattr(stopping, "_RUNS", 0.2)
    monkeypatch.setattr(stopping, "_WRITES", 0.4)
    monkeypatch.setattr(stopping, "_LEAVING", 0.5)


class Frozen:
    """A processor on a database that can be made to hang."""

    def __init__(self, processor: JobProcessor, hang: Callable[[], Awaitable[object]]) -> None:
        self.processor = processor
        self.hang = hang


@pytest.fixture
async def frozen(
    request: pytest.FixtureRequest, processors: Processors
) -> AsyncIterator[Callable[..., Awaitable[Frozen]]]:
    """Makes a processor whose database hangs on demand: no reply comes, nothing is refused."""
    async with AsyncExitStack() as stack:

        async def of_mongo(**options: Any) -> Frozen:
            url = request.getfixturevalue("mongo_server_url")
            proxy = await stack.enter_async_context(Proxy(url))
            name = database_of(processors.db_url)
            processor = await processors.make(db=proxy.url(name), **GRACES, **options)

            async def hang() -> None:
                proxy.hang()

            stack.callback(proxy.restore)
            return Frozen(processor, hang)

        async def of_sqlite(**options: Any) -> Frozen:
            processor = await processors.make(**GRACES, **options)
            store: Any = store_of(processor)
            release = threading.Event()
            stack.callback(release.set)

            async def hang() -> None:
                begun = threading.Event()

                def stand(_: object) -> None:
                    begun.set()
                    release.wait()

                store._connections.writer.call(stand)
                await eventually(_is_set(begun))

            return Frozen(processor, hang)

        yield of_sqlite if processors.db_url.startswith("sqlite") else of_mongo


def _is_set(event: threading.Event) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return event.is_set()

    return look


async def stopped(worker: RunningWorker) -> None:
    """Stop a worker; fail when it does not end."""
    worker.controller.abort("test")
    done, _ = await asyncio.wait([worker.task], timeout=WAIT)
    assert done


async def test_a_stop_ends_while_the_database_hangs(
    frozen: Callable[..., Awaitable[Frozen]], probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    """Runs are told at once, though nothing is answered any more; what is left is named."""
    told = asyncio.Event()

    async def resumable(signal: AbortSignal) -> None:
        probe.began.set()
        await signal.wait()
        told.set()
        signal.raise_if_aborted()

    made = await frozen(jobs={"a": JobDef(resumable, resumable=True)})
    worker = RunningWorker(made.processor)
    job = await made.processor.schedule_job("a")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    await made.hang()
    worker.controller.abort("test")
    await asyncio.wait_for(told.wait(), WAIT)
    await stopped(worker)
    assert f"left to the rescue are 'a' ({job.id})" in caplog.text
    assert "could not unregister" in caplog.text


async def test_a_worker_that_has_not_begun_stops_too(
    frozen: Callable[..., Awaitable[Frozen]],
) -> None:
    """Told while it waits for its registration, it ends."""
    made = await frozen()
    await made.hang()
    worker = RunningWorker(made.processor)
    await asyncio.sleep(0)
    await stopped(worker)


async def test_what_is_claimed_while_it_stops_is_given_back(
    processors: Processors, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A claim that comes back after the stop begins nothing: its job waits for others, at once."""
    processor = await processors.make(jobs={"held": JobDef(probe.held)}, **GRACES)
    claim, claiming = store_of(processor).queue.claim, asyncio.Event()
    release = asyncio.Event()

    async def slow(what: Any) -> list[Job]:
        jobs = await claim(what)
        if jobs:
            claiming.set()
            await release.wait()
        return jobs

    monkeypatch.setattr(store_of(processor).queue, "claim", slow)
    worker = RunningWorker(processor)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(claiming.wait(), WAIT)
    worker.controller.abort("test")
    release.set()
    await stopped(worker)
    assert (await in_state(processor, job, "pending")).worker_id is None
    assert not probe.began.is_set()


async def test_a_claim_that_never_comes_back_is_given_back(
    processors: Processors, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It gets `kill_grace`, and what it has claimed is found under the worker's id."""
    processor = await processors.make(jobs={"held": JobDef(probe.held)}, **GRACES)
    claim, claiming = store_of(processor).queue.claim, asyncio.Event()

    async def lost(what: Any) -> list[Job]:
        jobs = await claim(what)
        if jobs:
            claiming.set()
            await asyncio.Event().wait()
        return jobs

    monkeypatch.setattr(store_of(processor).queue, "claim", lost)
    worker = RunningWorker(processor)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(claiming.wait(), WAIT)
    await stopped(worker)
    assert (await in_state(processor, job, "pending")).worker_id is None


async def test_runs_are_told_before_anything_is_waited_for(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumable handler is asked at once, though a claim has yet to come back."""
    began, told, claiming = asyncio.Event(), asyncio.Event(), asyncio.Event()
    release = asyncio.Event()

    async def resumable(signal: AbortSignal) -> None:
        began.set()
        await signal.wait()
        told.set()
        signal.raise_if_aborted()

    options = {"shutdown_grace": 3 * WAIT, "kill_grace": 3 * WAIT}
    jobs = {"a": JobDef(resumable, resumable=True)}
    processor = await processors.make(jobs=jobs, **options)
    worker = RunningWorker(processor)
    await processor.schedule_job("a")
    await asyncio.wait_for(began.wait(), WAIT)
    claim = store_of(processor).queue.claim

    async def slow(what: Any) -> list[Job]:
        claiming.set()
        await release.wait()
        return await claim(what)

    monkeypatch.setattr(store_of(processor).queue, "claim", slow)
    await asyncio.wait_for(claiming.wait(), WAIT)
    worker.controller.abort("test")
    await asyncio.wait_for(told.wait(), WAIT)
    release.set()
    await stopped(worker)


async def test_run_job_waits_for_no_hook_of_another_job(processors: Processors) -> None:
    """It returns once those of its own job have ended."""
    release, called = asyncio.Event(), asyncio.Event()

    async def hook(_: Job) -> None:
        called.set()
        await release.wait()

    async def quick() -> None:
        pass

    jobs = {"hooked": JobDef(quick, on_job_exited=hook), "other": JobDef(quick)}
    processor, _ = await processors.start(jobs=jobs, shutdown_grace=3 * WAIT)
    await processor.schedule_job("hooked")
    await asyncio.wait_for(called.wait(), WAIT)
    async with asyncio.timeout(WAIT):
        assert (await processor.run_job("other")).status is JobStatus.FINISHED
    release.set()


@pytest.mark.parametrize("plain", [False, True])
async def test_a_hook_that_hangs_holds_nobody_up(
    processors: Processors, plain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither `run_job` of another name, nor the stop; the log names its job."""
    release, called = threading.Event(), threading.Event()

    async def hook(_: Job) -> None:
        called.set()
        await asyncio.Event().wait()

    def plain_hook(_: Job) -> None:
        called.set()
        release.wait()

    async def quick() -> None:
        pass

    jobs = {
        "hooked": JobDef(quick, on_job_exited=plain_hook if plain else hook),
        "other": JobDef(quick),
    }
    processor = await processors.make(jobs=jobs, **GRACES)
    worker = RunningWorker(processor)
    try:
        job = await processor.schedule_job("hooked")
        await eventually(_is_set(called))
        async with asyncio.timeout(WAIT):
            assert (await processor.run_job("other")).status is JobStatus.FINISHED
        await stopped(worker)
    finally:
        release.set()
    assert f"not waiting any longer for on_job_exited of 'hooked' ({job.id})" in caplog.text


async def test_who_runs_a_hook_that_hangs_waits_for_it_only_so_long(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A burst, and `run_job` of its own job, go on after the time of a stop."""

    async def hook(_: Job) -> None:
        await asyncio.Event().wait()

    async def quick() -> None:
        pass

    for module in ("worker.worker", "worker.run_job"):
        monkeypatch.setattr(f"job_processor.{module}.graceful_stop_seconds", lambda _: 0.1)
    processor = await processors.make(jobs={"a": JobDef(quick, on_job_exited=hook)}, **GRACES)
    async with asyncio.timeout(WAIT):
        ran = await processor.run_job("a")
        job = await processor.schedule_job("a")
        await processor.run_worker(burst=True)
    for each in (ran, job):
        assert f"not waiting any longer for on_job_exited of 'a' ({each.id})" in caplog.text


async def test_a_hook_has_a_limit(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """One that goes on is given up, and its job is named."""
    monkeypatch.setattr(hooks, "HOOK_TIMEOUT", 0.05)
    cancelled = asyncio.Event()

    async def hook(_: Job) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def quick() -> None:
        pass

    processor, _ = await processors.start(jobs={"a": JobDef(quick, on_job_exited=hook)})
    job = await processor.schedule_job("a")
    await asyncio.wait_for(cancelled.wait(), WAIT)
    await asyncio.sleep(0)
    assert f"on_job_exited of job 'a' ({job.id}) was given up" in caplog.text


async def test_handlers_that_fill_the_default_executor_hold_nothing_up(
    processors: Processors,
) -> None:
    """A process begins, a plain hook is called and the stop ends without a thread of asyncio's."""
    release, hooked = threading.Event(), threading.Event()
    full = asyncio.Event()
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, int)  # it is made with the first call
    size = loop._default_executor._max_workers  # type: ignore[attr-defined]
    started = 0

    async def fetch() -> None:
        nonlocal started
        started += 1
        if started == size:
            full.set()
        await asyncio.to_thread(release.wait)

    def quick() -> None:
        pass

    def hook(_: Job) -> None:
        hooked.set()

    jobs = {
        "fetch": JobDef(fetch),
        "hooked": JobDef(quick, on_job_exited=hook),
        "process": JobDef(process_handlers.add, executor="process"),
    }
    processor = await processors.make(jobs=jobs, concurrency=size + 5, **GRACES)
    worker = RunningWorker(processor)
    try:
        await processor.schedule_jobs(["fetch"] * size)
        await asyncio.wait_for(full.wait(), WAIT)
        job = await processor.schedule_job("process", {"a": 1, "b": 2})
        await processor.schedule_job("hooked")
        assert (await ended(processor, job)).status is JobStatus.FINISHED
        await eventually(_is_set(hooked))
        await stopped(worker)
    finally:
        release.set()
    assert (await processor.get_healthcheck())["workers"] == []


async def test_a_process_that_does_not_start_holds_no_stop_up(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its run is given up; the process ends should it ever start."""
    release, starting = threading.Event(), threading.Event()
    start = Processes._start

    def slow(*arguments: Any) -> Any:
        starting.set()
        release.wait()
        return start(*arguments)

    monkeypatch.setattr(Processes, "_start", slow)
    jobs = {"a": JobDef(process_handlers.add, executor="process")}
    processor = await processors.make(jobs=jobs, **GRACES)
    worker = RunningWorker(processor)
    try:
        job = await processor.schedule_job("a", {"a": 1, "b": 2})
        await eventually(_is_set(starting))
        await stopped(worker)
        found = await in_state(processor, job, "errored")
        assert found.output is not None
        assert found.output.error == "Interrupted"
    finally:
        release.set()


async def test_a_settler_that_is_gone_is_made_again(processors: Processors, probe: Probe) -> None:
    """Whoever stops writes the ends himself."""
    processor = await processors.make(jobs={"held": JobDef(probe.held, resumable=True)}, **GRACES)
    worker = RunningWorker(processor)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    engine: Any = engine_of(processor)
    engine._settling.cancel()
    await stopped(worker)
    assert (await in_state(processor, job, "paused")).worker_id is None


@pytest.mark.parametrize("verb", ["workers.unregister", "settings.remove", "rollups.add"])
async def test_a_last_word_that_hangs_holds_no_stop_up(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    """Whatever is asked of the database on the way out gets a limited time."""

    async def quick() -> None:
        pass

    processor = await processors.make(jobs={"a": JobDef(quick)}, **GRACES)
    worker = RunningWorker(processor)
    await ended(processor, await processor.schedule_job("a"))

    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(*at(store_of(processor), verb), hang)
    if verb == "settings.remove":
        (registered,) = (await processor.get_registrations()).workers
        await processor.stop_worker(registered.id)
        done, _ = await asyncio.wait([worker.task], timeout=WAIT)
        assert done
    else:
        await stopped(worker)


async def test_a_heartbeat_that_hangs_holds_no_stop_up(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its thread is left alone, and does not register anew what it finds gone."""
    processor = await processors.make(**GRACES)
    release, connecting = threading.Event(), threading.Event()
    open_pulse = store_of(processor).open_pulse

    def connect(*arguments: Any) -> Any:
        connecting.set()
        release.wait()
        return open_pulse(*arguments)

    monkeypatch.setattr(store_of(processor), "open_pulse", connect)
    worker = RunningWorker(processor)
    try:
        await eventually(_is_set(connecting))
        await stopped(worker)
    finally:
        release.set()
    for thread in threading.enumerate():
        if thread.name == "job-processor-heartbeat":
            await asyncio.to_thread(thread.join, WAIT)
    await asyncio.sleep(0)  # what it has left to the loop is done
    engine: Any = engine_of(processor)
    assert engine.lease._renewal is None
    assert (await processor.get_healthcheck())["workers"] == []


async def test_a_store_that_does_not_close_is_left(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Closing the processor ends; the log says what did not."""
    monkeypatch.setattr("job_processor.processor.CLOSE_TIMEOUT", 0.05)
    processor = await processors.make()

    async def hang() -> None:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(store_of(processor), "close", hang)
        async with asyncio.timeout(WAIT):
            await processor.close()
    assert "does not let go of its connections" in caplog.text
    await store_of(processor).close()


# --- a program that ends --------------------------------------------------------------------------


def cancel_all() -> None:
    """Cancel every task but this one, as `asyncio.run` does at its end."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def test_a_program_that_ends_gives_its_jobs_back(
    processors: Processors, probe: Probe
) -> None:
    """All tasks are cancelled at once, the settler's too: no crash is counted, nothing is left.

    However often it happens; a worker of the same processor that begins afterwards goes on.
    """
    processor = await processors.make(jobs={"held": JobDef(probe.held, resumable=True)}, **GRACES)
    job = await processor.schedule_job("held")
    for _ in range(4):
        await _work_until_cancelled(processor, probe)
        found = await in_state(processor, job, "paused")
        assert (found.crashes, found.worker_id) == (0, None)
        assert (await processor.get_healthcheck())["workers"] == []
    probe.release.set()
    worker = RunningWorker(processor)
    assert (await ended(processor, job)).status is JobStatus.FINISHED
    await stopped(worker)


@pytest.mark.parametrize("retry", [None, Retry()])
async def test_a_program_that_ends_interrupts_what_is_not_resumable(
    processors: Processors, probe: Probe, retry: Retry | None
) -> None:
    """As a shutdown does: it is retried where it may be, else errored "Interrupted"."""
    processor = await processors.make(jobs={"held": JobDef(probe.held, retry=retry)}, **GRACES)
    job = await processor.schedule_job("held")
    await _work_until_cancelled(processor, probe)
    found = await in_state(processor, job, "errored" if retry is None else "pending")
    assert found.output is not None
    assert found.output.error == "Interrupted"
    assert (await processor.get_healthcheck())["workers"] == []


async def _work_until_cancelled(processor: JobProcessor, probe: Probe) -> None:
    probe.began.clear()
    worker = RunningWorker(processor)
    await asyncio.wait_for(probe.began.wait(), WAIT)
    cancel_all()
    done, _ = await asyncio.wait([worker.task], timeout=WAIT)
    assert worker.task in done
    assert worker.task.cancelled()


async def test_a_program_that_ends_while_an_end_is_written(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether that was written or not: it is written again."""
    settling = asyncio.Event()

    async def quick() -> str:
        return "done"

    processor = await processors.make(jobs={"a": JobDef(quick)}, **GRACES)
    settle = store_of(processor).runs.settle

    async def hang_once(settlements: Any) -> Any:
        if not settling.is_set():
            settling.set()
            await asyncio.Event().wait()
        return await settle(settlements)

    monkeypatch.setattr(store_of(processor).runs, "settle", hang_once)
    worker = RunningWorker(processor)
    job = await processor.schedule_job("a")
    await asyncio.wait_for(settling.wait(), WAIT)
    cancel_all()
    await asyncio.wait([worker.task], timeout=WAIT)
    assert (await in_state(processor, job, "finished")).output is not None


async def test_a_run_job_whose_program_ends(processors: Processors, probe: Probe) -> None:
    """Its caller is cancelled together with everything else: the run is settled all the same."""
    processor = await processors.make(jobs={"held": JobDef(probe.held)}, **GRACES)
    running = asyncio.create_task(processor.run_job("held"))
    await asyncio.wait_for(probe.began.wait(), WAIT)
    (job,) = (await processor.find_jobs()).jobs
    cancel_all()
    done, _ = await asyncio.wait([running], timeout=WAIT)
    assert running in done
    found = await in_state(processor, job, "errored")
    assert found.output is not None
    assert found.output.error == "Interrupted"
    assert (await processor.get_healthcheck())["workers"] == []


async def test_a_processor_that_is_closed_stops_its_worker_first(
    processors: Processors, probe: Probe
) -> None:
    """`async with` is left while a worker runs: it writes its ends, and returns as usual."""
    processor = await processors.make(jobs={"held": JobDef(probe.held, resumable=True)}, **GRACES)
    watching = await processors.make()
    worker = RunningWorker(processor)
    job = await processor.schedule_job("held")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    async with asyncio.timeout(WAIT):
        await processor.close()
    assert worker.task.done()
    assert worker.task.exception() is None
    found = await in_state(watching, job, "paused")
    assert (found.crashes, found.worker_id) == (0, None)
    assert (await watching.get_healthcheck())["workers"] == []


async def test_a_processor_that_is_closed_interrupts_run_job(
    processors: Processors, probe: Probe
) -> None:
    """What `run_job` runs is settled before its database is closed."""
    processor = await processors.make(jobs={"held": JobDef(probe.held)}, **GRACES)
    watching = await processors.make()
    running = asyncio.create_task(processor.run_job("held"))
    await asyncio.wait_for(probe.began.wait(), WAIT)
    (job,) = (await processor.find_jobs()).jobs
    async with asyncio.timeout(WAIT):
        await processor.close()
    assert (await in_state(watching, job, "errored")).worker_id is not None
    await asyncio.wait([running], timeout=WAIT)
    running.exception()


async def test_a_worker_after_one_that_left_runs_behind(
    processors: Processors, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is let go with it: the next one counts only its own."""
    processor = await processors.make(jobs={"held": JobDef(probe.held, resumable=True)}, **GRACES)
    settle = store_of(processor).runs.settle

    async def hang(_: Any) -> Any:
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(store_of(processor).runs, "settle", hang)
        worker = RunningWorker(processor)
        job = await processor.schedule_job("held")
        await asyncio.wait_for(probe.began.wait(), WAIT)
        await stopped(worker)
    assert store_of(processor).runs.settle == settle
    probe.release.set()
    async with asyncio.timeout(WAIT):
        await processor.run_worker(burst=True)  # it rescues what the first one left
    assert (await ended(processor, job)).status is JobStatus.FINISHED
