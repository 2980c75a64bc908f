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
    "`processor.twin()` for each loop, and in threads and plain functions a "
    "`job_processor.sync.JobClient`"
)


class JobProcessor:
    """Schedules, runs and watches jobs and crons in one database.

    db: an `AsyncDatabase` of pymongo, "mongodb://host/name", "sqlite:///file.db" (relative),
        "sqlite:////abs/file.db", "sqlite://" (in memory, one process); None: $JOB_PROCESSOR_DB,
        else sqlite:///job_processor.db.
    logger: a logging.Logger or a structlog logger; None: logging.getLogger("job_processor").
    jobs: definitions by name, a collection (`Jobs`), or a list of these. `@processor.job` adds
        more.
    crons: definitions by name. `@processor.cron` adds more.
    worker_tags: the tags (queues) that a worker serves, besides definitions without a tag; None:
        all.
    concurrency: how many jobs one worker runs at the same time.
    timezone: IANA name; for crons that have no time zone of their own.
    Durations are numbers of their unit, or timedeltas.

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
    service: the owner of its crons; several services may share one database.
    collection_prefix: prefix of collections and tables: `<prefix>.jobs` and so on.
    clock: tells the time; for tests.
    ageing: seconds; a job that has waited longer for a worker runs before jobs of a higher
        priority; None: never.
    integrations: integrations to install, such as those of `job_processor.integrations`.
    defaults: options for all jobs and crons that do not say otherwise: `JobOptions(retry=3)`.
    around: returns for a job a context manager that is entered around each run of any handler.
    lifespan: returns for this processor a context manager that is entered once by each process
        that runs jobs, and left when its worker ends; handlers get what it yields as `resources`. A
        function with `@asynccontextmanager`, for example.

    codec: encodes payloads and results before they are stored: `Encryption`, `Offload`, or your
        own. All processors of a database that run or read these jobs need it.

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
        """What was given when it was made, or by `override` since."""
        return self._parts.settings

    @property
    def registry(self) -> Registry:
        """The jobs and crons that are defined here."""
        return self._parts.registry

    @property
    def logger(self) -> logging.Logger | Any:
        """Where it logs."""
        return self._parts.logger

    @property
    def address(self) -> str:
        """Where the database is, without credentials."""
        return self._parts.store.address

    @property
    def job(self) -> Decorator:
        """Define a job by decorating its handler: `@processor.job`, or with options of `JobDef`.

        `@processor.job("name", retry=3)`. Without a name it gets the function's. The function
        becomes a `JobHandle`, whose `schedule` takes its parameters; called, it is still the
        function. Raises DefinitionError, and SharedDatabaseError as `setup` does.
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

        `@processor.cron("0 2 * * *")`, or `@processor.cron(every=timedelta(minutes=5))`. Without
        a name it gets the function's. Raises DefinitionError, and SharedDatabaseError as `setup`
        does.
        """
        from job_processor.jobs.decorator import decorated_cron

        return decorated_cron(self._define, cron_string, name, options)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each event of this process; returns a function that ends it."""
        return self._parts.events.listen(listener)

    def install(self, *integrations: Integration) -> None:
        """Install integrations, as `integrations=` does when it is made.

        Raises InvalidArgumentError for what is none.
        """
        for integration in integrations:
            if isinstance(integration, type) or not isinstance(integration, Integration):
                allowed = "allowed are integrations: objects with a method install(host)"
                raise InvalidArgumentError("integrations", integration, allowed)
            integration.install(self._host())

    # --- life -----------------------------------------------------------------------------------

    async def setup(self) -> None:
        """Connect, create and verify what the database needs; twice is harmless.

        Raises StoreUnavailableError when it cannot be reached, StoreSetupError when it cannot
        serve as it is, SharedDatabaseError when the Node package works on it too and a definition
        cannot be had beside it.
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
        """Close what `setup` opened; a database that was passed in stays open.

        A worker that still runs is forced to stop first, and a `run_job`: their ends are written.
        What hangs is left alone after a while. `setup` opens it again; a memory database is then a
        new one. The processor's own lifespan closes nothing: it is in use.
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
        """Change what was given when this was made, before anything runs; None leaves it.

        Returns a function that changes it back. Raises InvalidArgumentError, and WorkerStateError
        for another `db`, `clock` or `lifespan` while it is set up.
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
        """Return another processor of the same definitions and integrations on the same database.

        It is not set up, and belongs to the event loop that sets it up: one for each loop. Raises
        InvalidArgumentError where two cannot share the database: an `AsyncDatabase` belongs to one
        loop, one in memory to one processor.
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
        """Return a processor without handlers on the same database, or on another one.

        It knows the names and tags that are defined here, shows jobs and acts on them, and neither
        runs anything nor counts as a program that could: what the command line looks with. It is
        not set up.
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
        """Return whether its database is there: False for an SQLite file that nobody has made yet.

        Makes nothing, and needs no `setup`, which would make it. A server is always there, a
        database in memory never.
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
        payload: a mapping or, where the handler says so, an instance of its payload's class; either
            is checked against that class.
        scheduled_for: when it may start: an aware datetime, or a timedelta from now; None: now.
        priority: 0 to 9; of the jobs that are due, those with the highest priority start first.
        expires_at: a job that has not started by then is skipped; as `scheduled_for`; None: never.
        unique_key: at most one job of this name holds a key, while it is pending, running or
            paused.
        on_conflict: what happens when the key is held. `return` (the default): the job that holds
            it is returned; `skip`: the new job is stored as skipped; `replace`: the new job
            replaces the one that holds it if that is pending; if it runs or is paused, the new one
            is stored beside it; `error`: JobConflictError.
        unique_for: seconds from now during which the key is held, however the job ends.
        limit_key: the key of its limit, if the payload does not have it: a text or a number.
        rate_key: the key of its rate, if the payload does not have it.
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

        Returns it as stored: pending, or skipped when it is exclusive and one is active. Raises
        InvalidArgumentError for an unknown name, a payload that cannot be stored, a naive time,
        another priority, an expiry that comes too early, a key or session that cannot be one.
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
        """Store a job from synchronous code, which waits; return it as it is in the database.

        It needs no `setup()`: an event loop in a thread of its own, one for each process, has
        connections of its own. A database that only one event loop can use (in memory, or an
        `AsyncDatabase`) takes it in that loop, from a plain handler for instance. Raises what
        `schedule_job` does; JobProcessorError where an event loop runs; InvalidArgumentError for
        such a database while no loop of its own runs.
        """
        if is_in_loop():
            raise JobProcessorError(
                "an event loop runs here, and would stand still meanwhile; write `await "
                "….schedule(…)`"
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
            scheduled_for)` and `JobRequest`, which has all that `schedule_job` takes.
        session: as in `schedule_job`.
        on_progress: called, or awaited, after each write with the number of jobs stored so far.
        return_jobs: False returns an empty list, so that memory is bounded however many there are.

        Returns them as stored, in order. Raises as `schedule_job` does when nothing was stored, and
        BulkError, which tells exactly what was not, when a part of them was.
        """
        return await intake.schedule_all(
            self._ready(), jobs, session, on_progress, return_jobs=return_jobs
        )

    def group(self, *, then: Called | None = None, catch: Called | None = None) -> OpenGroup:
        """Open a group of jobs: `async with processor.group(then="zip") as group`.

        Members are added in the block, by `await group.add("resize", {"id": 1})`, and by members
        that run. The group is sealed where the block ends.

        then: the job that follows once all members have finished, exactly one each time the group
            ends; its name, its handle or a JobRequest, whose `scheduled_for` and `expires_at` as
            timedeltas count from that end on.
        catch: the same, once all have ended and one has not finished (errored, killed or skipped),
            or the block has raised.

        Its handler finds the group in `context.group`. Raises InvalidArgumentError as
        `schedule_job` does, and SharedDatabaseError beside the Node package.
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

        name: of the members, or their handle with its options. payloads: from an iterable, plain or
        async, which is read as far as it is stored. then, catch: as in `group`. on_progress: as in
        `schedule_jobs`. Raises what that raises; what was stored by then goes on, and `catch`
        follows.
        """
        from job_processor.jobs.groups import schedule_group

        return await schedule_group(self._ready, name, payloads, then, catch, on_progress)

    async def get_group(self, group_id: ObjectId | str) -> Group | None:
        """Return a group, to wait for it, look at it, kill or retry it; None: there is none."""
        from job_processor.jobs.groups import GroupDesk

        parts, wanted = self._ready(), object_id(group_id, "group_id")
        if await parts.store.groups.get(wanted) is None:
            return None
        return Group(wanted, GroupDesk(parts))

    async def find_groups(
        self, limit: int = GROUPS_SHOWN, after: ObjectId | str | None = None
    ) -> list[GroupInfo]:
        """Return groups, the newest first, at most 100; `after`: those older than this one."""
        from job_processor.jobs.groups import find_groups

        parts, (most, below) = self._ready(), _bounds(limit, after)
        return await find_groups(parts, most, below)

    def flow(self, name: str = "flow") -> Flow:
        """Return an empty flow: jobs that come after each other, to be stored together.

        `flow.add(…)` for each, with `after` for what it comes after, then `await flow.start()`.
        name: what it is called where it is shown.
        """
        from job_processor.jobs.flows import Flow

        return Flow(self._ready, name)

    def chain(
        self,
        *jobs: Request | JobHandle[..., Any],
        name: str = "chain",
        on_parent_failure: OnParentFailure | None = None,
    ) -> Flow:
        """Return a flow of jobs each of which comes after the one before; `start()` stores it.

        jobs: names, `(name, payload)`, handles and JobRequests. on_parent_failure: of all of them,
            as in `schedule_job`. Raises what `schedule_job` does.
        """
        from job_processor.jobs.flows import chain

        return chain(self._ready, jobs, name, on_parent_failure)

    async def get_flow(self, flow_id: ObjectId | str) -> FlowInfo | None:
        """Return how a flow stands: its jobs in levels, and counts; None when there is none."""
        from job_processor.jobs.flow_graph import get_flow

        return await get_flow(self._ready(), object_id(flow_id, "flow_id"))

    async def find_flows(
        self, limit: int = GROUPS_SHOWN, after: ObjectId | str | None = None
    ) -> list[FlowSummary]:
        """Return flows, the newest first, at most 100; `after`: those older than this one."""
        from job_processor.jobs.flow_graph import find_flows

        parts, (most, below) = self._ready(), _bounds(limit, after)
        return await find_flows(parts, most, below)

    async def kill_flow(self, flow_id: ObjectId | str) -> Acted:
        """Kill what is active in a flow: what waits at once, then what runs by its workers.

        What comes after another one is killed before that, so that nothing is released. Returns
        what was done, as `act_on_jobs` does. Raises FlowNotFoundError.
        """
        from job_processor.jobs import flows

        return await flows.kill(self._ready(), object_id(flow_id, "flow_id"))

    async def retry_flow(self, flow_id: ObjectId | str) -> Acted:
        """Send what failed or was killed in a flow round again, with what was skipped by it.

        Raises FlowNotFoundError.
        """
        from job_processor.jobs import flows

        return await flows.retry(self._ready(), object_id(flow_id, "flow_id"))

    async def run_job(self, name: str, payload: Payload = None) -> SimpleJob:
        """Run a job here and now, whatever its tag; return it settled.

        It is one attempt: its failure is returned, not retried. Where its `rate` does not let it
        start yet, it waits until it may, or is returned skipped, as the rate says. This process is
        registered and sends heartbeats meanwhile, so that its crash is noticed.
        """
        from job_processor.worker.run_job import run_job

        return await run_job(self._engine, self._waits, JobRequest(name, payload))

    async def wait_for_job(self, job_id: ObjectId | str, timeout: Duration | None = None) -> Job:
        """Return a job once it is settled.

        timeout: seconds; 0 looks once, None waits for ever, also while the database is away.

        Raises JobNotFoundError, JobTimeoutError after `timeout`, and NotSetUpError when the
        processor is closed meanwhile.
        """
        return await self._waits.wait(object_id(job_id), timeout)

    async def get_job(self, job_id: ObjectId | str) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""
        return await self._ready().store.history.get(object_id(job_id))

    async def get_parents(self, job_id: ObjectId | str) -> list[RelatedJob]:
        """Return how the jobs stand that a job comes after, in the order of its `after`.

        Without those that history has removed. Raises JobNotFoundError.
        """
        return await relations.parents_of(self._ready(), object_id(job_id))

    async def get_children(self, job_id: ObjectId | str, limit: int = 100) -> list[RelatedJob]:
        """Return how the jobs stand that come after a job, the oldest first, at most `limit`."""
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

        Pass its `next` as `after` for the page that follows, its `previous` as `before` for the one
        before. max_bytes: the page ends before its jobs have more bytes in the database than this
        together, after one job at the soonest; None: it has `limit` jobs, however large they are.
        `selection` may hold

        tag: only names that have this tag here.
        created_from, created_to: aware datetimes; only made from then on, until then.
        ended_from, ended_to: aware datetimes; only ended from then on, before then.
        up_to: the id of a job; only it and older ones.
        flow: the id of a flow; only its jobs.
        label, labels: only with this label, or with all of these.
        planned: False: without the occurrences of crons that wait for their time.
        group: only members of this group, a Group or its id.
        worker: the id of the worker that runs it, or that wrote its end.
        error: only with this text in its error, whatever the case.
        payload: only with this value at this path, such as `{"user.id": 7}`.
        id_end: only with this end of its id, 4 hex digits of it at least.

        The last four look through the first 50,000 of the rest of the selection, two searches at a
        time. Raises InvalidArgumentError and SearchLimitError.
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
        """Return what a list shows of the page that `find_jobs` returns: for tables and dashboards.

        The database makes the extracts, so a page costs the same whatever its jobs hold: about
        2 KiB each at the most. Of payload and result the first four fields, each cut at 80
        characters; of the error its first line; no log. `get_job` has the rest.

        redaction: hides values of the payload, and where error, result and progress repeat them, as
        the dashboard does; None: nothing is hidden. Raises InvalidArgumentError and
        SearchLimitError.
        """
        from job_processor.jobs import pages
        from job_processor.jobs.selection import query_of

        parts = self._ready()
        selected = query_of(parts.registry, name=name, status=status, type=type, **selection)
        bounds = pages.Bounds(limit, after, before, oldest_first)
        return await pages.list_jobs(parts, selected, bounds, redaction)

    async def count_jobs(self, cap: int = COUNT_CAP_OF_SELECTIONS, **selection: Any) -> int:
        """Return how many jobs and cron tasks a selection of `find_jobs` has, exact up to `cap`.

        Raises InvalidArgumentError and SearchLimitError.
        """
        from job_processor.jobs import pages
        from job_processor.jobs.selection import query_of

        parts = self._ready()
        return await pages.count_jobs(parts, query_of(parts.registry, **selection), cap)

    async def kill_job(self, job_id: ObjectId | str) -> Job:
        """Kill a waiting job at once, ask the worker of a running one to stop it.

        Returns the job as it then stands; a settled one stays as it ended. Raises
        JobNotFoundError.
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
        """Send a settled job round again, now, with all its attempts; return it pending.

        from_beginning: do all of its steps again. Else it goes on after those that it has done,
            unless it has finished.
        from_step: the name of one of its steps: do that and those after it again.
        descendants: what was skipped because it had failed waits for it again, and what comes
            after that in turn.

        Raises JobNotFoundError, JobStateError when it is not settled, InvalidArgumentError, which
        names its steps, when it has none of this name, and JobConflictError when it is exclusive
        and another one of its name is active.
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
        """Remove a job that does not run, for good.

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
        """Retry, kill or delete many jobs: those of `job_ids`, or those of a selection.

        action: `retry`, `kill` or `delete`.
        from_beginning: of `retry`: do all of their steps again, as `retry_job` does.
        from_step: of `retry`: do that step and those after it again; jobs without it are left.
        descendants: of `retry`: bring back what was skipped because of them, as `retry_job` does.
        rate: of `retry`: how many of them are due in a time, such as "100/m", so that they do not
            hit together what has just been mended. Those that would be due more than 90 days later
            are left. None: all are due now.
        on_progress: called after each 500 jobs with the number that was looked at so far.
        selection: what `find_jobs` takes to select. Jobs that come meanwhile are left alone.

        Returns what was done. Jobs to which it cannot be done (to retry what waits, to delete what
        runs) are left as they are and counted. Raises InvalidArgumentError.
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
        """Send a message to the jobs that wait for it: see `Context.receive`.

        All of them go on, and get its payload; so does who asks for it later, while it is kept.

        topic: 1 to 200 characters, such as "paid:42". The first message of a name wins until its
            time is over: returns False, and changes nothing, where there is one.
        payload: what a result may be, at most 900,000 bytes, and not None.
        ttl: seconds for which it is kept, seven days unless it is given.
        session: as in `schedule_job`: it is sent once the transaction commits.

        Raises InvalidArgumentError, PayloadError, and SharedDatabaseError beside the Node package.
        """
        from job_processor.jobs import messages

        return await messages.send(self._ready(), messages.Sending(topic, payload, ttl), session)

    # --- crons ----------------------------------------------------------------------------------

    async def get_crons(self) -> list[CronInfo]:
        """Return all crons of the database by name, each with its next five times."""
        from job_processor.crons.manage import get_crons

        return await get_crons(self._ready())

    async def run_cron(self, name: str) -> CronTask:
        """Let a cron run now, once, beside its schedule; return the task as it is stored.

        Pending, or skipped when the cron is exclusive and one is active. A worker that serves it
        runs it; one that is paused waits. Raises UnknownJobError when the database has no such
        cron.
        """
        from job_processor.crons.manage import run_cron

        return await run_cron(self._ready(), name)

    async def remove_cron(self, name: str) -> None:
        """Remove a cron that no worker lists any more, now; what waits of it is skipped.

        What runs goes on, and the history stays. Without this, it plans nothing from an hour after
        its last worker on, and goes after `history_days`. Raises UnknownJobError when the database
        has no such cron, JobStateError while a worker lists it, and SharedDatabaseError when it is
        the Node package's.
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
        """Let jobs be made at moments to come: make the schedule of this name, or change it.

        One that is the same already stays as it is, so it may be put again and again. A change
        counts from now on; what is due is still made, unless the times themselves changed.

        name: such as "digest:42". job: the name, or the handle, of what it makes; payload: what
            each gets, checked as by `schedule_job`.
        cron, timezone: as a cron's expression and zone (None: the processor's); or
        every: a timedelta, or a number of whole seconds, from one moment to the next. It counts
            from `anchor`, else from `start`, else from when it was put first.
        start, end: aware datetimes; no moment before the one, none after the other. Of an interval
            without `anchor`, `start` is the first moment.
        limit: as many jobs as it makes, all in all.
        misfire: what follows moments that nobody was there for: `once` makes the first of them,
            late; `skip` lets it be skipped, unless it begins within 5 minutes and before the next
            moment; `all` makes the others, too, at most the latest 100.
        priority, unique_key, limit_key, labels: of each job, as of `schedule_job`; while one that
            waits or runs holds the key, the next is stored as skipped.
        expires_after: seconds from its moment from which on a job does not begin any more.

        Any worker that defines the job makes it, once, at its moment. Returns the schedule as it
        stands. Raises what `schedule_job` does, and InvalidArgumentError.
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
        """Let a schedule make nothing more; return False where there was none of this name.

        Jobs that it made stay as they are, also those that wait.
        """
        from job_processor.crons import schedules

        return await schedules.remove_schedule(self._ready(), name)

    async def get_schedule(self, name: str) -> Schedule | None:
        """Return a schedule, None when there is none of this name."""
        from job_processor.crons import schedules

        return await schedules.get_schedule(self._ready(), name)

    async def schedules(
        self, limit: int = 50, after: str | None = None, *, job: str | None = None
    ) -> SchedulePage:
        """Return a page of schedules by name; of one job, or of all.

        Pass its `next` as `after` for the page that follows. Raises InvalidArgumentError.
        """
        from job_processor.crons import schedules

        return await schedules.schedules(self._ready(), limit, after, job)

    async def pause_schedule(self, name: str) -> Schedule:
        """Let a schedule make nothing until it is resumed; twice is harmless.

        Raises ScheduleNotFoundError.
        """
        from job_processor.crons import schedules

        return await schedules.pause_schedule(self._ready(), name)

    async def resume_schedule(self, name: str) -> Schedule:
        """Let a schedule go on; what it missed is judged by its `misfire`.

        Raises ScheduleNotFoundError.
        """
        from job_processor.crons import schedules

        return await schedules.resume_schedule(self._ready(), name)

    # --- pauses and workers ---------------------------------------------------------------------

    async def pause(self, name: str | None = None, *, tag: str | None = None) -> None:
        """Let no worker begin anything of a name of jobs or crons, or of a tag; until `resume`.

        It is kept in the database and seen by all workers within a second; what runs already goes
        on. A paused cron plans nothing; what it missed is judged by its `misfire` when it goes on.
        Twice is harmless. Raises InvalidArgumentError unless it is one name or one tag.
        """
        from job_processor.jobs import pauses

        await pauses.pause(self._ready(), name, tag)

    async def resume(self, name: str | None = None, *, tag: str | None = None) -> None:
        """End a pause, as it was made: by name or by tag; harmless when there is none.

        Raises InvalidArgumentError unless it is one name or one tag.
        """
        from job_processor.jobs import pauses

        await pauses.resume(self._ready(), name, tag)

    async def get_pauses(self) -> Pauses:
        """Return the names and tags that are paused."""
        from job_processor.jobs import pauses

        return await pauses.get_pauses(self._ready())

    async def set_limit(self, name: str, limit: Limit | int | None) -> None:
        """Change how many jobs may run at a time, for all workers, within a second; it is kept.

        name: the group of a limit, or the name of a job or cron that has one. limit: the amount;
        None: what the code says again. What runs above a lower limit ends in peace; a higher one
        lets waiting jobs start at once. Raises InvalidArgumentError.
        """
        from job_processor.jobs import limits

        await limits.set_limit(self._ready(), name, limit)

    async def limits(self, lanes: int = LANES_SHOWN) -> list[LimitInfo]:
        """Return the limits that are defined here, were changed or are in use, by name.

        Each with its fullest lanes, at most so many, and what runs, waits and is next in them. It
        costs the same however many jobs wait: counts stop at 1,000, and of all lanes together
        about 100 are looked at. Raises InvalidArgumentError.
        """
        from job_processor.jobs import limits

        return await limits.limits(self._ready(), lanes)

    async def get_lane(
        self, lane: str, limit: int = 10, *, redaction: Redaction | None = None
    ) -> LaneJobs:
        """Return how a lane stands, such as "sync:tenant-42" (the `lane` of a job), with its jobs.

        At most `limit` of those that have a slot and of those that are next; of each what
        `list_jobs` tells, and redaction as there. One that nothing is in is empty. Raises
        InvalidArgumentError.
        """
        from job_processor.jobs import limits

        return await limits.get_lane(self._ready(), lane, limit, redaction)

    async def set_rate(self, name: str, rate: Rate | str | None) -> None:
        """Change how many jobs may start in a time, for all workers, within a second; it is kept.

        name: the group of a rate, or the name of a job or cron that has one. rate: `"100/m"`, or a
        `Rate`, whose amount, per and burst count; None: what the code says again. Raises
        InvalidArgumentError.
        """
        from job_processor.jobs import rates

        await rates.set_rate(self._ready(), name, rate)

    async def rates(self) -> list[RateInfo]:
        """Return the rates that are defined here or were changed, by name, and how they stand."""
        from job_processor.jobs import rates

        return await rates.rates(self._ready())

    async def hold(self, name: str, seconds: Duration, key: str | float | None = None) -> None:
        """Let nothing that shares a rate start for so many seconds from now; 0 lets it go on.

        It replaces what was held before. What runs goes on. name: the group of a rate, or the name
        of a job or cron that has one. key: only what has this key, where the rate has one. Raises
        InvalidArgumentError.
        """
        from job_processor.jobs import rates

        await rates.hold(self._ready(), name, seconds, key)

    async def run_worker(self, signal: AbortSignal | None = None, burst: bool = False) -> None:
        """Run jobs and crons until `signal` is aborted, then stop gracefully.

        With `burst` it returns when nothing is due and its own runs and hooks have ended.
        Cancelling it forces the stop. It waits for a database that is away. Raises
        WorkerStateError when a worker of this processor runs already, or when one of its
        background tasks died.
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
        """Return a context manager that gives what handlers get as `resources`, for a block.

        A worker, and `run_job`, enter the lifespan by themselves. This shares with them what they
        have entered, or enters it, and holds it to the end of the block. None without a lifespan.
        Entering raises LifespanError where the lifespan fails.
        """
        return self._shared.held()

    async def stop_worker(self, worker_id: ObjectId | str) -> None:
        """Ask a worker, wherever it is, to stop gracefully; it sees it within a second.

        Raises InvalidArgumentError when no worker of this id is registered.
        """
        from job_processor.jobs import pauses

        await pauses.stop_worker(self._ready(), worker_id)

    # --- how the whole stands -------------------------------------------------------------------

    async def check(self, job_id: ObjectId | str | None = None) -> list[Finding]:
        """Return what there is to say of definitions, connection, indexes, clock and workers.

        job_id: of a job that does not run: return instead the answers to the questions that find
            out why, in their order: whether it is stored here, due, held or paused, and whether a
            living worker may take it.

        Needs no `setup`. On MongoDB it changes nothing at all; an SQLite file that is there is
        opened, as by everybody. A database that does not answer is a finding, not an error. Raises
        InvalidArgumentError for what is no id.
        """
        if job_id is not None:
            from job_processor.ops.diagnosis import diagnose

            return await diagnose(self._parts, object_id(job_id))
        from job_processor.ops.check import check

        return await check(self._parts)

    async def get_status(self, redaction: Redaction | None = None) -> dict[str, Any]:
        """Return workers, queue, jobs and crons in plain JSON values, in bounded time and size.

        Of each job what `list_jobs` tells, with `cut` where it has more. redaction: as there.
        """
        from job_processor.ops import status

        return await status.get_status(self._ready().store, redaction)

    async def get_healthcheck(self, redaction: Redaction | None = None) -> dict[str, Any]:
        """Return `{now, workers, queue}` in plain JSON values, each job as in `get_status`."""
        from job_processor.ops import status

        return await status.get_healthcheck(self._ready().store, redaction)

    async def get_vitals(self) -> Vitals:
        """Return how many workers live, and since when the first due job waits.

        What a probe or a gauge asks for: no job is read.
        """
        from job_processor.ops import status

        return await status.get_vitals(self._ready().store)

    async def count_waiting(self) -> dict[str, int]:
        """Return how many jobs and cron tasks are to run, now or later, by name.

        Each count is exact up to 10,000; of at most 200 names, those without any included.
        """
        from job_processor.ops import status

        return await status.count_waiting(self._ready().store)

    async def count_parked(self) -> dict[str, int]:
        """Return how many jobs are parked, by name: another worker would not help them.

        They wait for a slot of their lane, for instance; see `job.waits_for`. What is 0 is left
        out; counts and names as in `count_waiting`, which leaves these jobs out.
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
        """Return what there is to do at present, and how many workers it takes: for an autoscaler.

        Jobs that wait for a time, for a slot of a limit or for another job, and what is paused, do
        not count as waiting: more workers would not help them.

        tag, name: of which jobs, and of the workers that serve them; one or several.
        concurrency: how many jobs one worker runs at a time; None: as those that live, and as this
            processor where none does.
        min_workers, max_workers: the bounds of what is wanted.

        Raises InvalidArgumentError.
        """
        from job_processor.ops import scaling

        scope = scaling.scope_of(tag, name, concurrency, min_workers, max_workers)
        return await scaling.get_scaling(self._ready(), scope)

    async def get_rollups(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return how runs ended in spans of 60 seconds (kept for 3 hours) or of 600 (3 days).

        Of 3600 (8 days) and of 86400 (90 days), too. The earliest first, from `since` on; a span in
        which nothing ended is left out. Workers write them every 10 seconds. Raises
        InvalidArgumentError.
        """
        from job_processor.ops import rollups

        return await rollups.get_rollups(self._ready().store, seconds, since)

    async def get_name_rollups(
        self, seconds: int, since: datetime, *, name: str | None = None, tag: str | None = None
    ) -> list[NameRollup]:
        """Return how the runs of a name, or of a tag, ended, how long they waited and ran.

        In spans of 60 seconds (kept for 3 hours), of 3600 (8 days) or of 86400 (90 days); the
        earliest first, the one that `since` is in among them. A span in which nothing ended is left
        out. Without a name and a tag: of all jobs. Of those beyond 200 names, or tags, in the order
        in which they are defined, see the name `…`. Raises InvalidArgumentError.
        """
        from job_processor.ops import rollups

        parts = self._ready()
        now = parts.clock.now()
        return await rollups.get_name_rollups(parts.store, now, seconds, since, name, tag)

    async def get_rollup_totals(
        self, seconds: int, since: datetime, *, kind: Kind = "name"
    ) -> list[NameRollup]:
        """Return what the rollups of each name, or tag, have added up to, in order of name.

        seconds: of spans of which length, as for `get_name_rollups`: an hour is best added up of
        minutes, a week of hours. since: from the span on that this is in. Raises
        InvalidArgumentError.
        """
        from job_processor.ops import rollups

        return await rollups.get_rollup_totals(self._ready().store, seconds, since, kind)

    async def get_error_groups(
        self, since: datetime, *, name: str | None = None, limit: int = 50
    ) -> list[ErrorGroup]:
        """Return with which errors attempts failed, by first line, the most frequent first.

        Ids, numbers and mail addresses in a first line make no difference. Counted by the hour, the
        one that `since` is in among them, and kept for 2 days; at most 50 of a name in an hour, the
        others as `…`. name: of which jobs; None: of all. limit: 1 to 1000. Raises
        InvalidArgumentError.
        """
        from job_processor.ops import rollups

        parts = self._ready()
        return await rollups.get_error_groups(parts.store, parts.clock.now(), since, name, limit)

    async def count_alive(self) -> int:
        """Return how many registered workers are alive: what a probe asks for."""
        return await self._ready().store.workers.count_alive()

    async def get_registrations(self) -> Registrations:
        """Return the registered workers, dead ones too, and the database's clock."""
        return await self._ready().store.workers.registrations()

    def subscribe(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` in the event loop when jobs may have changed; returns what ends it.

        By whomever, as far as the database tells; it may be called too often. All who subscribe
        share one watch of the database.
        """
        return self._ready().store.subscribe(lambda _: listener())

    async def add_audit(self, who: str, action: str, subject: str) -> None:
        """Note that somebody did something, for `get_audit`; it is kept for 90 days, and logged."""
        from job_processor.ops.audit import Audit

        async with Audit(self._ready()).doing(who, action, subject):
            pass

    async def get_audit(self, limit: int = 1000) -> list[AuditEntry]:
        """Return the last of who did what by dashboard and command line, the latest first."""
        from job_processor.ops.audit import Audit

        return await Audit(self._ready()).entries(limit)

    async def migrate_from_node(
        self, *, apply: bool = False, undo: bool = False
    ) -> MigrationReport:
        """Report what a database of the Node package holds, and what a move would change in it.

        apply: make those changes; twice is harmless. While a worker of the Node package lives, its
            crons and its validator are left to it.
        undo: put the Node package's validator back.

        Needs no `setup`, and without either changes nothing at all. Raises MigrationError when
        something stands in the way, InvalidArgumentError for another database than MongoDB.
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


def _parted(jobs: Given) -> tuple[Sequence[Jobs], Mapping[str, JobDef]]:
    """Return the collections, and all other definitions by name; raises InvalidArgumentError."""
    if jobs is None or isinstance(jobs, Mapping):  # as in most processes that only schedule
        return (), jobs or {}
    from job_processor.jobs.collection import parted

    return parted(jobs)
