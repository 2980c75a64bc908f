"""JobProcessor: the one place where the parts meet."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Self, TypeVar

from bson import ObjectId

from job_processor import monitoring
from job_processor.abort import AbortController, AbortSignal
from job_processor.clock import Clock
from job_processor.definitions import CronDef, JobDef, Registry
from job_processor.errors import (
    InvalidArgumentError,
    JobNotFoundError,
    JobStateError,
    NotSetUpError,
    WorkerStateError,
)
from job_processor.events import EventBus, Listener
from job_processor.killing import kill_job
from job_processor.models import (
    Job,
    JobPage,
    JobQuery,
    JobStatus,
    JobType,
    SimpleJob,
    object_id,
)
from job_processor.producer import JobRequest, Producer, ShortRequest, When
from job_processor.settings import Settings, check_int, check_name, check_positive, check_tags
from job_processor.store.opening import open_store
from job_processor.waiting import wait_for_job
from job_processor.worker.engine import Engine
from job_processor.worker.insertion import insert_or_skip
from job_processor.worker.worker import Worker

F = TypeVar("F", bound=Callable[..., Any])
PAGE_LIMIT = 1000
"""Jobs in one page of `find_jobs` at the most."""


class JobProcessor:
    """Schedules, runs and watches jobs and crons in one database.

    db: an `AsyncDatabase` of pymongo, "mongodb://host/name", "sqlite:///file.db" (relative),
        "sqlite:////abs/file.db", "sqlite://" (in memory, one process); None: $JOB_PROCESSOR_DB,
        else sqlite:///job_processor.db.
    logger: a logging.Logger or a structlog logger; None: logging.getLogger("job_processor").
    jobs, crons: definitions by name; more may be added with `job()` and `cron()`.
    worker_tags: the tags that a worker serves, besides definitions without one; None: all.
    concurrency: jobs that one worker runs at a time.
    timezone: IANA name; of every cron that names none.
    poll_interval: seconds; the slow sweep behind every notification.
    heartbeat_interval: seconds between two heartbeats.
    worker_timeout: seconds without a heartbeat after which a worker is dead.
    shutdown_grace: seconds that running jobs which are not resumable get to finish on shutdown.
    kill_grace: seconds between asking a handler to stop and forcing it.
    history_days: settled jobs are removed after this; at most 90 on MongoDB.
    service: owner of its crons; several services may share one database.
    collection_prefix: collections (tables) are named `<prefix>.jobs` and so on.
    clock: tells the time; tests give their own.

    Raises InvalidArgumentError for a value that is not allowed.
    """

    def __init__(
        self,
        db: Any = None,
        logger: Any = None,
        jobs: Mapping[str, JobDef] | None = None,
        crons: Mapping[str, CronDef] | None = None,
        worker_tags: Iterable[str] | None = None,
        concurrency: int = 10,
        timezone: str = "UTC",
        poll_interval: float = 1.0,
        heartbeat_interval: float = 10.0,
        worker_timeout: float = 60.0,
        shutdown_grace: float = 20.0,
        kill_grace: float = 5.0,
        history_days: float = 90,
        service: str = "default",
        collection_prefix: str = "job_processor",
        clock: Clock | None = None,
    ) -> None:
        self.settings = Settings(
            worker_tags=check_tags(worker_tags),
            concurrency=concurrency,
            timezone=timezone,
            poll_interval=poll_interval,
            heartbeat_interval=heartbeat_interval,
            worker_timeout=worker_timeout,
            shutdown_grace=shutdown_grace,
            kill_grace=kill_grace,
            history_days=history_days,
            service=service,
            collection_prefix=collection_prefix,
        )
        self.registry = Registry(
            jobs if jobs is not None else {}, crons if crons is not None else {}
        )
        self.logger = logger if logger is not None else logging.getLogger("job_processor")
        self._clock = clock or Clock()
        self._events = EventBus(self.logger)
        self._db = db
        self._store = open_store(db, self.settings)
        self._closed = False
        self._producer = Producer(self.registry, self._clock)
        self._engine: Engine | None = None
        self._working = False

    # --- definitions ----------------------------------------------------------------------------

    def job(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Define a job by decorating its handler; `options` are those of `JobDef`.

        Without a name it gets the function's. Raises DefinitionError.
        """

        def define(handler: F) -> F:
            self.registry.add_job(_name(name, handler), JobDef(handler, **options))
            return handler

        return define

    def cron(self, cron_string: str, name: str | None = None, **options: Any) -> Callable[[F], F]:
        """Define a cron by decorating its handler; `options` are those of `CronDef`.

        Without a name it gets the function's. Raises DefinitionError.
        """

        def define(handler: F) -> F:
            definition = CronDef(cron_string, handler, **options)
            self.registry.add_cron(_name(name, handler), definition)
            return handler

        return define

    # --- life -----------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where the database is, without credentials."""
        return self._store.address

    async def setup(self) -> None:
        """Connect, create and verify what the database needs; twice is harmless.

        Raises StoreUnavailableError when it cannot be reached, StoreSetupError when it cannot
        serve as it is.
        """
        if self._engine is not None:
            return
        if self._closed:
            self._store, self._closed = open_store(self._db, self.settings), False
        await self._store.setup()
        self._engine = self._make_engine()
        for tag in self.registry.unknown_tags(self.settings.worker_tags or ()):
            self.logger.warning("worker tag %r: no job and no cron has this tag", tag)

    def override(
        self, *, worker_tags: Iterable[str] | None = None, concurrency: int | None = None
    ) -> None:
        """Change what was given when this was made, before anything runs; None leaves it.

        Raises InvalidArgumentError.
        """
        changes: dict[str, Any] = {}
        if worker_tags is not None:
            changes["worker_tags"] = check_tags(worker_tags)
        if concurrency is not None:
            changes["concurrency"] = concurrency
        self.settings = replace(self.settings, **changes)
        if self._engine is not None:
            self._engine.close()
            self._engine = self._make_engine()

    async def close(self) -> None:
        """Close what `setup` opened; a database that was passed in stays open.

        `setup` opens it again; a memory database is then a new one.
        """
        engine, self._engine, self._closed = self._engine, None, True
        if engine is not None:
            engine.close()
        await self._store.close()

    async def __aenter__(self) -> Self:
        try:
            await self.setup()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event of this process; returns a function that ends it."""
        return self._events.listen(listener)

    # --- jobs -----------------------------------------------------------------------------------

    async def schedule_job(
        self,
        name: str,
        payload: Mapping[str, Any] | None = None,
        scheduled_for: When = None,
        priority: int = 0,
        expires_at: When = None,
    ) -> SimpleJob:
        """Store a job to run at `scheduled_for` (aware datetime, timedelta from now, None: now).

        Of those that are due, workers take the ones with the highest priority first, 0 to 9. One
        that has not begun by `expires_at` (as `scheduled_for`) is skipped.

        Returns it as stored: pending, or skipped when it is exclusive and one is active. Raises
        InvalidArgumentError for an unknown name, a payload that cannot be stored, a naive time,
        another priority or an expiry that comes too early.
        """
        self._ready()
        job = self._producer.make(name, payload, scheduled_for, priority, expires_at)
        (stored,) = await insert_or_skip(self._store, [job], self._clock)
        return _simple(stored)

    async def schedule_jobs(self, jobs: Iterable[JobRequest | ShortRequest]) -> list[SimpleJob]:
        """Store many jobs in one bulk write.

        Each is a `JobRequest`, `(name, payload)` or `(name, payload, scheduled_for)`.

        Returns them as stored, in order. Raises as `schedule_job` does, before any is stored.
        """
        self._ready()
        made = self._producer.make_all(jobs)
        stored = await insert_or_skip(self._store, made, self._clock)
        return [_simple(job) for job in stored]

    async def run_job(self, name: str, payload: Mapping[str, Any] | None = None) -> SimpleJob:
        """Run a job here and now, whatever its tag; return it settled.

        It is one attempt: its failure is returned, not retried. This process is registered and
        sends heartbeats meanwhile, so that its crash is noticed.
        """
        engine = self._ready()
        definition = self.registry.runnable(name)
        async with engine:
            job = self._producer.make_running(name, payload, engine.worker_id)
            (stored,) = await insert_or_skip(self._store, [job], self._clock)
            if stored.settled:
                return _simple(stored)
            run = engine.executor.start(stored, definition, of_worker=False)
            run.done = asyncio.get_running_loop().create_future()
            written = await engine.finish(run)
            await engine.reporter.hooks_ended()
        if written is None or not written.settled:  # taken away, or paused by its worker's end
            written = await self.wait_for_job(stored.id)
        return _simple(written)

    async def wait_for_job(self, job_id: ObjectId | str, timeout: float | None = None) -> Job:
        """Return a job once it is settled.

        Raises JobNotFoundError, and JobTimeoutError after `timeout` seconds (None: never).
        """
        self._ready()
        if timeout is not None:
            check_positive("timeout", timeout, zero=True)
        return await wait_for_job(
            self._store, object_id(job_id), timeout, self.settings.poll_interval
        )

    async def get_job(self, job_id: ObjectId | str) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""
        self._ready()
        return await self._store.get(object_id(job_id))

    async def find_jobs(
        self,
        name: str | None = None,
        status: JobStatus | str | None = None,
        type: JobType | None = None,
        limit: int = 50,
        after: ObjectId | str | None = None,
    ) -> JobPage:
        """Return a page of jobs and cron tasks, newest first; pass its `next` as `after`."""
        self._ready()
        check_int("limit", limit, minimum=1)
        if limit > PAGE_LIMIT:
            raise InvalidArgumentError("limit", limit, f"allowed are at most {PAGE_LIMIT}")
        if name is not None:
            check_name("name", name)
        query = JobQuery(
            name=name,
            status=_status(status),
            type=_type(type),
            limit=limit + 1,
            after=object_id(after, "after") if after is not None else None,
        )
        jobs = await self._store.find(query)
        more = len(jobs) > limit
        return JobPage(tuple(jobs[:limit]), str(jobs[limit - 1].id) if more else None)

    async def kill_job(self, job_id: ObjectId | str) -> Job:
        """Kill a waiting job at once, ask the worker of a running one to stop it.

        Returns the job as it then stands; a settled one stays as it ended. Raises
        JobNotFoundError.
        """
        self._ready()
        return await kill_job(self._store, object_id(job_id), self._clock)

    async def retry_job(self, job_id: ObjectId | str) -> Job:
        """Send a settled job round again, now, with all its attempts; return it pending.

        Raises JobNotFoundError, JobStateError when it is not settled, and JobConflictError when it
        is exclusive and another one of its name is active.
        """
        self._ready()
        id = object_id(job_id)
        while True:
            job = await self._store.get(id)
            if job is None:
                raise JobNotFoundError(id)
            if not job.settled:
                raise JobStateError(f"job {id} is {job.status}; only a settled one can be retried")
            await self._store.acknowledge_kills([id])  # they were meant for the run that has ended
            waiting = await self._store.requeue(id, self._clock.now())
            if waiting is not None:
                return waiting

    # --- worker ---------------------------------------------------------------------------------

    async def run_worker(self, signal: AbortSignal | None = None, burst: bool = False) -> None:
        """Run jobs and crons until `signal` is aborted, then stop gracefully.

        With `burst` it returns when nothing is due and its own runs and hooks have ended.
        Cancelling it forces the stop. It waits for a database that is away. Raises
        WorkerStateError when a worker of this processor runs already, or when one of its
        background tasks died.
        """
        engine = self._ready()
        if self._working:
            raise WorkerStateError("a worker of this processor is running already")
        self._working = True
        try:
            await Worker(engine).run(signal or AbortController().signal, burst=burst)
        finally:
            self._working = False

    # --- watching -------------------------------------------------------------------------------

    async def get_status(self) -> dict[str, Any]:
        """Return workers, queue, jobs and crons in plain JSON values, in bounded time and size."""
        self._ready()
        return await monitoring.get_status(self._store)

    async def get_healthcheck(self) -> dict[str, Any]:
        """Return `{now, workers, queue}` in plain JSON values."""
        self._ready()
        return await monitoring.get_healthcheck(self._store)

    def _make_engine(self) -> Engine:
        return Engine(
            self._store, self.registry, self.settings, self._clock, self._events, self.logger
        )

    def _ready(self) -> Engine:
        if self._engine is None:
            raise NotSetUpError("call `await processor.setup()` or use `async with processor:`")
        return self._engine


async def init_job_processor(
    db: Any = None,
    logger: Any = None,
    jobs: Mapping[str, JobDef] | None = None,
    crons: Mapping[str, CronDef] | None = None,
    worker_tags: Iterable[str] | None = None,
    **options: Any,
) -> JobProcessor:
    """Return a processor that is made and set up; `options` are the others of `JobProcessor`."""
    processor = JobProcessor(
        db=db, logger=logger, jobs=jobs, crons=crons, worker_tags=worker_tags, **options
    )
    try:
        await processor.setup()
    except BaseException:
        await processor.close()
        raise
    return processor


def _simple(job: Job) -> SimpleJob:
    assert isinstance(job, SimpleJob)  # noqa: S101  # made as one by the producer
    return job


def _name(name: str | None, handler: Callable[..., Any]) -> str:
    if callable(name):
        raise InvalidArgumentError("name", name, "write @processor.job() with parentheses")
    return name if name is not None else getattr(handler, "__name__", type(handler).__name__)


def _status(status: JobStatus | str | None) -> JobStatus | None:
    try:
        return JobStatus(status) if status is not None else None
    except ValueError as error:
        allowed = ", ".join(repr(each.value) for each in JobStatus)
        raise InvalidArgumentError("status", status, f"allowed are {allowed}") from error


def _type(type: JobType | None) -> JobType | None:
    if type not in (None, "simple", "cron_task"):
        raise InvalidArgumentError("type", type, "allowed are 'simple' and 'cron_task'")
    return type
