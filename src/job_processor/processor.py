"""JobProcessor: the face of the library. Each method says what it does and hands it on.

It is long on purpose, so that the whole of it is in one place. What only some processes need, such
as a worker, is imported by the method that needs it: one that only schedules loads none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import fields, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import (
    InvalidArgumentError,
    JobProcessorError,
    NotSetUpError,
    StoreError,
    WorkerStateError,
)
from job_processor.events import EventBus, Listener
from job_processor.handlers.abort import AbortController, AbortSignal
from job_processor.handlers.around import Around
from job_processor.handlers.defaults import Defaults
from job_processor.handlers.definitions import (
    CronDef,
    CronOptions,
    Definition,
    JobDef,
    JobOptions,
)
from job_processor.handlers.groups import Group, GroupInfo
from job_processor.handlers.labels import Labels
from job_processor.handlers.registry import Registry
from job_processor.handlers.resources import Lifespan, check_manager, check_resources
from job_processor.hooks import Host, Integration, Scopes, Stamps
from job_processor.jobs import after as relations
from job_processor.jobs import intake
from job_processor.jobs.after import Parents
from job_processor.jobs.chunks import OnProgress, Requests
from job_processor.jobs.request import JobRequest, Payload, When
from job_processor.jobs.services import list_names
from job_processor.models import (
    CronTask,
    Job,
    JobStatus,
    JobType,
    OnConflict,
    OnParentFailure,
    Registrations,
    RelatedJob,
    SimpleJob,
    Vitals,
    object_id,
)
from job_processor.parts import Parts, ready_parts_of
from job_processor.settings import (
    CLOSE_TIMEOUT,
    COUNT_CAP_OF_SELECTIONS,
    GROUP_PAGE,
    GROUPS_SHOWN,
    LANES_SHOWN,
    MESSAGE_TTL,
    Duration,
    Settings,
    check_int,
    check_tags,
    duration,
)
from job_processor.store.opening import open_store
from job_processor.store.searches import Searches
from job_processor.tasks import in_thread

if TYPE_CHECKING:
    from job_processor.crons.manage import CronInfo
    from job_processor.crons.schedules import SchedulePage
    from job_processor.handlers.codecs import Codec
    from job_processor.handlers.definitions import Misfire
    from job_processor.handlers.flows import FlowInfo, FlowSummary
    from job_processor.handlers.limits import Limit
    from job_processor.handlers.rates import Rate
    from job_processor.jobs.actions import Acted, Action
    from job_processor.jobs.chunks import Request
    from job_processor.jobs.collection import Given, Jobs
    from job_processor.jobs.decorator import Decorator
    from job_processor.jobs.flows import Flow
    from job_processor.jobs.groups import Called, OpenGroup
    from job_processor.jobs.handle import JobHandle
    from job_processor.jobs.limits import LaneJobs, LimitInfo
    from job_processor.jobs.pages import JobPage
    from job_processor.jobs.pauses import Pauses
    from job_processor.jobs.portal import Portal
    from job_processor.jobs.rates import RateInfo
    from job_processor.jobs.wait import Waiting
    from job_processor.node.migration import MigrationReport
    from job_processor.ops.audit import AuditEntry
    from job_processor.ops.check import Finding
    from job_processor.ops.scaling import Scaling
    from job_processor.redaction import Redaction
    from job_processor.store import Store
    from job_processor.store.error_groups import ErrorGroup
    from job_processor.store.name_rollups import Kind, NameRollup
    from job_processor.store.rollups import Rollup
    from job_processor.store.schedules import Schedule
    from job_processor.store.summaries import SummaryPage
    from job_processor.worker.engine import Engine
    from job_processor.worker.resources import Resources
    from job_processor.worker.worker import Worker

F = TypeVar("F", bound=Callable[..., Any])

_OTHER_LOOP = (
    "this processor was set up in another event loop, to which its connections belong; use a "
    "`processor.twin()` for each loop, and in threads and sync functions a "
    "`job_processor.sync.JobClient`"
)


class JobProcessor:
    """Stores, runs and shows the jobs and crons of one database.

    db: an `AsyncDatabase` of pymongo, "mongodb://host/name", "sqlite:///file.db" (relative),
        "sqlite:////abs/file.db", "sqlite://" (in memory, one process); None: $JOB_PROCESSOR_DB,
        else sqlite:///job_processor.db.
    logger: a logging.Logger or a structlog logger; None: logging.getLogger("job_processor").
    jobs: definitions by name, a collection (`Jobs`), or a list of these. `@processor.job` adds
        more.
    crons: definitions by name. `@processor.cron` adds more.
    worker_tags: the tags (queues) that a worker serves, besides definitions without a tag; None:
        all.
    concurrency: how many jobs one worker runs at the same time (its slots).
    timezone: IANA name; for crons that have no time zone of their own.
    poll_interval: seconds; how often a worker polls the database in case it missed a notification.
    heartbeat_interval: seconds between two heartbeats of a worker.
    worker_timeout: seconds without a heartbeat after which a worker counts as crashed; at least two
        heartbeats, at most 240 on MongoDB.
    shutdown_grace: seconds that running jobs which are not resumable get to finish on shutdown.
    kill_grace: seconds between asking a handler to stop and forcing it.
    history_days: days after which finished, errored, killed and skipped jobs are removed; at most
        90 on MongoDB.
    keep_errored_days: days after which errored jobs are removed, sooner or later than the others;
        None: as the others. At most 90 on MongoDB.
    service: the name of the application that owns the crons; several services may share one
        database.
    collection_prefix: prefix of collections and tables: `<prefix>.jobs` and so on.
    clock: replaces the system's clock; for tests.
    ageing: seconds; a job that has waited longer for a worker runs before jobs of a higher
        priority; None: never.
    integrations: integrations to install, such as those of `job_processor.integrations`.
    defaults: options for all jobs and crons that do not set them themselves: `JobOptions(retry=3)`.
    around: a function that gets a job and returns a context manager, which is entered around each
        run of any handler.
    lifespan: a function that gets this processor and returns a context manager, such as one with
        `@asynccontextmanager`. Each process that runs jobs enters it once and leaves it when its
        worker ends. Handlers get the value that it yields as `resources`.
    codec: encodes payloads and results before they are stored: `Encryption`, `Offload`, or your
        own. All processors of a database that run or read these jobs need it.

    An option with a unit takes a number of that unit, or a timedelta.

    ```python
    processor = JobProcessor("sqlite:///jobs.db", concurrency=20)
    ```

    Raises InvalidArgumentError for a value that is not allowed.
    """

    _portal: Portal | None = None
    """For synchronous code, once it schedules something."""

    def __init__(
        self,
        db: Any = None,
        logger: Any = None,
        jobs: Given = None,
        crons: Mapping[str, CronDef] | None = None,
        worker_tags: Iterable[str] | None = None,
        concurrency: int = 10,
        timezone: str = "UTC",
        poll_interval: Duration = 1.0,
        heartbeat_interval: Duration = 10.0,
        worker_timeout: Duration = 60.0,
        shutdown_grace: Duration = 20.0,
        kill_grace: Duration = 5.0,
        history_days: Duration = 90,
        service: str = "default",
        collection_prefix: str = "job_processor",
        clock: Clock | None = None,
        ageing: Duration | None = None,
        integrations: Iterable[Integration] = (),
        defaults: JobOptions | None = None,
        around: Around | None = None,
        lifespan: Lifespan | None = None,
        keep_errored_days: Duration | None = None,
        codec: Codec | None = None,
    ) -> None:
        settings = Settings(
            worker_tags=check_tags(worker_tags),
            concurrency=concurrency,
            timezone=timezone,
            poll_interval=duration("poll_interval", poll_interval),
            heartbeat_interval=duration("heartbeat_interval", heartbeat_interval),
            worker_timeout=duration("worker_timeout", worker_timeout),
            shutdown_grace=duration("shutdown_grace", shutdown_grace, zero=True),
            kill_grace=duration("kill_grace", kill_grace, zero=True),
            history_days=duration("history_days", history_days, "days"),
            keep_errored_days=(
                None
                if keep_errored_days is None
                else duration("keep_errored_days", keep_errored_days, "days")
            ),
            service=service,
            collection_prefix=collection_prefix,
            ageing=None if ageing is None else duration("ageing", ageing),
        )
        check_manager("lifespan", lifespan, "processor")
        if codec is not None:
            from job_processor.handlers.codecs import check_codec

            check_codec(codec)
        self._codec = codec
        collections, definitions = _parted(jobs)
        registry = Registry(
            definitions, crons if crons is not None else {}, Defaults(defaults, around)
        )
        logger = logger if logger is not None else logging.getLogger("job_processor")
        self._db = db
        self._parts = Parts(
            store=self._opened(db, settings),
            registry=registry,
            settings=settings,
            clock=clock or Clock(),
            events=EventBus(logger),
            scopes=Scopes(logger),
            stamps=Stamps(logger),
            searches=Searches(),
            logger=logger,
            lifespan=lifespan,
        )
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop that its connections belong to."""
        self._is_set_up = False
        self._waiting: Waiting | None = None
        """Who waits for jobs, once somebody does."""
        self._running: Engine | None = None
        """What runs jobs here, once something needs it."""
        self._resources: Resources | None = None
        """What the lifespan yields, once something that runs jobs needs it."""
        self._worker: Worker | None = None
        for collection in collections:
            collection.attach(self, self._define)
        self.install(*integrations)

    # --- what it is made of ---------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The options of this processor: those of its constructor, as changed by `override`."""
        return self._parts.settings

    @property
    def registry(self) -> Registry:
        """The jobs and crons that are defined on this processor."""
        return self._parts.registry

    @property
    def logger(self) -> logging.Logger | Any:
        """The logger that this processor writes to."""
        return self._parts.logger

    @property
    def address(self) -> str:
        """The address of the database, without credentials."""
        return self._parts.store.address

    @property
    def job(self) -> Decorator:
        """Define a job by decorating its handler: `@processor.job`, or with options of `JobDef`.

        ```python
        @processor.job(retry=3)
        async def send(to: str, subject: str = "hi") -> None: ...
        ```

        The job is named after the function, or `@processor.job("name")`. The decorated function is
        a `JobHandle`: call it as before, or store a job with `await send.schedule(to="ada")`.

        Raises DefinitionError, and SharedDatabaseError as `setup` does.
        """
        from job_processor.jobs.decorator import Decorator

        return Decorator(self._define, lambda: self)

    def cron(
        self,
        cron_string: str | None = None,
        name: str | None = None,
        **options: Unpack[CronOptions],
    ) -> Callable[[F], F]:
        """Define a cron by decorating its handler; `options` are those of `CronDef`.

        ```python
        @processor.cron("0 2 * * *", timezone="Europe/Paris")
        async def nightly_export() -> None: ...
        ```

        `@processor.cron(every=timedelta(minutes=5))` runs at an interval instead. The cron is named
        after the function unless `name` is given.

        Raises DefinitionError, and SharedDatabaseError as `setup` does.
        """
        from job_processor.jobs.decorator import decorated_cron

        return decorated_cron(self._define, cron_string, name, options)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event of this process; returns a function that stops it."""
        return self._parts.events.listen(listener)

    def install(self, *integrations: Integration) -> None:
        """Install integrations, as the option `integrations` does.

        Raises InvalidArgumentError for an object that is not an integration.
        """
        for integration in integrations:
            if isinstance(integration, type) or not isinstance(integration, Integration):
                allowed = "allowed are integrations: objects with a method install(host)"
                raise InvalidArgumentError("integrations", integration, allowed)
            integration.install(self._host())

    # --- life -----------------------------------------------------------------------------------

    async def setup(self) -> None:
        """Connect to the database and prepare it; a second call does nothing.

        On MongoDB it creates and verifies indexes; on SQLite it creates or migrates the tables.
        `async with processor:` calls it, and `close` at the end.

        Raises StoreUnavailableError when the database cannot be reached, StoreSetupError when it
        cannot be used as it is, and SharedDatabaseError when the Node package uses the same
        database and a definition needs a feature that it would refuse.
        """
        loop = running_loop()
        if self._loop not in (None, loop):
            self._leave_loop()
        if self._is_set_up:
            return
        if self._closed:
            self._parts = replace(self._parts, store=self._opened(self._db, self.settings))
            self._closed = False
        self._loop, store = loop, self._parts.store
        await store.setup()
        await self._check_definitions()
        with contextlib.suppress(StoreError):  # a worker lists them again, and says what is wrong
            await list_names(store, self.registry, self.settings)
        self._is_set_up = True
        for tag in self.registry.unknown_tags(self.settings.worker_tags or ()):
            self.logger.warning("worker tag %r: no job and no cron has this tag", tag)

    async def close(self) -> None:
        """Close what `setup` opened; a database object that you passed in stays open.

        A worker or a `run_job` that is still running is forced to stop, and its jobs are recorded.
        A handler that cannot be stopped is abandoned after some seconds. `setup` opens the
        processor again; a database in memory is then empty. Called by the processor's own lifespan,
        it does nothing, because the processor is in use.
        """
        if self._resources is not None and self._resources.is_calling:
            return
        if self._loop is not None and self._loop.is_closed():  # its connections went with it
            self._forget_loop()
            self._closed = True
            return
        if self._worker is not None:
            await self._worker.leave()
        if self._waiting is not None:
            self._waiting.close()
        if self._resources is not None:
            await self._end_runs(self._resources)
        store = self._parts.store
        self._is_set_up = False
        self._running = self._waiting = self._worker = self._resources = self._loop = None
        self._closed = True
        if self._portal is not None and self._portal.is_open:
            await in_thread(self._portal.close, "job-processor-portal")
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT):
                await store.close()
        except TimeoutError:
            self.logger.warning("%s does not let go of its connections", store.address)

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

    def override(
        self,
        *,
        worker_tags: Iterable[str] | None = None,
        concurrency: int | None = None,
        db: Any = None,
        clock: Clock | None = None,
        lifespan: Lifespan | None = None,
    ) -> Callable[[], None]:
        """Change options of the constructor before anything runs; None leaves an option as it is.

        Returns a function that restores them. Raises InvalidArgumentError, and WorkerStateError for
        another `db`, `clock` or `lifespan` while the processor is set up.
        """
        check_manager("lifespan", lifespan, "processor")
        changes: dict[str, Any] = {}
        if worker_tags is not None:
            changes["worker_tags"] = check_tags(worker_tags)
        if concurrency is not None:
            changes["concurrency"] = concurrency
        before = self.settings, self._db, self._parts.clock, self._parts.lifespan
        self._become(
            replace(self.settings, **changes),
            self._db if db is None else db,
            self._parts.clock if clock is None else clock,
            self._parts.lifespan if lifespan is None else lifespan,
        )
        return lambda: self._become(*before)

    def twin(self) -> JobProcessor:
        """Return a copy of this processor for use in another event loop.

        It has the same definitions, integrations and database, and connections of its own. Set it
        up in the loop that uses it.

        Raises InvalidArgumentError if the database cannot be shared: an `AsyncDatabase` belongs to
        one event loop, and a database in memory to one processor.
        """
        if not self._is_shared():
            allowed = "allowed for several event loops is the address of a server or a file"
            raise InvalidArgumentError("db", self._db, allowed)
        twin = copy.copy(self)
        parts = replace(self._parts, store=self._opened(self._db, self.settings))
        vars(twin).update(
            _parts=parts,
            _closed=False,
            _loop=None,
            _is_set_up=False,
            _waiting=None,
            _running=None,
            _resources=None,
            _worker=None,
        )
        vars(twin).pop("_portal", None)
        return twin

    def observer(self, *, db: Any = None, collection_prefix: str | None = None) -> JobProcessor:
        """Return a processor without handlers on the same database, as the command line uses it.

        It knows the names and tags that are defined here, and can list, kill and retry jobs. It
        runs no jobs and is not registered as a worker. It is not set up.

        db: another database, as the constructor takes it; None: the same one.
        collection_prefix: another prefix; None: the same one.
        """
        return JobProcessor(
            self._db if db is None else db,
            self.logger,
            jobs={
                name: JobDef(None, tag=its.tag, rate=its.rate, limit=its.limit)
                for name, its in self.registry.all.items()
            },
            concurrency=self.settings.concurrency,
            timezone=self.settings.timezone,
            history_days=self.settings.history_days,
            keep_errored_days=self.settings.keep_errored_days,
            codec=self._codec,
            service=self.settings.service,
            collection_prefix=(
                self.settings.collection_prefix if collection_prefix is None else collection_prefix
            ),
        )

    async def database_exists(self) -> bool:
        """Return whether the database exists: False for an SQLite file not created yet.

        It creates nothing and needs no `setup`. True for a server, always; False for a database in
        memory.
        """
        return await self._parts.store.exists()

    # --- jobs -----------------------------------------------------------------------------------

    async def schedule_job(
        self,
        name: str,
        payload: Payload = None,
        scheduled_for: When = None,
        priority: int = 0,
        expires_at: When = None,
        *,
        unique_key: str | None = None,
        on_conflict: OnConflict | None = None,
        unique_for: Duration | None = None,
        limit_key: str | float | None = None,
        rate_key: str | float | None = None,
        after: Parents = None,
        on_parent_failure: OnParentFailure | None = None,
        labels: Labels = None,
        session: Any = None,
    ) -> SimpleJob:
        """Store a job, to run now or later.

        name: of the job, which this process has to know.
        payload: a mapping or, where the handler takes one, an instance of its payload class; either
            is checked against that class.
        scheduled_for: when it may start: an aware datetime, or a timedelta from now; None: now.
        priority: 0 to 9; of the jobs that are due, those with the highest priority start first.
        expires_at: a job that has not started by then is skipped; as `scheduled_for`; None: never.
        unique_key: at most one job of this name holds a key, while it is pending, running or
            paused.
        on_conflict: what happens when another job holds the key. `return` (the default): that job
            is returned; `skip`: the new job is stored as skipped; `replace`: the new job replaces
            the other if that is pending; if it runs or is paused, the new one is stored beside it;
            `error`: JobConflictError.
        unique_for: seconds from now during which the key is held, however the job ends.
        limit_key: the key of its concurrency limit, if the payload does not have it: a text or a
            number.
        rate_key: the key of its rate limit, if the payload does not have it.
        after: jobs, ids of jobs and cron tasks, or groups that must finish first, at most 100. The
            job starts after all of them, and not before `scheduled_for`.
        on_parent_failure: what happens when one of these fails, is killed or skipped. `skip` (the
            default): the job is skipped, and the jobs after it in turn; `run`: it runs anyway;
            `wait`: it waits until the failed one is retried and finishes.
        labels: labels to find it by, besides those of its definition: `["tenant:42"]`, at most 16
            of 100 characters.
        session: the transaction to store the job in: an `AsyncClientSession` of the client of this
            database, a `ClientSession` of a synchronous client of the same servers, or a `sqlite3`
            or `aiosqlite` connection to the same file. A conflict in it is an error.

        ```python
        job = await processor.schedule_job("send", {"to": "ada"}, timedelta(hours=1))
        ```

        Returns the stored job: pending, or skipped if it is `exclusive` and another job of its name
        is pending, running or paused.

        Raises InvalidArgumentError for a value that is not allowed, such as a naive datetime;
        UnknownJobError for a name that is not defined here; PayloadError for a payload that cannot
        be stored; InvalidPayloadError for one that does not fit the handler; JobConflictError as
        `on_conflict` says; and StoreUnavailableError when the database does not answer.
        """
        parts = self._ready()
        request = JobRequest(
            name,
            payload,
            scheduled_for,
            priority,
            expires_at,
            unique_key,
            on_conflict,
            unique_for,
            limit_key,
            rate_key,
            after,
            on_parent_failure,
            labels=labels,
        )
        return await intake.schedule(parts, request, session)

    def schedule_sync(self, request: JobRequest) -> SimpleJob:
        """Store a job from synchronous code; blocks until it is stored and returns it.

        It needs no `setup`: each process has one background thread with an event loop and
        connections for it. A database that only one event loop can use (in memory, or an
        `AsyncDatabase`) is used in that loop, for instance from a sync handler.

        Raises the errors of `schedule_job`; JobProcessorError if an event loop runs in this thread,
        because it would be blocked; InvalidArgumentError for a database of one event loop that is
        not running.
        """
        if is_in_loop():
            raise JobProcessorError(
                "an event loop runs here, and would be blocked; write `await ….schedule(…)`"
            )
        from job_processor.jobs.portal import Portal, call_in

        if self._is_set_up and self._loop is not None and not self._is_shared():

            async def here() -> SimpleJob:
                return await intake.schedule(self._ready(), request)

            return call_in(self._loop, here())
        # No lock: a fork may have come while another thread held it.
        portal: Portal = self._portal or vars(self).setdefault("_portal", Portal(self))
        return portal.call(lambda twin: intake.schedule(ready_parts_of(twin), request))

    async def schedule_jobs(
        self,
        jobs: Requests,
        *,
        session: Any = None,
        on_progress: OnProgress | None = None,
        return_jobs: bool = True,
    ) -> list[SimpleJob]:
        """Store many jobs, 1,000 in one bulk write.

        jobs: an iterable, plain or async, of names, `(name, payload)`, `(name, payload,
            scheduled_for)` and `JobRequest`, which has every option of `schedule_job`.
        session: as in `schedule_job`.
        on_progress: called, or awaited, after each write with the number of jobs stored so far.
        return_jobs: False returns an empty list, so that memory stays bounded for any number of
            jobs.

        Returns the stored jobs in order. If nothing was stored, raises the errors of
        `schedule_job`; if only some jobs were stored, raises BulkError, which lists the positions
        of the others.
        """
        return await intake.schedule_all(
            self._ready(), jobs, session, on_progress, return_jobs=return_jobs
        )

    def group(self, *, then: Called | None = None, catch: Called | None = None) -> OpenGroup:
        """Open a group of jobs: `async with processor.group(then="zip") as group`.

        Add members in the block with `await group.add("resize", {"id": 1})`. After the block, only
        members can add more, while they run.

        then: a job to store once all members have finished: its name, its handle or a JobRequest.
            It is stored exactly once each time the group ends. In a JobRequest, timedeltas of
            `scheduled_for` and `expires_at` count from the end of the group.
        catch: a job to store once all members have ended and at least one was errored, killed or
            skipped, or if the block has raised.

        The handlers of `then` and `catch` find the group in `context.group`.

        Raises InvalidArgumentError as `schedule_job` does, and SharedDatabaseError in a database
        that the Node package uses.
        """
        from job_processor.jobs.groups import OpenGroup

        return OpenGroup(self._ready, then, catch)

    async def schedule_group(
        self,
        name: str | JobHandle[..., Any],
        payloads: Iterable[Any] | AsyncIterable[Any],
        *,
        then: Called | None = None,
        catch: Called | None = None,
        on_progress: OnProgress | None = None,
    ) -> Group:
        """Store a group with a member for each payload, 1,000 in one write.

        name: the name of the members, or their handle with its options.
        payloads: an iterable, plain or async; it is read as the members are stored.
        then, catch: as in `group`.
        on_progress: as in `schedule_jobs`.

        Raises the errors of `schedule_jobs`. If only some members were stored, they still run, and
        `catch` is stored at the end.
        """
        from job_processor.jobs.groups import schedule_group

        return await schedule_group(self._ready, name, payloads, then, catch, on_progress)

    async def get_group(self, group_id: ObjectId | str) -> Group | None:
        """Return a group, to wait for it, inspect, kill or retry it; None for an unknown id."""
        from job_processor.jobs.groups import GroupDesk

        parts, wanted = self._ready(), object_id(group_id, "group_id")
        if await parts.store.groups.get(wanted) is None:
            return None
        return Group(wanted, GroupDesk(parts))

    async def find_groups(
        self, limit: int = GROUPS_SHOWN, after: ObjectId | str | None = None
    ) -> list[GroupInfo]:
        """Return groups, newest first.

        limit: at most 100.
        after: the id of a group; only older ones are returned.
        """
        from job_processor.jobs.groups import find_groups

        parts, (most, below) = self._ready(), _bounds(limit, after)
        return await find_groups(parts, most, below)

    def flow(self, name: str = "flow") -> Flow:
        """Return an empty flow: jobs that run after each other, which are stored together.

        ```python
        flow = processor.flow("import")
        download = flow.add("download", {"file": 7})
        flow.add("index", after=download)
        await flow.start()
        ```

        name: a name for the flow, for people: shown in dashboard and command line.
        """
        from job_processor.jobs.flows import Flow

        return Flow(self._ready, name)

    def chain(
        self,
        *jobs: Request | JobHandle[..., Any],
        name: str = "chain",
        on_parent_failure: OnParentFailure | None = None,
    ) -> Flow:
        """Return a flow in which each job runs after the one before; `start()` stores it.

        jobs: names, `(name, payload)`, handles and JobRequests.
        name: a name for the flow, for people.
        on_parent_failure: as in `schedule_job`, for each job of the chain.

        Raises the errors of `schedule_job`.
        """
        from job_processor.jobs.flows import chain

        return chain(self._ready, jobs, name, on_parent_failure)

    async def get_flow(self, flow_id: ObjectId | str) -> FlowInfo | None:
        """Return a flow: its jobs in levels, with counts by state; None for an unknown id."""
        from job_processor.jobs.flow_graph import get_flow

        return await get_flow(self._ready(), object_id(flow_id, "flow_id"))

    async def find_flows(
        self, limit: int = GROUPS_SHOWN, after: ObjectId | str | None = None
    ) -> list[FlowSummary]:
        """Return flows, newest first.

        limit: at most 100.
        after: the id of a flow; only older ones are returned.
        """
        from job_processor.jobs.flow_graph import find_flows

        parts, (most, below) = self._ready(), _bounds(limit, after)
        return await find_flows(parts, most, below)

    async def kill_flow(self, flow_id: ObjectId | str) -> Acted:
        """Cancel a flow: kill the jobs that wait at once, then stop those that run.

        Dependent jobs are killed before their parents, so that none of them starts meanwhile.
        Returns counts, as `act_on_jobs` does. Raises FlowNotFoundError.
        """
        from job_processor.jobs import flows

        return await flows.kill(self._ready(), object_id(flow_id, "flow_id"))

    async def retry_flow(self, flow_id: ObjectId | str) -> Acted:
        """Retry the jobs of a flow that failed or were killed, and those skipped because of them.

        Returns counts, as `act_on_jobs` does. Raises FlowNotFoundError.
        """
        from job_processor.jobs import flows

        return await flows.retry(self._ready(), object_id(flow_id, "flow_id"))

    async def run_job(self, name: str, payload: Payload = None) -> SimpleJob:
        """Run a job in this process now, whatever its tag, and return it when it has ended.

        There is one attempt: a failure is in the returned job and is not retried. A job with a
        `rate` waits for its turn, or is returned as skipped if the rate says `on_full="skip"`.
        While it runs, this process is registered and sends heartbeats like a worker, so that a
        crash is noticed.

        Raises the errors of `schedule_job`.
        """
        from job_processor.worker.run_job import run_job

        return await run_job(self._engine, self._waits, JobRequest(name, payload))

    async def wait_for_job(self, job_id: ObjectId | str, timeout: Duration | None = None) -> Job:
        """Wait until a job has ended, in whatever way, and return it.

        timeout: seconds, or a timedelta; 0 checks once; None waits for ever, even while the
            database is unreachable.

        Raises JobNotFoundError for an unknown id, JobTimeoutError after `timeout`, and
        NotSetUpError if the processor is closed meanwhile.
        """
        return await self._waits.wait(object_id(job_id), timeout)

    async def get_job(self, job_id: ObjectId | str) -> Job | None:
        """Return a job or cron task; None for an unknown id."""
        return await self._ready().store.history.get(object_id(job_id))

    async def get_parents(self, job_id: ObjectId | str) -> list[RelatedJob]:
        """Return the parents of a job with their states, in the order of its `after`.

        Parents that are no longer in the history are left out. Raises JobNotFoundError.
        """
        return await relations.parents_of(self._ready(), object_id(job_id))

    async def get_children(self, job_id: ObjectId | str, limit: int = 100) -> list[RelatedJob]:
        """Return the jobs that run after a job, with their states, oldest first.

        limit: the most jobs to return.
        """
        return await relations.children_of(self._ready(), object_id(job_id), limit)

    async def find_jobs(
        self,
        name: str | None = None,
        status: JobStatus | str | None = None,
        type: JobType | None = None,
        limit: int = 50,
        after: ObjectId | str | None = None,
        *,
        before: ObjectId | str | None = None,
        oldest_first: bool = False,
        max_bytes: int | None = None,
        **selection: Any,
    ) -> JobPage:
        """Return a page of jobs and cron tasks, newest first.

        name: only jobs with this name.
        status: only jobs in this state, such as "errored".
        type: "simple" or "cron_task"; None: both.
        limit: jobs of a page.
        after: the `next` of a page; returns the page that follows it.
        before: the `previous` of a page; returns the page before it.
        oldest_first: reverse the order.
        max_bytes: end the page early, once its jobs have more bytes in the database than this; it
            has at least one job. None: no limit.

        `selection` may have these filters:

        tag: only names that have this tag here.
        created_from, created_to: aware datetimes; only jobs created between them.
        ended_from, ended_to: aware datetimes; only jobs that ended from the first on and before the
            second.
        up_to, down_to: ids of jobs; only this job and older ones, only this job and newer ones.
        flow: the id of a flow; only its jobs.
        label, labels: only jobs with this label, or with all of these.
        planned: False leaves out occurrences of crons whose time has not come.
        group: a Group or its id; only its members.
        worker: the id of a worker; only jobs that it runs or ended.
        error: only jobs with this text in their error, upper and lower case alike.
        payload: only jobs with this value at this path of the payload: `{"user.id": 7}`.
        id_end: only jobs whose id ends with these hex digits, at least 4.

        The last four filters have no index. A page of theirs searches the next 10,000 jobs that
        match the other filters: it may be short or empty, and have a `next` where the search
        continues. `count_jobs` counts among the first 10,000; `act_on_jobs` acts on all. At most
        two such searches run at a time.

        Raises InvalidArgumentError, and SearchLimitError for a search that was refused or took too
        long.
        """
        from job_processor.jobs import pages
        from job_processor.jobs.selection import query_of

        parts = self._ready()
        selected = query_of(parts.registry, name=name, status=status, type=type, **selection)
        bounds = pages.Bounds(limit, after, before, oldest_first, max_bytes)
        return await pages.find_jobs(parts, selected, bounds)

    async def list_jobs(
        self,
        name: str | None = None,
        status: JobStatus | str | None = None,
        type: JobType | None = None,
        limit: int = 50,
        after: ObjectId | str | None = None,
        *,
        before: ObjectId | str | None = None,
        oldest_first: bool = False,
        redaction: Redaction | None = None,
        **selection: Any,
    ) -> SummaryPage:
        """Return the page of `find_jobs` with short jobs, for tables and dashboards.

        The database cuts each job to at most about 2 KiB, so that a page costs the same for any
        size of payload. A payload or result keeps its first four fields, each cut at 80 characters;
        an error keeps its first line; logs are left out. `get_job` has the whole job.

        redaction: hides values of payload fields, and the same values in error, result and
            progress, as the dashboard does; None: nothing is hidden.

        The other arguments are those of `find_jobs`. Raises InvalidArgumentError and
        SearchLimitError.
        """
        from job_processor.jobs import pages
        from job_processor.jobs.selection import query_of

        parts = self._ready()
        selected = query_of(parts.registry, name=name, status=status, type=type, **selection)
        bounds = pages.Bounds(limit, after, before, oldest_first)
        return await pages.list_jobs(parts, selected, bounds, redaction)

    async def count_jobs(self, cap: int = COUNT_CAP_OF_SELECTIONS, **selection: Any) -> int:
        """Return the number of jobs and cron tasks that match the filters of `find_jobs`.

        cap: the count is exact up to this number, and stops there.

        Raises InvalidArgumentError and SearchLimitError.
        """
        from job_processor.jobs import pages
        from job_processor.jobs.selection import query_of

        parts = self._ready()
        return await pages.count_jobs(parts, query_of(parts.registry, **selection), cap)

    async def kill_job(self, job_id: ObjectId | str) -> Job:
        """Cancel a job: kill it at once if it waits, ask its worker to stop it if it runs.

        Returns the job as it is then; a running one may still be `running`. A job that has ended is
        left as it is. Raises JobNotFoundError.
        """
        from job_processor.jobs import actions

        (did,) = await actions.kill(self._ready(), [object_id(job_id)])
        return did.result()

    async def retry_job(
        self,
        job_id: ObjectId | str,
        *,
        from_beginning: bool = False,
        from_step: str | None = None,
        descendants: bool = False,
    ) -> Job:
        """Run a finished, failed, killed or skipped job again, with a fresh count of attempts.

        It keeps its id, payload and history. Its steps that are done are not repeated, unless the
        job had finished.

        from_beginning: repeat all of its steps.
        from_step: the name of a step; repeat this one and those after it.
        descendants: also bring back the jobs that were skipped because this one failed, and those
            after them in turn; they wait for it again.

        Returns the job, pending. Raises JobNotFoundError; JobStateError if it has not ended;
        InvalidArgumentError for an unknown step; JobConflictError if it is exclusive and another
        job of its name is active.
        """
        from job_processor.jobs import actions

        (did,) = await actions.retry(
            self._ready(),
            [object_id(job_id)],
            from_beginning=from_beginning,
            from_step=from_step,
            descendants=descendants,
        )
        return did.result()

    async def delete_job(self, job_id: ObjectId | str) -> None:
        """Delete a job that does not run, for good.

        Raises JobNotFoundError, and JobStateError while it runs: kill it first.
        """
        from job_processor.jobs import actions

        (did,) = await actions.delete(self._ready(), [object_id(job_id)])
        if did.refusal is not None:
            raise did.refusal

    async def act_on_jobs(
        self,
        action: Action,
        job_ids: Iterable[ObjectId | str] | None = None,
        *,
        on_progress: Callable[[int], object] | None = None,
        from_beginning: bool = False,
        from_step: str | None = None,
        descendants: bool = False,
        rate: Rate | str | None = None,
        **selection: Any,
    ) -> Acted:
        """Retry, kill or delete many jobs: those of `job_ids`, or those that match filters.

        action: `retry`, `kill` or `delete`.
        job_ids: ids of jobs; None: use `selection`.
        on_progress: called after each 500 jobs with the number of jobs processed so far.
        from_beginning: for `retry`: repeat all of their steps, as in `retry_job`.
        from_step: for `retry`: repeat this step and those after it; jobs without this step are
            left.
        descendants: for `retry`: bring back the jobs that were skipped because of them, as in
            `retry_job`.
        rate: for `retry`: spread the jobs over time, such as "100/m", so that they do not all hit a
            repaired service at once. Jobs that would start more than 90 days later are left. None:
            all are due now.
        selection: the filters of `find_jobs`. Jobs created meanwhile are left alone.

        Returns counts. Jobs in a state that does not allow the action are left as they are and
        counted, such as pending jobs for `retry` or running jobs for `delete`. Raises
        InvalidArgumentError.
        """
        from job_processor.jobs import actions

        return await actions.act(
            self._ready(),
            action,
            job_ids,
            selection,
            on_progress,
            from_beginning=from_beginning,
            from_step=from_step,
            descendants=descendants,
            rate=rate,
        )

    async def send(
        self, topic: str, payload: Any = True, *, ttl: Duration = MESSAGE_TTL, session: Any = None
    ) -> bool:
        """Send a message to all jobs that wait for its topic in `Context.receive`.

        These jobs continue and get the payload. The message is kept for `ttl` seconds, so a job
        that calls `receive` later gets it too.

        topic: 1 to 200 characters, such as "paid:42". The first message of a topic wins until its
            `ttl` is over.
        payload: any value that a result may be, at most 900,000 bytes, and not None.
        ttl: seconds, or a timedelta, for which the message is kept; seven days by default.
        session: as in `schedule_job`: the message is sent when the transaction commits.

        Returns True, or False if the topic has a message already; that one stays as it is. Raises
        InvalidArgumentError, PayloadError, and SharedDatabaseError in a database that the Node
        package uses.
        """
        from job_processor.jobs import messages

        return await messages.send(self._ready(), messages.Sending(topic, payload, ttl), session)

    # --- crons ----------------------------------------------------------------------------------

    async def get_crons(self) -> list[CronInfo]:
        """Return all crons of the database by name, each with its next five times."""
        from job_processor.crons.manage import get_crons

        return await get_crons(self._ready())

    async def run_cron(self, name: str) -> CronTask:
        """Run a cron once now, in addition to its schedule; returns the stored cron task.

        The task is pending, or skipped if the cron is `exclusive` and an occurrence is active. A
        worker that serves this cron runs it; while the cron is paused, the task waits. Raises
        UnknownJobError if the database has no such cron.
        """
        from job_processor.crons.manage import run_cron

        return await run_cron(self._ready(), name)

    async def remove_cron(self, name: str) -> None:
        """Remove a cron that no worker lists any more; its waiting occurrences are skipped.

        An occurrence that runs continues, and the history stays. Without this call, such a cron
        stops scheduling one hour after its last worker stopped, and is removed after
        `history_days`.

        Raises UnknownJobError if the database has no such cron, JobStateError while a worker lists
        it, and SharedDatabaseError if it belongs to the Node package.
        """
        from job_processor.crons.manage import remove_cron

        await remove_cron(self._ready(), name)

    # --- schedules that are made at run time ----------------------------------------------------

    async def put_schedule(
        self,
        name: str,
        *,
        job: str | JobHandle[..., Any],
        payload: Payload = None,
        cron: str | None = None,
        every: Duration | None = None,
        anchor: datetime | None = None,
        timezone: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = None,
        misfire: Misfire = "once",
        priority: int = 0,
        expires_after: Duration | None = None,
        unique_key: str | None = None,
        limit_key: str | float | None = None,
        labels: Labels = None,
    ) -> Schedule:
        """Create a schedule, or change the one with this name: jobs stored at given times.

        It is safe to call again with the same values: nothing changes then. A change applies from
        now on. An occurrence that is already due is still stored, unless the times changed.

        name: such as "digest:42".
        job: the name or handle of the job to store each time.
        payload: the payload of each job, checked as by `schedule_job`.
        cron: a cron expression; or
        every: an interval: a timedelta, or a whole number of seconds. It counts from `anchor`, else
            from `start`, else from the first call.
        anchor: an aware datetime at which an occurrence of `every` falls.
        timezone: the IANA name for `cron`; None: the time zone of the processor.
        start, end: aware datetimes; no occurrence before `start` or after `end`. For `every`
            without `anchor`, `start` is the first occurrence.
        limit: stop after this number of jobs; None: no limit.
        misfire: what happens to occurrences missed while no worker ran: `once` stores the first of
            them, late; `skip` skips it, unless it can start within 5 minutes and before the next
            one; `all` also stores the others, at most the latest 100.
        priority, limit_key, labels: of each job, as in `schedule_job`.
        unique_key: of each job; while a job that waits or runs holds it, the next one is stored as
            skipped.
        expires_after: seconds, or a timedelta; a job that has not started this long after its time
            is skipped.

        Each occurrence is stored once, by any worker that defines the job. Returns the schedule.
        Raises the errors of `schedule_job`, and InvalidArgumentError.
        """
        from job_processor.crons import schedules

        wanted = schedules.Wanted(
            name=name,
            job=job,
            payload=payload,
            cron=cron,
            every=every,
            anchor=anchor,
            timezone=timezone,
            start=start,
            end=end,
            limit=limit,
            misfire=misfire,
            priority=priority,
            expires_after=expires_after,
            unique_key=unique_key,
            limit_key=limit_key,
            labels=labels,
        )
        return await schedules.put_schedule(self._ready(), wanted)

    async def remove_schedule(self, name: str) -> bool:
        """Remove a schedule; returns False if there is none with this name.

        Jobs that it has stored stay as they are, including those that wait.
        """
        from job_processor.crons import schedules

        return await schedules.remove_schedule(self._ready(), name)

    async def get_schedule(self, name: str) -> Schedule | None:
        """Return a schedule; None if there is none with this name."""
        from job_processor.crons import schedules

        return await schedules.get_schedule(self._ready(), name)

    async def schedules(
        self, limit: int = 50, after: str | None = None, *, job: str | None = None
    ) -> SchedulePage:
        """Return a page of schedules, sorted by name.

        limit: schedules of a page.
        after: the `next` of a page; returns the page that follows it.
        job: only schedules of this job; None: all.

        Raises InvalidArgumentError.
        """
        from job_processor.crons import schedules

        return await schedules.schedules(self._ready(), limit, after, job)

    async def pause_schedule(self, name: str) -> Schedule:
        """Pause a schedule until `resume_schedule`; a second call does nothing.

        Raises ScheduleNotFoundError.
        """
        from job_processor.crons import schedules

        return await schedules.pause_schedule(self._ready(), name)

    async def resume_schedule(self, name: str) -> Schedule:
        """Resume a paused schedule; its `misfire` decides about missed occurrences.

        Raises ScheduleNotFoundError.
        """
        from job_processor.crons import schedules

        return await schedules.resume_schedule(self._ready(), name)

    # --- pauses and workers ---------------------------------------------------------------------

    async def pause(self, name: str | None = None, *, tag: str | None = None) -> None:
        """Stop workers from starting jobs of a name or tag, until `resume`.

        The pause is stored in the database, and all workers obey within a second. Running jobs
        continue. A paused cron schedules nothing; once resumed, its `misfire` decides about missed
        occurrences. A second call does nothing.

        name: the name of a job or cron; or
        tag: a tag (queue).

        Raises InvalidArgumentError unless exactly one of them is given.
        """
        from job_processor.jobs import pauses

        await pauses.pause(self._ready(), name, tag)

    async def resume(self, name: str | None = None, *, tag: str | None = None) -> None:
        """End a pause: give the same name or tag as to `pause`.

        Without such a pause nothing happens. A job that is paused by its name and its tag waits for
        both. Raises InvalidArgumentError unless exactly one of them is given.
        """
        from job_processor.jobs import pauses

        await pauses.resume(self._ready(), name, tag)

    async def get_pauses(self) -> Pauses:
        """Return the names and tags that are paused."""
        from job_processor.jobs import pauses

        return await pauses.get_pauses(self._ready())

    async def set_limit(self, name: str, limit: Limit | int | None) -> None:
        """Change a concurrency limit for all workers, within a second, until it is changed again.

        name: the group of the limit, or the name of a job or cron that has one.
        limit: the new amount; None: the amount in the code again.

        Running jobs above a lower limit finish; a higher limit lets waiting jobs start at once.
        Raises InvalidArgumentError.
        """
        from job_processor.jobs import limits

        await limits.set_limit(self._ready(), name, limit)

    async def limits(self, lanes: int = LANES_SHOWN) -> list[LimitInfo]:
        """Return the concurrency limits by name: those defined here, changed or in use.

        lanes: the number of lanes to return for each limit, fullest first. A lane is the line of
            jobs that share one limit and one key.

        The cost does not grow with the number of waiting jobs: counts stop at 1,000, and about 100
        lanes are read in total. Raises InvalidArgumentError.
        """
        from job_processor.jobs import limits

        return await limits.limits(self._ready(), lanes)

    async def get_lane(
        self, lane: str, limit: int = 10, *, redaction: Redaction | None = None
    ) -> LaneJobs:
        """Return one lane of a limit with its jobs.

        lane: such as "sync:tenant-42", the value of `job.lane`.
        limit: the most jobs to return of those that have a slot, and of those that wait.
        redaction: as in `list_jobs`.

        A lane without jobs is returned empty. Raises InvalidArgumentError.
        """
        from job_processor.jobs import limits

        return await limits.get_lane(self._ready(), lane, limit, redaction)

    async def set_rate(self, name: str, rate: Rate | str | None) -> None:
        """Change a rate limit for all workers, within a second, until it is changed again.

        name: the group of the rate, or the name of a job or cron that has one.
        rate: `"100/m"`, or a `Rate` (its amount, per and burst are used); None: the rate in the
            code again.

        Raises InvalidArgumentError.
        """
        from job_processor.jobs import rates

        await rates.set_rate(self._ready(), name, rate)

    async def rates(self) -> list[RateInfo]:
        """Return the rate limits by name, those defined here or changed, with their state."""
        from job_processor.jobs import rates

        return await rates.rates(self._ready())

    async def hold(self, name: str, seconds: Duration, key: str | float | None = None) -> None:
        """Start no job of a rate limit for some seconds from now; 0 ends the hold.

        Use it when a remote service asks you to wait. It replaces an earlier hold. Running jobs
        continue.

        name: the group of the rate, or the name of a job or cron that has one.
        seconds: seconds, or a timedelta.
        key: hold only this key, for a rate with keys; None: all.

        Raises InvalidArgumentError.
        """
        from job_processor.jobs import rates

        await rates.hold(self._ready(), name, seconds, key)

    async def run_worker(self, signal: AbortSignal | None = None, burst: bool = False) -> None:
        """Run jobs and crons until `signal` is aborted, then shut down gracefully.

        signal: the signal that stops the worker; None: it runs until it is cancelled.
        burst: return once nothing is due and its own jobs have ended.

        Cancelling this call forces the stop: handlers are cancelled at once. While the database is
        unreachable, the worker waits and tries again.

        Raises WorkerStateError if a worker of this processor runs already or one of its background
        tasks failed, and LifespanError if the lifespan fails.
        """
        from job_processor.worker.worker import Worker

        engine = self._engine
        if self._worker is not None:
            raise WorkerStateError("a worker of this processor is running already")
        self._worker = worker = Worker(engine)
        try:
            await worker.run(signal or AbortController().signal, burst=burst)
        finally:
            self._worker = None

    def resources(self) -> AbstractAsyncContextManager[Any]:
        """Return a context manager whose value is what handlers get as `resources`.

        Use it outside of jobs, for instance in a web request. A worker and `run_job` enter the
        lifespan themselves. This shares the lifespan that they entered, or enters it, and keeps it
        open until the end of the block. The value is None without a lifespan.

        Entering raises LifespanError if the lifespan fails.
        """
        return self._shared.held()

    async def stop_worker(self, worker_id: ObjectId | str) -> None:
        """Ask a worker in any process to shut down gracefully; it reacts within a second.

        Raises InvalidArgumentError if no worker with this id is registered.
        """
        from job_processor.jobs import pauses

        await pauses.stop_worker(self._ready(), worker_id)

    # --- how the whole stands -------------------------------------------------------------------

    async def check(self, job_id: ObjectId | str | None = None) -> list[Finding]:
        """Check definitions, connection, indexes, clock and workers; return the findings.

        job_id: a job that does not run: return instead why. It checks in order whether the job is
            stored here, due, held back or paused, and whether a running worker may take it.

        It needs no `setup`. It changes nothing on MongoDB; an SQLite file that exists is opened and
        prepared. A database that does not answer is a finding, not an error. Raises
        InvalidArgumentError for a value that is not an id.
        """
        if job_id is not None:
            from job_processor.ops.diagnosis import diagnose

            return await diagnose(self._parts, object_id(job_id))
        from job_processor.ops.check import check

        return await check(self._parts)

    async def get_status(self, redaction: Redaction | None = None) -> dict[str, Any]:
        """Return workers, queue, jobs and crons as plain JSON values, bounded in time and size.

        Each job is short, as in `list_jobs`, with `"cut": true` if it has more.

        redaction: as in `list_jobs`.
        """
        from job_processor.ops import status

        return await status.get_status(self._ready().store, redaction)

    async def get_healthcheck(self, redaction: Redaction | None = None) -> dict[str, Any]:
        """Return `{now, workers, queue}` as plain JSON values, with jobs as in `get_status`."""
        from job_processor.ops import status

        return await status.get_healthcheck(self._ready().store, redaction)

    async def get_vitals(self) -> Vitals:
        """Return how many workers run, and since when the first due job has been waiting.

        For probes and gauges: it reads no job.
        """
        from job_processor.ops import status

        return await status.get_vitals(self._ready().store)

    async def count_waiting(self) -> dict[str, int]:
        """Return the number of waiting jobs and cron tasks by name, due now or later.

        Each count is exact up to 10,000. At most 200 names are counted; a name without jobs has 0.
        """
        from job_processor.ops import status

        return await status.count_waiting(self._ready().store)

    async def count_parked(self) -> dict[str, int]:
        """Return the number of parked jobs by name: jobs that more workers would not start.

        A parked job waits for something else, for instance for a slot of a concurrency limit;
        `job.waits_for` says for what. Names with 0 are left out. `count_waiting` does not count
        these jobs.
        """
        from job_processor.ops import status

        return await status.count_parked(self._ready().store)

    async def get_scaling(
        self,
        tag: str | Iterable[str] | None = None,
        name: str | Iterable[str] | None = None,
        *,
        concurrency: int | None = None,
        min_workers: int = 0,
        max_workers: int | None = None,
    ) -> Scaling:
        """Return the present load and the number of workers that it needs, for an autoscaler.

        Jobs for later, paused jobs, and jobs that wait for a limit or for another job do not count,
        because more workers would not start them.

        tag, name: count only these jobs and the workers that serve them; one or several.
        concurrency: how many jobs one worker runs at a time; None: that of the running workers, or
            of this processor if there are none.
        min_workers, max_workers: bounds of `wanted`; None: no upper bound.

        Raises InvalidArgumentError.
        """
        from job_processor.ops import scaling

        scope = scaling.scope_of(tag, name, concurrency, min_workers, max_workers)
        return await scaling.get_scaling(self._ready(), scope)

    async def get_rollups(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return counts of ended runs in spans of time, earliest first.

        seconds: length of a span: 60 (kept for 3 hours), 600 (3 days), 3600 (8 days) or 86400 (90
            days).
        since: aware datetime; earlier spans are left out.

        A span in which nothing ended is left out. Workers write counts every 10 seconds. Raises
        InvalidArgumentError.
        """
        from job_processor.ops import rollups

        return await rollups.get_rollups(self._ready().store, seconds, since)

    async def get_name_rollups(
        self, seconds: int, since: datetime, *, name: str | None = None, tag: str | None = None
    ) -> list[NameRollup]:
        """Return counts, waiting times and durations of one name or tag in spans of time.

        seconds: length of a span: 60 (kept for 3 hours), 3600 (8 days) or 86400 (90 days).
        since: aware datetime; starts with the span that contains it.
        name: of a job or cron; or
        tag: a tag (queue); without either: all jobs.

        Earliest first; a span in which nothing ended is left out. The first 200 names, and tags,
        are counted separately, in the order of their definition; the others together, under the
        name `…`. Raises InvalidArgumentError.
        """
        from job_processor.ops import rollups

        parts = self._ready()
        now = parts.clock.now()
        return await rollups.get_name_rollups(parts.store, now, seconds, since, name, tag)

    async def get_rollup_totals(
        self, seconds: int, since: datetime, *, kind: Kind = "name"
    ) -> list[NameRollup]:
        """Return the sum of the rollups of each name, or of each tag, sorted by name.

        seconds: length of the spans to add, as in `get_name_rollups`; short spans are exact, long
            ones go back further.
        since: aware datetime; starts with the span that contains it.
        kind: "name" or "tag".

        Raises InvalidArgumentError.
        """
        from job_processor.ops import rollups

        return await rollups.get_rollup_totals(self._ready().store, seconds, since, kind)

    async def get_error_groups(
        self, since: datetime, *, name: str | None = None, limit: int = 50
    ) -> list[ErrorGroup]:
        """Return the errors of failed attempts, grouped by their first line, most frequent first.

        Ids, numbers and mail addresses in the first line are ignored in grouping. Counts are by the
        hour and kept for 2 days, at most 50 groups per name and hour; further errors are counted
        together, as `…`.

        since: aware datetime; starts with the hour that contains it.
        name: only jobs with this name; None: all.
        limit: 1 to 1000.

        Raises InvalidArgumentError.
        """
        from job_processor.ops import rollups

        parts = self._ready()
        return await rollups.get_error_groups(parts.store, parts.clock.now(), since, name, limit)

    async def count_alive(self) -> int:
        """Return the number of running workers, for probes."""
        return await self._ready().store.workers.count_alive()

    async def get_registrations(self) -> Registrations:
        """Return all registered workers, crashed ones too, with the clock of the database."""
        return await self._ready().store.workers.registrations()

    def subscribe(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` in the event loop when jobs may have changed, in any process.

        Returns a function that stops it. It may be called more often than there are changes. All
        listeners share one watch of the database.
        """
        return self._ready().store.subscribe(lambda _: listener())

    async def add_audit(self, who: str, action: str, subject: str) -> None:
        """Add an entry to the audit log, which `get_audit` reads; kept for 90 days, and logged.

        who: the user or program that acted.
        action: such as "kill".
        subject: such as the id of a job.
        """
        from job_processor.ops.audit import Audit

        async with Audit(self._ready()).doing(who, action, subject):
            pass

    async def get_audit(self, limit: int = 1000) -> list[AuditEntry]:
        """Return the audit log: who did what in dashboard and command line, latest first."""
        from job_processor.ops.audit import Audit

        return await Audit(self._ready()).entries(limit)

    async def migrate_from_node(
        self, *, apply: bool = False, undo: bool = False
    ) -> MigrationReport:
        """Report the contents of a database of the Node package, and what a move would change.

        apply: make these changes; a second call changes nothing. While a worker of the Node package
            runs, its crons and its validator are left as they are.
        undo: restore the validator of the Node package.

        It needs no `setup`. Without `apply` and `undo` it changes nothing. Raises MigrationError if
        the move is not possible yet, and InvalidArgumentError for a database other than MongoDB.
        """
        from job_processor.node import migration

        return await migration.move(self._parts.store, apply=apply, undo=undo)

    # --- inside ---------------------------------------------------------------------------------

    def _opened(self, db: Any, settings: Settings) -> Store:
        store = open_store(db, settings)
        if self._codec is None:
            return store
        from job_processor.store.coded import coded

        return coded(store, self._codec)

    def _ready(self) -> Parts:
        """Return what it is made of; raises NotSetUpError unless it is set up in this loop."""
        if not self._is_set_up:
            raise NotSetUpError("call `await processor.setup()` or use `async with processor:`")
        if self._loop is not running_loop():
            raise NotSetUpError(_OTHER_LOOP)
        return self._parts

    def _is_shared(self) -> bool:
        """True when several event loops can use the database: by its address, not in memory."""
        return self._parts.store.abilities.needs_heartbeat and isinstance(self._db, str | None)

    @property
    def _waits(self) -> Waiting:
        from job_processor.jobs.wait import Waiting

        parts = self._ready()
        if self._waiting is None:
            self._waiting = Waiting(parts.store, parts.settings.poll_interval)
        return self._waiting

    @property
    def _engine(self) -> Engine:
        from job_processor.worker.engine import Engine

        parts = self._ready()
        if self._running is None:
            self._running = Engine(parts, self._shared)
        return self._running

    @property
    def _shared(self) -> Resources:
        from job_processor.worker.resources import Resources

        parts = self._ready()
        if self._resources is None:
            self._resources = Resources(
                parts.lifespan,
                self,
                parts.settings,
                parts.logger,
                self._elsewhere(),
                parts.scopes.wrapped,
            )
        return self._resources

    def _elsewhere(self) -> Callable[[], JobProcessor]:
        """Return what makes the processor that a lifespan gets in another process."""
        db = self._db if isinstance(self._db, str | None) else self.address
        jobs = {
            name: {"tag": its.tag, "exclusive": its.exclusive}
            for name, its in self.registry.jobs.items()
        }
        return partial(_made_elsewhere, db, self.settings, jobs, self._codec)

    async def _end_runs(self, resources: Resources) -> None:
        """Interrupt what `run_job` runs, and leave the lifespan, which may use this to the end."""
        resources.refuse()
        if self._running is not None:
            await self._running.end()
        await resources.close()

    def _define(self, name: str, definition: Definition) -> None:
        """Take in a definition; raises SharedDatabaseError for what this database cannot serve."""
        whole = self.registry.defaults.applied_to(definition)
        if self._is_set_up:
            check_resources(name, whole, self._parts.lifespan)
        if self._parts.store.node_side() is not None:
            from job_processor.node.rules import check_definition

            check_definition(self._parts.store, name, whole)
        self.registry.add(name, definition)

    async def _check_definitions(self) -> None:
        """Refuse what lacks its resources, and what the Node package on this database forbids."""
        for name, definition in self.registry:
            check_resources(name, definition, self._parts.lifespan)
        if self._parts.store.node_side() is not None:
            from job_processor.node.onlooker import NodeOnlooker
            from job_processor.node.rules import check_definitions

            self._parts = replace(self._parts, onlooker=self._parts.onlooker or NodeOnlooker())
            await check_definitions(self._parts)

    def _become(self, settings: Settings, db: Any, clock: Clock, lifespan: Lifespan | None) -> None:
        changed = lifespan is not self._parts.lifespan
        if changed and self._is_set_up:
            raise WorkerStateError("close the processor before its lifespan is changed")
        if db is not self._db or clock is not self._parts.clock:
            if self._is_set_up:
                raise WorkerStateError("close the processor before its db or clock is changed")
            self._parts = replace(self._parts, store=self._opened(db, settings))
            self._db, self._closed = db, False
            vars(self).pop("_portal", None)  # its connections are to the database before
        self._parts = replace(self._parts, settings=settings, clock=clock, lifespan=lifespan)
        if self._running is not None:
            self._running.close()
            self._running = None

    def _leave_loop(self) -> None:
        """Let go of what belongs to an event loop that was closed under us, as by `asyncio.run`.

        Raises NotSetUpError where that loop still runs, and where the database is its own.
        """
        loop = self._loop
        if loop is None or not loop.is_closed() or not isinstance(self._db, str | None):
            raise NotSetUpError(_OTHER_LOOP)
        self._forget_loop()
        # What is in memory has no connection to lose.
        self._closed = self._parts.store.abilities.needs_heartbeat

    def _forget_loop(self) -> None:
        if self._running is not None:
            self._running.close()
        if self._waiting is not None:
            self._waiting.close()
        self._is_set_up = False
        self._running = self._waiting = self._worker = self._resources = self._loop = None

    def _host(self) -> Host:
        parts = self._parts
        return Host(
            logger=parts.logger,
            settings=parts.settings,
            listen=parts.events.listen,
            around_handlers=parts.scopes.add,
            wrap_calls=parts.scopes.wrap,
            preload=parts.scopes.preload,
            stamp=parts.stamps.add,
            definition=parts.registry.get,
            get_status=self.get_status,
            get_vitals=self.get_vitals,
            count_waiting=self.count_waiting,
            count_parked=self.count_parked,
            get_scaling=self.get_scaling,
        )


def _made_elsewhere(
    db: str | None,
    settings: Settings,
    jobs: Mapping[str, Mapping[str, Any]],
    codec: Codec | None,
) -> JobProcessor:
    """Return a processor in the process of a handler: it may schedule these jobs, once set up."""
    options: dict[str, Any] = {each.name: getattr(settings, each.name) for each in fields(settings)}
    defined = {name: JobDef(None, **its) for name, its in jobs.items()}
    return JobProcessor(db, jobs=defined, codec=codec, **options)


def _bounds(limit: int, after: ObjectId | str | None) -> tuple[int, ObjectId | None]:
    """Return the bounds of a page of groups or flows; raises InvalidArgumentError."""
    check_int("limit", limit, minimum=1)
    if limit > GROUP_PAGE:
        raise InvalidArgumentError("limit", limit, f"allowed are at most {GROUP_PAGE}")
    return limit, None if after is None else object_id(after, "after")


def is_in_loop() -> bool:
    """True where asyncio runs an event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the event loop; raise NotSetUpError where asyncio runs none."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise NotSetUpError(
            "Job Processor runs on asyncio, and no event loop of asyncio runs here; with anyio "
            "choose its backend: anyio.run(main, backend='asyncio'), and in tests a fixture "
            "`anyio_backend` that returns 'asyncio'"
        ) from None


async def init_job_processor(
    db: Any = None,
    logger: Any = None,
    jobs: Given = None,
    crons: Mapping[str, CronDef] | None = None,
    worker_tags: Iterable[str] | None = None,
    **options: Any,
) -> JobProcessor:
    """Return a processor that is set up; `options` are the other options of `JobProcessor`."""
    processor = JobProcessor(
        db=db, logger=logger, jobs=jobs, crons=crons, worker_tags=worker_tags, **options
    )
    try:
        await processor.setup()
    except BaseException:
        await processor.close()
        raise
    return processor


def _parted(jobs: Given) -> tuple[Sequence[Jobs], Mapping[str, JobDef]]:
    """Return the collections, and all other definitions by name; raises InvalidArgumentError."""
    if jobs is None or isinstance(jobs, Mapping):  # as in most processes that only schedule
        return (), jobs or {}
    from job_processor.jobs.collection import parted

    return parted(jobs)
