"""Crons as they stand in the database: listed, run by hand, removed."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.crons.unlisted import is_listed
from job_processor.crons.unlisted import remove_cron as remove_unlisted
from job_processor.errors import (
    InvalidArgumentError,
    JobStateError,
    SharedDatabaseError,
    unknown,
)
from job_processor.handlers.registry import Registry
from job_processor.jobs.intake import insert_or_skip
from job_processor.jobs.pauses import KIND, Pauses
from job_processor.models import Cron, CronTask, JobStatus, JobType
from job_processor.parts import Parts
from job_processor.redaction import Redaction
from job_processor.schedule import next_occurrence
from job_processor.settings import NODE_TIMEZONE
from job_processor.store.owners import KIND as OWNERS
from job_processor.store.owners import Owner, is_of_another
from job_processor.store.requests import JobQuery
from job_processor.store.summaries import JobSummary

UPCOMING = 5
"""Occurrences that `get_crons()` tells of each."""


@dataclass(frozen=True, slots=True)
class CronInfo:
    """A cron in the database, of any service."""

    name: str
    cron_string: str
    timezone: str
    service: str | None
    """The service that owns it; None: the Node package."""
    paused: bool
    """True while it is paused by its name or, if it is defined in this process, by its tag."""
    scheduled_for: datetime
    """The time of its next occurrence."""
    upcoming: tuple[datetime, ...]
    """The next five occurrences, in UTC; fewer if the expression has no more."""
    unlisted_since: datetime | None = None
    """Since when no worker of its service defines it, after an hour of that: it no longer schedules
    anything. None otherwise.
    """


async def get_crons(parts: Parts) -> list[CronInfo]:
    """Return all crons by name."""
    return list((await find_crons(parts, None, sys.maxsize)).crons)


async def get_cron(parts: Parts, name: str, pauses: Pauses | None = None) -> CronInfo | None:
    """Return a cron; None where the database has none of this name."""
    return next(iter((await find_crons(parts, [name], 1, pauses=pauses)).crons), None)


@dataclass(frozen=True, slots=True)
class CronPage:
    """Some crons, and how many there are."""

    crons: tuple[CronInfo, ...]
    total: int
    """How many were asked for."""


async def find_crons(
    parts: Parts,
    names: Collection[str] | None,
    limit: int,
    *,
    text: str = "",
    skip: int = 0,
    pauses: Pauses | None = None,
) -> CronPage:
    """Return crons by name, at most `limit` of those behind the first `skip`.

    names: only these; None: all. text: only with this in the name, whatever the case.
    pauses: what is paused, where it has been read already.
    """
    store, wanted = parts.store, text.casefold()
    crons = [
        cron
        for cron in await store.crons.all()
        if (names is None or cron.name in names) and wanted in cron.name.casefold()
    ]
    shown = crons[skip : skip + limit]
    owners = await store.settings.all(OWNERS) if shown else {}
    if pauses is None:
        pauses = Pauses.of(await store.settings.all(KIND) if shown else {})
    now = parts.clock.now()
    infos = (_info(cron, owners, parts.registry, pauses, now) for cron in shown)
    return CronPage(tuple(infos), len(crons))


async def last_runs(
    parts: Parts, names: Sequence[str], limit: int, redaction: Redaction | None = None
) -> dict[str, list[JobSummary]]:
    """Return the newest occurrences of crons that have begun or will not any more, oldest first.

    At most `limit` of each, for the strips of a list; one statement for 25 of them.
    """
    kinds: list[tuple[JobType, str]] = [("cron_task", name) for name in names]
    found = await parts.store.history.latest(kinds, limit + 1, redaction)
    return {
        name: [each for each in jobs if each.status is not JobStatus.PENDING][:limit][::-1]
        for name, jobs in zip(names, found, strict=True)
    }


async def run_cron(parts: Parts, name: str) -> CronTask:
    """Put an occurrence into the queue, due now, beside those that are planned.

    Raises UnknownJobError when the database has no cron of this name.
    """
    store = parts.store
    crons = {cron.name for cron in await store.crons.all()}
    if name not in crons:
        raise unknown("name", name, "the crons of this database", crons)
    now = parts.clock.now()
    exclusive, labels = await _as_defined(parts, name)
    if exclusive:  # the one that stands in the queue would be in the way; it comes again after this
        await store.crons.remove_occurrences(name, now, ())
    task = CronTask(
        id=ObjectId(),
        name=name,
        status=JobStatus.PENDING,
        scheduled_for=now,
        created_at=now,
        updated_at=now,
        exclusive=exclusive,
        labels=labels,
    )
    (stored,) = await insert_or_skip(store, [parts.stamps.on(task)], parts.clock)
    assert isinstance(stored, CronTask)  # noqa: S101  # as it was made
    parts.events.tell_stored([stored])
    return stored


async def remove_cron(parts: Parts, name: str) -> None:
    """Remove a cron that no worker lists any more; what waits of it is skipped.

    Raises UnknownJobError when the database has no such cron, JobStateError when a worker would
    bring it back at once, and SharedDatabaseError for one that the Node package defines.
    """
    store = parts.store
    crons = {cron.name: cron for cron in await store.crons.all()}
    setting = (await store.settings.all(OWNERS)).get(name)
    cron, owner = crons.get(name), None if setting is None else Owner.from_setting(setting)
    if cron is None and owner is None:
        raise unknown("name", name, "the crons of this database", crons)
    if cron is not None and is_of_another(cron, setting):
        allowed = "allowed is a cron of Python: the Node package removes its own when it starts"
        raise SharedDatabaseError("name", name, allowed)
    registrations = await store.workers.registrations()
    if owner is not None and is_listed(name, owner, registrations):
        raise JobStateError(
            f"cron {name!r} is listed by a worker of service {owner.service!r}, which would create "
            "it again; stop that worker or deploy it without the cron, or pause the cron"
        )
    await remove_unlisted(store, name, registrations.now, owner)


async def _as_defined(parts: Parts, name: str) -> tuple[bool, tuple[str, ...]]:
    """Return whether a cron is exclusive, and its labels.

    As its definition says or, where that is not here, as its last occurrence did.
    """
    definition = parts.registry.crons.get(name)
    if definition is not None:
        return definition.exclusive, definition.labelled
    last = await parts.store.history.find(JobQuery(name=name, type="cron_task", limit=1))
    return (last[0].exclusive, last[0].labels) if last else (False, ())


def _info(
    cron: Cron, owners: Mapping[str, Any], registry: Registry, pauses: Pauses, now: datetime
) -> CronInfo:
    setting = owners.get(cron.name)
    owner = None if setting is None else Owner.from_setting(setting)
    definition = registry.all.get(cron.name)
    zone = NODE_TIMEZONE if owner is None else owner.timezone
    return CronInfo(
        name=cron.name,
        cron_string=cron.cron_string,
        timezone=zone,
        service=None if owner is None else owner.service,
        paused=pauses.include(cron.name, None if definition is None else definition.tag),
        scheduled_for=cron.scheduled_for,
        upcoming=_upcoming(cron.cron_string, zone, now),
        unlisted_since=owner.listed_at if owner is not None and owner.dormant else None,
    )


def _upcoming(cron_string: str, zone: str, after: datetime) -> tuple[datetime, ...]:
    """Return the next occurrences; none of an expression that only Node's parser takes."""
    moments: list[datetime] = []
    try:
        for _ in range(UPCOMING):
            after = next_occurrence(cron_string, zone, after)
            moments.append(after)
    except InvalidArgumentError:
        pass
    return tuple(moments)
