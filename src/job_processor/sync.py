"""A client for plain synchronous code: threads, web servers that fork, scripts.

The asynchronous processor works in an event loop in a thread of its own, one for each process: a
process that was forked makes a new one with its first call, and leaves the parent's alone.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Self, TypeVar

from bson import ObjectId

from job_processor.errors import InvalidArgumentError, JobProcessorError
from job_processor.jobs.chunks import Request
from job_processor.jobs.intake import schedule
from job_processor.jobs.request import JobRequest, Payload, When
from job_processor.models import Job, OnConflict, SimpleJob
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.tasks import cancel

__all__ = ["JobClient"]

T = TypeVar("T")
CLOSE_TIMEOUT = 5.0
"""Seconds that closing takes at the most."""


class JobClient:
    """Schedules and follows jobs from synchronous code; safe in threads and after a fork.

    db: the application's JobProcessor, whose database, definitions and integrations it uses (by
        connections of its own), or a database as a JobProcessor takes it: an address, or None.
    options: with a database, the others of JobProcessor, such as `jobs`.

    It connects with the first call. Raises InvalidArgumentError for a database that only one event
    loop or one process can use: an `AsyncDatabase`, or one in memory.
    """

    def __init__(self, db: JobProcessor | str | None = None, **options: Any) -> None:
        if isinstance(db, JobProcessor):
            if options:
                raise InvalidArgumentError(
                    "options", options, "allowed with a JobProcessor is none"
                )
            self._processor = db
        else:
            self._processor = JobProcessor(db, **options)
        self._processor.twin()  # raises for a database that cannot be shared
        self._runtimes: dict[int, _Runtime] = {}
        """By process id. Those of the processes that we were forked from stay as they are: their
        connections must not be closed here."""
        weakref.finalize(self, _close_here, self._runtimes)

    def schedule_job(
        self,
        name: str,
        payload: Payload = None,
        scheduled_for: When = None,
        priority: int = 0,
        expires_at: When = None,
        *,
        unique_key: str | None = None,
        on_conflict: OnConflict | None = None,
        unique_for: float | None = None,
    ) -> SimpleJob:
        """Store a job, as `JobProcessor.schedule_job` does; return it as it is in the database."""
        request = JobRequest(
            name,
            payload,
            scheduled_for,
            priority,
            expires_at,
            unique_key,
            on_conflict,
            unique_for,
        )
        return self._call(lambda processor: schedule(ready_parts_of(processor), request))

    def schedule_jobs(
        self, jobs: Iterable[Request], *, return_jobs: bool = True
    ) -> list[SimpleJob]:
        """Store many jobs, 1,000 in one write, as `JobProcessor.schedule_jobs` does."""
        return self._call(lambda processor: processor.schedule_jobs(jobs, return_jobs=return_jobs))

    def get_job(self, job_id: ObjectId | str) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""
        return self._call(lambda processor: processor.get_job(job_id))

    def kill_job(self, job_id: ObjectId | str) -> Job:
        """Kill a waiting job at once, ask the worker of a running one; return it as it then stands.

        Raises JobNotFoundError.
        """
        return self._call(lambda processor: processor.kill_job(job_id))

    def wait_for_job(self, job_id: ObjectId | str, timeout: float | None = None) -> Job:
        """Return a job once it is settled; other threads go on meanwhile.

        Raises JobNotFoundError, and JobTimeoutError after `timeout` seconds (None: never).
        """
        return self._call(lambda processor: processor.wait_for_job(job_id, timeout))

    def close(self) -> None:
        """Give the connections of this process back; a later call makes new ones."""
        _close_here(self._runtimes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, call: Callable[[JobProcessor], Coroutine[Any, Any, T]]) -> T:
        """Return what `call` comes to in the loop; interrupting the caller cancels it."""
        pid, future = os.getpid(), None
        while future is None:
            runtime = self._runtimes.get(pid)
            if runtime is None:  # no lock: a fork may have come while another thread held it
                runtime = self._runtimes.setdefault(pid, _Runtime(self._processor))
            future = runtime.submit(call)
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise JobProcessorError("the JobClient was closed during this call") from error
        except BaseException:
            future.cancel()
            raise


def _close_here(runtimes: dict[int, _Runtime]) -> None:
    """Close what belongs to this process."""
    runtime = runtimes.pop(os.getpid(), None)
    if runtime is not None:
        runtime.close()


class _Runtime:
    """A processor of its own in an event loop of its own, in one process."""

    def __init__(self, processor: JobProcessor) -> None:
        self._original = processor
        self._guard = threading.Lock()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._processor: JobProcessor | None = None
        self._setup: asyncio.Lock | None = None
        self._ready = False
        self._calls: set[asyncio.Task[Any]] = set()

    def submit(
        self, call: Callable[[JobProcessor], Coroutine[Any, Any, T]]
    ) -> concurrent.futures.Future[T] | None:
        """Hand a call over to the loop; None when this was closed before."""
        with self._guard:
            if self._closed:
                return None
            loop = self._running()
            if self._thread is threading.current_thread():
                raise JobProcessorError(
                    "a JobClient was called in its own event loop, for which it would wait for "
                    "ever; call it from another thread"
                )
            return asyncio.run_coroutine_threadsafe(self._answer(call), loop)

    def close(self) -> None:
        """Close the processor and end the loop, from whichever thread."""
        with self._guard:
            self._closed = True
            loop, thread = self._loop, self._thread
        if loop is not None and thread is not None:
            ending = asyncio.run_coroutine_threadsafe(self._end(), loop)
            concurrent.futures.wait([ending], CLOSE_TIMEOUT)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(CLOSE_TIMEOUT)

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_serve, args=(self._loop,), name="job-client", daemon=True
            )
            self._processor, self._setup = self._original.twin(), asyncio.Lock()
            self._ready = False
            self._thread.start()
        return self._loop

    async def _answer(self, call: Callable[[JobProcessor], Coroutine[Any, Any, T]]) -> T:
        assert self._processor is not None  # noqa: S101  # made before the loop
        assert self._setup is not None  # noqa: S101  # the same
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  # a coroutine that runs has one
        self._calls.add(task)
        try:
            if not self._ready:
                async with self._setup:
                    await self._processor.setup()
                    self._ready = True
            return await call(self._processor)
        finally:
            self._calls.discard(task)

    async def _end(self) -> None:
        await cancel(self._calls)
        if self._processor is not None:
            await self._processor.close()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
