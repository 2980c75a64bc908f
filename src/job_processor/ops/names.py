"""The names of jobs and crons: which there are, and how each stands at present."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from job_processor.handlers.limits import Limit
from job_processor.jobs.limits import present_amount
from job_processor.jobs.pauses import Pauses
from job_processor.jobs.rates import RateInfo, get_rate
from job_processor.jobs.services import listings
from job_processor.models import JobStatus, JobType
from job_processor.parts import Parts
from job_processor.settings import COUNT_CAP, STATUS_NAMES, check_name
from job_processor.store.lanes import LIMIT

Paused: TypeAlias = Literal["name", "tag"]
_UNFINISHED = (JobStatus.PENDING, JobStatus.RUNNING, JobStatus.PAUSED)
_TYPES: tuple[JobType, ...] = ("simple", "cron_task")


@dataclass(frozen=True, slots=True)
class NameInfo:
    """A name, and how it stands."""

    name: str
    type: JobType | None
    """None where nothing tells whether it is of jobs or of a cron."""
    tag: str | None
    defined: bool
    """True where this process has a handler of it."""
    paused: Paused | None = None
    """By what it is paused; None: it is not."""
    counts: Mapping[JobStatus, int] = field(default_factory=dict)
    """Its jobs by state, each count exact up to 10,000; of a list only what has not ended."""
    parked: int = 0
    """Of those that are pending: they wait for something other than their time and a worker."""

    @property
    def waiting(self) -> int:
        """Jobs that wait for their time or for a worker."""
        of = self.counts
        waiting = of.get(JobStatus.PENDING, 0) + of.get(JobStatus.PAUSED, 0)
        return max(waiting - self.parked, 0)

    @property
    def running(self) -> int:
        """Jobs that run."""
        return self.counts.get(JobStatus.RUNNING, 0)

    def as_json(self) -> dict[str, Any]:
        """Return it in plain JSON values."""
        return {
            "name": self.name,
            "type": self.type,
            "tag": self.tag,
            "defined": self.defined,
            "paused": self.paused,
            "counts": {status.value: count for status, count in self.counts.items()},
            "waiting": self.waiting,
            "running": self.running,
            "parked": self.parked,
        }


@dataclass(frozen=True, slots=True)
class LimitOfName:
    """The limit of a name, as it can be changed."""

    name: str
    """The group; of a limit without one the name itself."""
    names: tuple[str, ...]
    """The jobs and crons of this process that share it."""
    amount: int | None
    """How many may run at a time at present."""
    defined: Limit
    """What the code of this process says."""

    @property
    def is_changed(self) -> bool:
        """True where somebody has set it."""
        return self.amount != self.defined.amount


async def all_names(parts: Parts, others: Iterable[str] = ()) -> dict[str, NameInfo]:
    """Return the names that are known, and nothing of how they stand.

    Those that are defined here, that services list in this database, that crons have, that are
    given, and the first 200 that stored jobs have.
    """
    found = {name: NameInfo(name, None, None, defined=False) for name in others}
    for type, name in await parts.store.history.names(STATUS_NAMES):
        found[name] = NameInfo(name, type, None, defined=False)
    return await _with_listed(parts, found)


async def names_of_tag(parts: Parts, tag: str) -> list[NameInfo]:
    """Return the names that have a tag here, or by what services list, in their order."""
    found = await _with_listed(parts, {})
    return sorted((each for each in found.values() if each.tag == tag), key=lambda each: each.name)


def names_here(parts: Parts, names: Iterable[str]) -> list[NameInfo]:
    """Return names that are defined here, in their order."""
    return [_here(parts, name, None) for name in sorted(names)]


async def _with_listed(parts: Parts, found: dict[str, NameInfo]) -> dict[str, NameInfo]:
    """Return names with those that services list, that crons have, and that are defined here."""
    listed, crons = await asyncio.gather(_listed(parts), parts.store.crons.all())
    for name, tag in listed.items():
        known = found.get(name)
        found[name] = NameInfo(name, known.type if known else "simple", tag, defined=False)
    for cron in crons:
        found[cron.name] = replace(
            found.get(cron.name) or NameInfo(cron.name, None, None, defined=False), type="cron_task"
        )
    return found | {name: _here(parts, name, found.get(name)) for name in parts.registry.all}


async def standing(
    parts: Parts,
    names: Sequence[NameInfo],
    pauses: Pauses,
    statuses: Sequence[JobStatus] = _UNFINISHED,
) -> list[NameInfo]:
    """Return how names stand, in their order: two statements for 25 of them."""
    kinds = [(type, each.name) for each in names for type in _types(each)]
    counted, parked = await asyncio.gather(
        parts.store.history.count(kinds, COUNT_CAP, statuses),
        parts.store.lanes.parked([each.name for each in names], COUNT_CAP),
    )
    counts: dict[str, dict[JobStatus, int]] = {}
    for each in counted:
        of_name = counts.setdefault(each.name, {})
        of_name[each.status] = of_name.get(each.status, 0) + each.count
    return [
        replace(
            each,
            paused=_paused(pauses, each),
            counts=counts.get(each.name, {}),
            parked=parked.get(each.name, 0),
        )
        for each in names
    ]


async def get_name(parts: Parts, name: str, pauses: Pauses) -> NameInfo:
    """Return how one name stands, with all its states; raises InvalidArgumentError."""
    check_name("name", name)
    here = name in parts.registry.all
    tag = None if here else (await _listed(parts)).get(name)
    info = _here(parts, name, None) if here else NameInfo(name, None, tag, defined=False)
    (found,) = await standing(parts, [info], pauses, tuple(JobStatus))
    return found


async def limit_of(parts: Parts, group: str) -> LimitOfName | None:
    """Return the limit of a group, or of a name without one; None where nothing here has it."""
    defined, names = parts.registry.limit_groups.get(group, (None, ()))
    if defined is None:
        return None
    settings = await parts.store.settings.all(LIMIT)
    return LimitOfName(group, names, present_amount(group, defined, settings), defined)


async def rate_of(parts: Parts, group: str) -> RateInfo | None:
    """Return the rate of a group, or of a name without one; None where nothing here has it."""
    return await get_rate(parts, group) if group in parts.registry.rates else None


def limit_group(parts: Parts, name: str) -> str:
    """Return the group of a name's limit: its own name where that has none."""
    definition = parts.registry.all.get(name)
    limit = None if definition is None else definition.limited
    return name if limit is None else limit.group or name


def rate_group(parts: Parts, name: str) -> str:
    """Return the group of a name's rate: its own name where that has none."""
    definition = parts.registry.all.get(name)
    rate = None if definition is None else definition.rate_limit
    return name if rate is None else rate.group or name


def _here(parts: Parts, name: str, known: NameInfo | None) -> NameInfo:
    """Return what is defined here of a name; that it is of a cron, only the database may know."""
    definition = parts.registry.all[name]
    defined = definition.handler is not None
    type: JobType | None = "cron_task" if name in parts.registry.crons else "simple"
    if not defined:
        type = None if known is None else known.type
    return NameInfo(name, type, definition.tag, defined=defined)


def _types(info: NameInfo) -> tuple[JobType, ...]:
    return _TYPES if info.type is None else (info.type,)


def _paused(pauses: Pauses, info: NameInfo) -> Paused | None:
    if info.name in pauses.names:
        return "name"
    return "tag" if pauses.include(info.name, info.tag) else None


async def _listed(parts: Parts) -> dict[str, str | None]:
    """Return the names that services list in this database, with their tags."""
    now, kept = parts.clock.now(), timedelta(days=parts.settings.history_days)
    return {name: each.tag for name, each in (await listings(parts.store, now, kept)).items()}
