"""JobProcessor: the one place where the parts meet."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

from job_processor.clock import Clock
from job_processor.errors import InvalidArgumentError, NotSetUpError, StoreError, WorkerStateError
from job_processor.events import EventBus, Listener
from job_processor.facade.base import OTHER_LOOP, running_loop
from job_processor.facade.checking import Checking
from job_processor.facade.control import Control
from job_processor.facade.defining import Defining
from job_processor.facade.moving import Moving
from job_processor.facade.scheduling import Producing
from job_processor.facade.searches import Searches
from job_processor.handlers.abort import AbortController, AbortSignal
from job_processor.handlers.definitions import CronDef, JobDef, Registry
from job_processor.hooks import Host, Integration, Scopes, Stamps
from job_processor.jobs.intake import Scheduling
from job_processor.jobs.services import list_names
from job_processor.jobs.wait import Waiting
from job_processor.node.rules import check_crons, check_registry
from job_processor.parts import Parts
from job_processor.settings import CLOSE_TIMEOUT, Settings, check_tags
from job_processor.store.opening import open_store
from job_processor.worker.engine import Engine
from job_processor.worker.worker import Worker


class JobProcessor(Defining, Producing, Control, Moving, Checking):
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
    ageing: seconds; what has waited longer for a worker is taken before what has a higher priority;
        None: never.
    integrations: what ties it to something outside, such as those of `job_processor.integrations`.

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
        ageing: float | None = None,
        integrations: Iterable[Integration] = (),
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
            ageing=ageing,
        )
        self.registry = Registry(
            jobs if jobs is not None else {}, crons if crons is not None else {}
        )
        self.logger = logger if logger is not None else logging.getLogger("job_processor")
        self._clock = clock or Clock()
        self._events = EventBus(self.logger)
        self._scopes = Scopes(self.logger)
        self._stamps = Stamps(self.logger)
        self._db = db
        self._store = open_store(db, self.settings)
        self._closed = False
        self._searches = Searches()
        self._scheduling = self._make_scheduling()
        self._engine = None
        self._waiting = None
        self._loop = None
        self._worker: Worker | None = None
        self.install(*integrations)

    # --- life -----------------------------------------------------------------------------------

    @property
    def address(self) -> str:
        """Where the database is, without credentials."""
        return self._store.address

    async def setup(self) -> None:
        """Connect, create and verify what the database needs; twice is harmless.

        Raises StoreUnavailableError when it cannot be reached, StoreSetupError when it cannot
        serve as it is, SharedDatabaseError when the Node package works on it too and a definition
        cannot be had beside it.
        """
        loop = running_loop()
        if self._loop not in (None, loop):
            self._leave_loop()
        if self._engine is not None:
            return
        if self._closed:
            self._store, self._closed = open_store(self._db, self.settings), False
        self._loop = loop
        await self._store.setup()
        await self._check_sharing()
        with contextlib.suppress(StoreError):  # a worker lists them again, and says what is wrong
            await list_names(self._store, self.registry, self.settings)
        self._engine = self._make_engine()
        self._waiting = Waiting(self._store, self.settings.poll_interval)
        for tag in self.registry.unknown_tags(self.settings.worker_tags or ()):
            self.logger.warning("worker tag %r: no job and no cron has this tag", tag)

    def _leave_loop(self) -> None:
        """Let go of what belongs to an event loop that was closed under us, as by `asyncio.run`.

        Raises NotSetUpError where that loop still runs, and where the database is its own.
        """
        loop = self._loop
        if loop is None or not loop.is_closed() or not isinstance(self._db, str | None):
            raise NotSetUpError(OTHER_LOOP)
        self._forget_loop()
        self._closed = self._store.needs_heartbeat  # what is in memory has no connection to lose

    def _forget_loop(self) -> None:
        if self._engine is not None:
            self._engine.close()
        if self._waiting is not None:
            self._waiting.close()
        self._engine = self._waiting = self._worker = self._loop = None

    def override(
        self,
        *,
        worker_tags: Iterable[str] | None = None,
        concurrency: int | None = None,
        db: Any = None,
        clock: Clock | None = None,
    ) -> Callable[[], None]:
        """Change what was given when this was made, before anything runs; None leaves it.

        Returns a function that changes it back. Raises InvalidArgumentError, and WorkerStateError
        for another `db` or `clock` while it is set up.
        """
        changes: dict[str, Any] = {}
        if worker_tags is not None:
            changes["worker_tags"] = check_tags(worker_tags)
        if concurrency is not None:
            changes["concurrency"] = concurrency
        before = self.settings, self._db, self._clock
        self._become(
            replace(self.settings, **changes),
            self._db if db is None else db,
            self._clock if clock is None else clock,
        )
        return lambda: self._become(*before)

    def _become(self, settings: Settings, db: Any, clock: Clock) -> None:
        if db is not self._db or clock is not self._clock:
            if self._engine is not None:
                raise WorkerStateError("close the processor before its db or clock is changed")
            self._store, self._closed = open_store(db, settings), False
            self._db, self._clock = db, clock
            self._scheduling = self._make_scheduling()
        self.settings = settings
        if self._engine is not None:
            self._engine.close()
            self._engine = self._make_engine()

    def twin(self) -> JobProcessor:
        """Return another processor of the same definitions and integrations on the same database.

        It is not set up, and belongs to the event loop that sets it up: one for each loop. Raises
        InvalidArgumentError where two cannot share the database: an `AsyncDatabase` belongs to one
        loop, one in memory to one processor.
        """
        if not self._store.needs_heartbeat or not isinstance(self._db, str | None):
            allowed = "allowed for several event loops is the address of a server or a file"
            raise InvalidArgumentError("db", self._db, allowed)
        twin = copy.copy(self)
        store = open_store(self._db, self.settings)
        vars(twin).update(
            _store=store, _closed=False, _engine=None, _waiting=None, _loop=None, _worker=None
        )
        return twin

    async def close(self) -> None:
        """Close what `setup` opened; a database that was passed in stays open.

        A worker that still runs is forced to stop first, and a `run_job`: their ends are written.
        What hangs is left alone after a while. `setup` opens it again; a memory database is then a
        new one.
        """
        if self._loop is not None and self._loop.is_closed():  # its connections went with it
            self._forget_loop()
            self._closed = True
            return
        if self._worker is not None:
            await self._worker.leave()
            self._worker = None
        engine, self._engine, self._closed = self._engine, None, True
        self._loop = None
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.close()
        if engine is not None:
            await engine.end()
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT):
                await self._store.close()
        except TimeoutError:
            self.logger.warning("%s does not let go of its connections", self._store.address)

    async def __aenter__(self) -> Self:
        running_loop()  # without one there is nothing to close, either
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

    def install(self, *integrations: Integration) -> None:
        """Install integrations, as `integrations=` does when it is made.

        Raises InvalidArgumentError for what is none.
        """
        for integration in integrations:
            if isinstance(integration, type) or not isinstance(integration, Integration):
                allowed = "allowed are integrations: objects with a method install(host)"
                raise InvalidArgumentError("integrations", integration, allowed)
            integration.install(self._host())

    # --- worker ---------------------------------------------------------------------------------

    async def run_worker(self, signal: AbortSignal | None = None, burst: bool = False) -> None:
        """Run jobs and crons until `signal` is aborted, then stop gracefully.

        With `burst` it returns when nothing is due and its own runs and hooks have ended.
        Cancelling it forces the stop. It waits for a database that is away. Raises
        WorkerStateError when a worker of this processor runs already, or when one of its
        background tasks died.
        """
        engine = self._ready()
        if self._worker is not None:
            raise WorkerStateError("a worker of this processor is running already")
        self._worker = worker = Worker(engine)
        try:
            await worker.run(signal or AbortController().signal, burst=burst)
        finally:
            self._worker = None

    async def _check_sharing(self) -> None:
        """Refuse what the Node package, where it works on this database too, does not allow."""
        check_registry(self._store, self.registry)
        if self._store.refuses_own_fields and self.registry.crons:
            await check_crons(self._store, self.registry, self.settings.timezone)

    def _make_engine(self) -> Engine:
        return Engine(
            Parts(
                self._store,
                self.registry,
                self.settings,
                self._clock,
                self._events,
                self._scopes,
                self._stamps,
                self.logger,
            )
        )

    def _make_scheduling(self) -> Scheduling:
        def history() -> float:
            """Return after how many days settled jobs go, by us or by the database."""
            return min(self.settings.history_days, self._store.history_days)

        return Scheduling(self.registry, self._clock, self._events, self._stamps, history)

    def _host(self) -> Host:
        return Host(
            logger=self.logger,
            settings=self.settings,
            listen=self._events.listen,
            around_handlers=self._scopes.add,
            wrap_calls=self._scopes.wrap,
            preload=self._scopes.preload,
            stamp=self._stamps.add,
            definition=self.registry.get,
            get_status=self.get_status,
            get_vitals=self.get_vitals,
            count_waiting=self.count_waiting,
        )


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
