"""Whether an application and its database can do their work: definitions, database, workers.

It looks, and changes nothing but what a database does by being opened.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from job_processor.clock import Clock
from job_processor.errors import (
    DefinitionError,
    InvalidArgumentError,
    SharedDatabaseError,
    StoreError,
    StoreUnavailableError,
)
from job_processor.handlers.definitions import CronDef, Definition
from job_processor.handlers.registry import Registry
from job_processor.handlers.resources import Lifespan, check_resources
from job_processor.jobs.services import listings
from job_processor.models import Registrations, WorkerInfo
from job_processor.node import migration
from job_processor.node.rules import (
    check_crons,
    check_definition,
    claims_everything,
    describe_untagged,
    refuses_own_fields,
)
from job_processor.ops.lanes import remarks_on_lanes
from job_processor.ops.schedules import remarks_on_schedules
from job_processor.parts import Parts
from job_processor.schedule import next_occurrence
from job_processor.settings import CLOCK_TOLERANCE, STATUS_LIMIT, Settings
from job_processor.store import Store
from job_processor.store.base import Level
from job_processor.store.owners import KIND, Owner


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of `JobProcessor.check`."""

    subject: str
    """The subject of the check: `job 'resize'`, `connection`, `indexes`, `clock`, `workers`."""
    level: Level
    """`ok`; `warning`: it works, but perhaps not as intended; `error`: it does not work."""
    text: str
    """The finding."""
    advice: str = ""
    """What to do about it, in one line; empty if there is nothing to do."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values, without an empty `advice`."""
        return {key: value for key, value in asdict(self).items() if key != "advice" or value}


async def check(parts: Parts) -> list[Finding]:
    """Return what was found, definitions first; what cannot be reached ends the list."""
    findings = [*_definitions(parts)]
    try:
        findings += await _database(parts)
    except StoreError as error:
        findings.append(unreachable(error))
    return findings


def unreachable(error: StoreError) -> Finding:
    """Return what to say of a database that does not answer, or cannot serve as it is."""
    if isinstance(error, StoreUnavailableError):
        advice = (
            "start the server, or correct its address: db= of the application, or what it reads"
        )
    else:
        advice = "give the application another database, or repair this one: db=, $JOB_PROCESSOR_DB"
    return Finding("connection", "error", str(error), advice)


# --- definitions ---------------------------------------------------------------------------------


def _definitions(parts: Parts) -> Iterator[Finding]:
    registry, settings = parts.registry, parts.settings
    if not registry.jobs and not registry.crons:
        yield Finding(
            "definitions",
            "warning",
            "there are none: a worker has nothing to run",
            "write @processor.job above a function, or import the modules that do beside processor",
        )
    for name, job in registry.jobs.items():
        yield _handler(f"job {name!r}", name, job, parts.lifespan)
    for name, cron in registry.crons.items():
        found = _handler(f"cron {name!r}", name, cron, parts.lifespan)
        well = found.level != "error"
        yield _occurrence(found.subject, cron, settings, parts.clock) if well else found
    for tag in registry.unknown_tags(settings.worker_tags or ()):
        text = f"worker_tags has {tag!r}, which no job and no cron has"
        advice = f"take it out of worker_tags, or give it to a definition: tag={tag!r}"
        yield Finding("tags", "warning", text, advice)


def _handler(
    subject: str, called: str, definition: Definition, lifespan: Lifespan | None
) -> Finding:
    """Tell whether a handler can be run, in another process, too, where it is to run in one."""
    if definition.handler is None:
        return Finding(subject, "ok", "it is only scheduled here")
    try:
        check_resources(called, definition, lifespan)
    except DefinitionError as error:
        advice = "give the processor what its handlers ask for: JobProcessor(lifespan=…)"
        return Finding(subject, "error", str(error), advice)
    function = definition.bound.function
    name = getattr(function, "__qualname__", type(function).__qualname__)
    if definition.executor == "process":
        place = f"{function.__module__}:{name}"
        from job_processor.worker.processes.child import find  # noqa: PLC0415  # rarely wanted

        try:
            found: Any = find(function.__module__, name)
        except Exception as error:  # noqa: BLE001  # the import runs code of the user
            text = f"its process cannot import {place}: {type(error).__name__}: {error}"
            advice = "define it at the top of a module that can be imported without the application"
            return Finding(subject, "error", text, advice)
        if found is not function:
            text = f"its process would find another object at {place}: keep the handler's own name"
            advice = f"let nothing else be called {name!r} in {function.__module__}"
            return Finding(subject, "error", text, advice)
    return Finding(subject, "ok", f"{name} in {getattr(function, '__module__', None)}")


