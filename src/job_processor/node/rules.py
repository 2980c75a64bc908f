"""What cannot be had of definitions, crons and workers beside the Node package on one database."""

from __future__ import annotations

from job_processor.errors import SharedDatabaseError
from job_processor.handlers.definitions import CronDef, Definition
from job_processor.handlers.registry import Registry
from job_processor.models import Cron, WorkerInfo
from job_processor.parts import Parts
from job_processor.schedule import interval_of
from job_processor.settings import NODE_TIMEZONE
from job_processor.store import Store
from job_processor.store.owners import KIND as OWNERS
from job_processor.store.owners import is_of_another
from job_processor.store.refusals import refuse


def refuses_own_fields(store: Store) -> bool:
    """True where the validator of the Node package refuses what a plain job does not have."""
    node = store.node_side()
    return node is not None and node.refuses_own_fields


def check_definition(store: Store, name: str, definition: Definition) -> None:
    """Raise SharedDatabaseError when a definition needs a field that this database refuses."""
    if not refuses_own_fields(store) or definition.handler is None:
        return
    if definition.retries is not None:
        refuse(f"retry of {name!r}", definition.retry, "retry")
    if definition.limited is not None and definition.limited.per != "worker":
        refuse(f"limit of {name!r}", definition.limit, "limit")
    if definition.rate_limit is not None and definition.rate_limit.key is not None:
        refuse(f"rate of {name!r}", definition.rate, "a key of a rate")
    if definition.labelled:
        refuse(f"labels of {name!r}", list(definition.labelled), "labels")
    if definition.bound.wants_context:
        refuse(f"handler of {name!r}", definition.handler, "context")
    if isinstance(definition, CronDef):
        check_interval(name, definition)


def check_interval(name: str, definition: CronDef) -> None:
    """Raise SharedDatabaseError for a cron with an interval: Node reads whatever cron is due.

    Its parser takes none, and its scheduler ends at what it cannot read.
    """
    if interval_of(definition.expression) is None:
        return
    given = definition.every if definition.cron_string is None else definition.cron_string
    allowed = (
        "the scheduler of the Node package, which works on this database too, reads every cron, "
        "and stops at an interval; allowed are a cron expression, and a schedule of a job: "
        "await processor.put_schedule(…, every=…)"
    )
    raise SharedDatabaseError(f"every of {name!r}", given, allowed)


def check_registry(store: Store, registry: Registry) -> None:
    """Raise SharedDatabaseError for the first definition that this database cannot serve."""
    for name, definition in registry:
        check_definition(store, name, definition)


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
            "any more, `job-processor migrate-from-node --apply` takes the cron over",
        )


async def check_definitions(parts: Parts) -> None:
    """Raise SharedDatabaseError for the first definition that means something else beside Node."""
    check_registry(parts.store, parts.registry)
    if refuses_own_fields(parts.store) and parts.registry.crons:
        await check_crons(parts.store, parts.registry, parts.settings.timezone)


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
