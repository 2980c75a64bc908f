"""A stop ends, whatever hangs; on both stores.

What hangs here hangs for good. How long a stop takes is told by real processes, in
tests/acceptance/test_stops.py; here it has little time beyond its graces.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from job_processor import AbortSignal, JobDef, JobStatus
from job_processor.models import Job
from job_processor.worker.processes.pool import Processes
from tests.desks import at
from tests.insides import engine_of, store_of
from tests.processors import WAIT, Processors, RunningWorker, eventually
from tests.worker import process_handlers
from tests.worker.conftest import _is_set
from tests.worker.frozen import GRACES, Frozen, stopped
from tests.worker.probe import Probe, ended, in_state

pytestmark = pytest.mark.usefixtures("little_time")


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

    async def slow(what: Any) -> Sequence[Job]:
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

    async def lost(what: Any) -> Sequence[Job]:
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

    async def slow(what: Any) -> Sequence[Job]:
        claiming.set()
        await release.wait()
        return await claim(what)

    monkeypatch.setattr(store_of(processor).queue, "claim", slow)
    await asyncio.wait_for(claiming.wait(), WAIT)
    worker.controller.abort("test")
    await asyncio.wait_for(told.wait(), WAIT)
    release.set()
    await stopped(worker)


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
    # pymongo looks the address of a new connection up in such a thread: it has enough of them here.
    await asyncio.gather(*(processor.get_healthcheck() for _ in range(10)))
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