def _occurrence(subject: str, cron: CronDef, settings: Settings, clock: Clock) -> Finding:
    zone = cron.timezone or settings.timezone
    try:
        moment = next_occurrence(cron.expression, zone, clock.now())
    except InvalidArgumentError as error:
        advice = "correct its expression or its time zone"
        return Finding(subject, "error", str(error), advice)
    told = f"{cron.when(settings.timezone)}, next {moment:%Y-%m-%d %H:%M} UTC"
    return Finding(subject, "ok", told)


# --- database ------------------------------------------------------------------------------------


async def _database(parts: Parts) -> list[Finding]:
    store, registry, settings = parts.store, parts.registry, parts.settings
    described = await store.describe()
    findings = [Finding(*remark) for remark in described.remarks]
    if not described.is_there:
        return findings
    if described.has_own_clock:
        findings.append(await _clock(store, parts.clock))
    registrations = await store.workers.registrations()
    return [
        *findings,
        *_workers(registrations, registry),
        *await _waiting(store, registrations, settings),
        *await _dormant(store),
        *(Finding(*each) for each in await remarks_on_lanes(parts)),
        *(Finding(*each) for each in await remarks_on_schedules(store, registrations)),
        *await _sharing(parts, registrations),
    ]


async def _clock(store: Store, clock: Clock) -> Finding:
    """Compare the database's clock with ours."""
    began = time.perf_counter()
    before = clock.now()
    theirs = await store.ping()
    took = time.perf_counter() - began
    # An answer is from some moment between question and reply: in the middle, give or take half.
    return _clocks((theirs - before).total_seconds() - took / 2, took / 2)


def _clocks(offset: float, give: float) -> Finding:
    how = "ahead of" if offset > 0 else "behind"
    text = (
        f"the database's clock is {abs(offset):.3f} s {how} this machine's, give or take "
        f"{give:.3f} s"
    )
    if abs(offset) - give <= CLOCK_TOLERANCE:
        return Finding("clock", "ok", text)
    told = f"{text}: jobs start that much too early or too late"
    return Finding("clock", "warning", told, "synchronize both machines (NTP)")


# --- workers -------------------------------------------------------------------------------------


def _workers(registrations: Registrations, registry: Registry) -> Iterator[Finding]:
    living = [each for each in registrations.workers if not each.is_dead(registrations.now)]
    dead = len(registrations.workers) - len(living)
    untagged = [each for each in living if claims_everything(each)]
    for worker in untagged:
        advice = "give it workerTags that no definition of Python has, and restart it"
        yield Finding("workers", "warning", describe_untagged(worker), advice)
    yield from _wrong_clocks(registrations)
    if dead:
        text = f"{dead} without a heartbeat; another worker recovers the jobs"
        advice = "find out why it stopped, and keep a worker running, which takes over its jobs"
        yield Finding("workers", "warning", text, advice)
    ours = [each for each in living if each.timeout_s is not None]
    if not ours:
        text = "no worker is running, so no job runs"
        yield Finding("workers", "warning", text, "start one: job-processor worker")
        return
    yield Finding("workers", "ok", f"{len(ours)} running")
    yield from _unserved(ours, registry)


def _wrong_clocks(registrations: Registrations) -> Iterator[Finding]:
    """Tell whose clock is not the database's: as its worker has told, or as its heartbeats show."""
    for worker in registrations.workers:
        ahead = worker.clock_ahead or max(worker.seen_ahead(registrations.now), 0.0)
        if abs(ahead) > CLOCK_TOLERANCE:
            whose = f"worker {worker.id} (process {worker.pid} on {worker.hostname})"
            how = "ahead of" if ahead > 0 else "behind"
            text = (
                f"the clock of {whose} is {abs(ahead):.1f} s {how} the database's: synchronize it"
            )
            yield Finding("clock", "warning", text, f"synchronize {worker.hostname} (NTP)")


