"""What a database that is shared with the Node package cannot keep, told before it matters.

Its validator refuses every field beyond its own. A feature that needs one is refused when it is
defined or scheduled, and not at the first failure of a job at midnight.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from job_processor.errors import SharedDatabaseError
from job_processor.handlers.definitions import CronDef, Definition, Registry
from job_processor.models import Cron, SimpleJob, WorkerInfo
from job_processor.settings import NODE_TIMEZONE
from job_processor.store import Store
from job_processor.store.owners import KIND as OWNERS
from job_processor.store.owners import is_of_another

_FIELDS = {
    "retry": "attempt, attempts",
    "context": "notes, state",
    "priority": "priority",
    "expires_at": "expires_at",
    "unique_key": "unique_key, unique_until",
}
"""The fields of a job's document that a feature needs, beyond those of the Node package."""


def check_definition(store: Store, name: str, definition: Definition) -> None:
    """Raise SharedDatabaseError when a definition needs a field that this database refuses."""
    if not store.abilities.refuses_own_fields or definition.handler is None:
        return
    if definition.retries is not None:
        _refuse(f"retry of {name!r}", definition.retry, "retry")
    if definition.bound.wants_context:
        _refuse(f"handler of {name!r}", definition.handler, "context")


def check_registry(store: Store, registry: Registry) -> None:
    """Raise SharedDatabaseError for the first definition that this database cannot serve."""
    for name, definition in registry:
        check_definition(store, name, definition)


def check_job(store: Store, job: SimpleJob) -> None:
    """Raise SharedDatabaseError when a new job needs a field that this database refuses."""
    if not store.abilities.refuses_own_fields:
        return
    if job.priority:
        _refuse("priority", job.priority, "priority")
    if job.expires_at is not None:
        _refuse("expires_at", job.expires_at, "expires_at")
    if job.unique_key is not None:
        _refuse("unique_key", job.unique_key, "unique_key")


def without_trace(store: Store, job: SimpleJob) -> SimpleJob:
    """Return a new job as this database takes it: a trace is no reason to refuse a plain job."""
    if job.traceparent is None or not store.abilities.refuses_own_fields:
        return job
    return replace(job, traceparent=None)


def check_cron(cron: Cron, definition: CronDef, timezone: str) -> None:
    """Raise SharedDatabaseError unless a cron that Node schedules too means the same there.

    timezone: the one of a definition that names none.
    """
    name, zone = cron.name, definition.timezone or timezone
    if zone != NODE_TIMEZONE:
        raise SharedDatabaseError(
            f"timezone of {name!r}",
            zone,
            f"the Node package on this database schedules this cron too, and reads it in "
            f"{NODE_TIMEZONE}; allowed is timezone={NODE_TIMEZONE!r}. Once no Node process starts "
            "any more, `job-processor migrate-from-node --apply` makes the cron ours",
        )


async def check_crons(store: Store, registry: Registry, timezone: str) -> None:
    """Raise SharedDatabaseError for a cron that Node schedules too and that has another zone."""
    owners = await store.settings.all(OWNERS)
    for cron in await store.crons.all():
        definition = registry.crons.get(cron.name)
        if definition is not None and is_of_another(cron, owners.get(cron.name)):
            check_cron(cron, definition, timezone)


def claims_everything(worker: WorkerInfo) -> bool:
    """True for a worker of the Node package without tags, which takes what only we know as well."""
    return worker.timeout_s is None and worker.tags is None


def describe_untagged(worker: WorkerInfo) -> str:
    """Return what such a worker does, and what to do."""
    return (
        f"the Node worker {worker.id} on {worker.hostname} has no workerTags: it claims every job, "
        "and errors those that only Python defines; give all Node workers workerTags first"
    )


def _refuse(argument: str, value: Any, feature: str) -> None:
    raise SharedDatabaseError(
        argument,
        value,
        f"{feature} needs a field of a job ({_FIELDS[feature]}) that the validator of the Node "
        "package, which works on this database too, refuses. Leave it out, or use a database or a "
        "collection_prefix of its own; once no Node process starts any more, `job-processor "
        "migrate-from-node --apply` takes that validator away",
    )
