"""One worker in this process: connected, watched, told to stop, and left."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from job_processor.cli.app.extras import require
from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.loading import App, load_app
from job_processor.cli.app.output import live_console
from job_processor.cli.app.source import Source
from job_processor.cli.supervise import event_loop, logs
from job_processor.cli.supervise.options import WorkerOptions
from job_processor.cli.supervise.stopping import Leaving, Stopper
from job_processor.cli.supervise.tie import Tie
from job_processor.errors import StoreUnavailableError
from job_processor.hooks import Integration
from job_processor.processor import JobProcessor
from job_processor.tasks import Backoff, cancel

if TYPE_CHECKING:  # see `live_console`
    from rich.console import Console

T = TypeVar("T")
_CANCELLED_WITHIN = 1.0  # seconds that a call to a database that is away has for its own end
_USUAL_THRESHOLDS = (700, 2000)  # of new objects, up to Python 3.13 and later
_YOUNG = 10_000
"""New objects after which garbage is looked for: more than a claim of many jobs makes."""


def run(source: Source, options: WorkerOptions, tie: Tie | None) -> int:
    """Run a worker in this process; return the exit code."""
    make_loop = event_loop.read_loop(options.loop)
    app = load_app(source)
    logs_itself = bool(logging.getLogger().handlers)  # those lines would tear a live view
    may_live = tie is None and not logs_itself and options.format is None
    live = live_console() if may_live else None
    logs.configure(options.level, live, options.format, one_of_many=tie is not None)
    with _metrics(options.metrics_port) as integrations:
        work = _work(app, options, live, integrations, tie)
        return event_loop.run(work, make_loop)


def _metrics(port: str | None) -> AbstractContextManager[list[Integration]]:
    if port is None:
        return contextlib.nullcontext([])
    require("prometheus", "--metrics-port")
    from job_processor.cli.supervise.metrics import served  # noqa: PLC0415  # see above

    return served(port)


async def _work(
    app: App,
    options: WorkerOptions,
    live: Console | None,
    integrations: list[Integration],
    tie: Tie | None,
) -> int:
    leaving = Leaving()
    stopper = Stopper(logging.getLogger("job_processor"))
    code = DONE
    with stopper.listening():
        if tie is not None:
            tie.watch(stopper.logger)
        processor = await _connect(app, options.overrides, stopper)
        if processor is not None:
            processor.install(*integrations)
            if tie is not None:
                tie.tell_ready_of(processor)
            try:
                async with _watched(processor, stopper, live):
                    with _collected_seldom():
                        code = await _run_worker(processor, stopper, options.burst)
            finally:
                await processor.close()
        with stopper.leaving():
            await leaving.check(code, stopper)
    return code


async def _connect(app: App, overrides: Mapping[str, Any], stopper: Stopper) -> JobProcessor | None:
    """Return the processor, set up, however long its database is away; None when told to stop."""
    processor = await _until_reached(app.processor, stopper)
    if processor is None:
        return None
    try:
        processor.override(**overrides)
        stopper.give_time(processor.settings)
        await _until_reached(processor.setup, stopper)
    except BaseException:
        await processor.close()
        raise
    if stopper.signal.aborted:
        await processor.close()
        return None
    return processor


async def _until_reached(call: Callable[[], Coroutine[Any, Any, T]], stopper: Stopper) -> T | None:
    """Make `call` until its database answers; None when told to stop before."""
    backoff = Backoff()
    stop = asyncio.create_task(stopper.signal.wait())
    try:
        while not stop.done():
            attempt = asyncio.create_task(call())
            await asyncio.wait([attempt, stop], return_when=asyncio.FIRST_COMPLETED)
            if not attempt.done():
                await cancel([attempt], _CANCELLED_WITHIN)
                break
            try:
                return attempt.result()
            except StoreUnavailableError as error:
                pause = backoff.next()
                stopper.logger.warning("%s; trying again in %.1f s", error, pause)
                await asyncio.wait([stop], timeout=pause)
    finally:
        stop.cancel()
    return None


@asynccontextmanager
async def _watched(
    processor: JobProcessor, stopper: Stopper, live: Console | None
) -> AsyncIterator[None]:
    """Show a live view, or log what happens, for the time of the block."""
    if live is None:
        forget = logs.log_events(processor)
        try:
            yield
        finally:
            forget()
    else:
        from job_processor.cli.views.worker import WorkerView  # noqa: PLC0415  # only on a terminal

        async with WorkerView(processor).shown(live) as view:
            stopper.restore_terminal = view.stop
            yield


@contextlib.contextmanager
def _collected_seldom() -> Iterator[None]:
    """Spare the garbage collector, for the time of the block, what it would look at in vain.

    What the program consists of lives as long as the process: a worker that is busy would look
    through all of it every few thousand jobs. What its running jobs consist of is freed without a
    collector: several hundred jobs would have it looked through again and again before they end.
    Together that is a tenth of a busy worker's time, or more. A program that has set its own is
    left alone.
    """
    threshold = gc.get_threshold()
    gc.collect()
    gc.freeze()
    if threshold[0] in _USUAL_THRESHOLDS:
        gc.set_threshold(_YOUNG, *threshold[1:])
    try:
        yield
    finally:
        gc.set_threshold(*threshold)
        gc.unfreeze()


async def _run_worker(processor: JobProcessor, stopper: Stopper, burst: bool) -> int:
    work = asyncio.create_task(processor.run_worker(stopper.signal, burst=burst))
    stopper.forces(work)
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait([work])
    if work.cancelled():
        processor.logger.warning("the worker was forced to stop")
        return FAILED
    error = work.exception()
    if error is not None:  # the worker has logged its traceback
        processor.logger.critical("the worker stopped: %s: %s", type(error).__name__, error)
        return FAILED
    return DONE