async def _waiting(store: Store, registrations: Registrations, settings: Settings) -> list[Finding]:
    """Tell of runs of dead workers that no living one may take up, and whom they wait for."""
    now = registrations.now
    living = [each for each in registrations.workers if not each.is_dead(now)]
    if any(each.timeout_s is None for each in living):  # a Node worker does not tell its names
        return []
    defined = {name for each in living for name in each.names}
    left: Counter[str] = Counter()
    for worker_id in await store.runs.workers() - {each.id for each in living}:
        left.update(job.name for job in await store.runs.of_worker(worker_id, STATUS_LIMIT))
    orphaned = {name: count for name, count in left.items() if name not in defined}
    if not orphaned:
        return []
    listed = await listings(store, now, timedelta(days=settings.history_days))
    findings = []
    for name, count in sorted(orphaned.items()):
        service = listed.get(name)
        whom = (
            "no service has listed this name: they are errored after 10 minutes"
            if service is None
            else f"they wait for service {service.service!r}, here last on {service.at:%Y-%m-%d}"
        )
        text = f"{count} of crashed workers, and no running worker defines it; {whom}"
        advice = (
            f"start a worker that defines {name!r}, or retry them by hand once they are errored"
            if service is None
            else f"start a worker of service {service.service!r}"
        )
        findings.append(Finding(f"runs of {name!r}", "warning", text, advice))
    return findings


def _unserved(living: list[WorkerInfo], registry: Registry) -> Iterator[Finding]:
    """Tell of tags and names that no worker takes, where there are workers."""
    for tag in sorted({each.tag for _, each in registry if each.tag is not None}):
        if not any(worker.tags is None or tag in worker.tags for worker in living):
            text = f"no running worker serves the tag {tag!r}"
            advice = f"start one that does: job-processor worker --tags {shlex.quote(tag)}"
            yield Finding("tags", "warning", text, advice)
    defined = {name for worker in living for name in worker.names}
    unknown = sorted(name for name, _ in registry if name not in defined)
    if unknown:
        names = ", ".join(map(repr, unknown))
        text = f"no running worker defines {names}: they run older code, or another application"
        advice = "restart the workers with the current code, or start one of this application"
        yield Finding("workers", "warning", text, advice)


async def _dormant(store: Store) -> list[Finding]:
    """Tell of crons that plan nothing, since no worker lists them any more."""
    owners = {
        name: Owner.from_setting(each) for name, each in (await store.settings.all(KIND)).items()
    }
    return [
        Finding(
            f"cron {name!r}",
            "warning",
            f"no worker of service {owner.service!r} has listed it since "
            f"{owner.listed_at:%Y-%m-%d %H:%M} UTC: it plans nothing",
            f"deploy it again, or remove it: job-processor crons remove {shlex.quote(name)}",
        )
        for name, owner in sorted(owners.items())
        if owner.dormant
    ]


async def _sharing(parts: Parts, registrations: Registrations) -> list[Finding]:
    """Tell what cannot be had beside the Node package, where it works on this database too."""
    store, registry = parts.store, parts.registry
    if not refuses_own_fields(store):
        return []
    living = len(migration.living_node_workers(registrations))
    text = f"shared: {living} of its workers live, and its validator refuses fields beyond its own"
    findings = [Finding("Node package", "ok", text)]
    lanes = await store.lanes.waiting("", STATUS_LIMIT)
    if lanes:
        more = " or more" if len(lanes) == STATUS_LIMIT else ""
        text = (
            f"jobs wait in {len(lanes)}{more} lanes, such as {lanes[0]!r}: its workers never run "
            "them. Python workers take them out of their lanes and run them without a limit, "
            "because no limit works beside the Node package"
        )
        findings.append(Finding("limits", "warning", text))
    for name, definition in registry:
        with _as_findings(f"{_kind(definition)} {name!r}", findings):
            check_definition(store, name, definition)
    if registry.crons:
        with _as_findings("crons", findings):
            await check_crons(store, registry, parts.settings.timezone)
    return findings


@contextlib.contextmanager
def _as_findings(subject: str, findings: list[Finding]) -> Iterator[None]:
    try:
        yield
    except SharedDatabaseError as error:
        advice = "leave that out, or move off the Node package: job-processor migrate-from-node"
        findings.append(Finding(subject, "error", str(error), advice))


def _kind(definition: Definition) -> str:
    return "cron" if isinstance(definition, CronDef) else "job"
