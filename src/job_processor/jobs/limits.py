"""Limits while they are in use: changed for all workers, and how their lanes stand.

What was changed is kept in the settings, one document for each group (a name without a group is one
of its own).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from job_processor.as_json import job_json
from job_processor.errors import InvalidArgumentError
from job_processor.handlers.lanes import group_of, lane_name
from job_processor.handlers.limits import Limit, as_limit
from job_processor.jobs import overrides
from job_processor.parts import Parts
from job_processor.redaction import Redaction
from job_processor.settings import (
    LANE_COUNT_CAP,
    LANES_LOOKED_AT,
    LANES_SHOWN,
    check_int,
    check_name,
    check_text,
)
from job_processor.store.desks.settings import Setting
from job_processor.store.lanes import EVERYWHERE, LIMIT, Bounds, LaneInfo, fullest_first
from job_processor.store.lenient import whole
from job_processor.store.summaries import JobSummary


@dataclass(frozen=True, slots=True)
class LimitInfo:
    """A concurrency limit with its lanes: a lane is the line of jobs that share one key."""

    name: str
    """The name of its group or, without a group, of its job or cron."""
    names: tuple[str, ...]
    """The jobs and crons of this process that share it."""
    amount: int | None
    """How many jobs may run at the same time now; None if it is neither defined here nor set."""
    defined: Limit | None
    """The limit in the code of this process; None if it is not defined here."""
    lanes: tuple[LaneInfo, ...]
    """Its lanes that have jobs, fullest first. A limit without a key has one lane, with its name.
    """
    more: bool
    """True if it has more lanes than these. Only the first 100 lanes of all limits, by name, are
    read.
    """

    @property
    def is_changed(self) -> bool:
        """True if `set_limit` has changed it."""
        return self.amount is not None and (
            self.defined is None or self.amount != self.defined.amount
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        limit = self.defined
        return {
            "name": self.name,
            "names": list(self.names),
            "amount": self.amount,
            "defined": None if limit is None else limit.amount,
            "key": None if limit is None else limit.key_name,
            "ordered": limit is not None and limit.ordered,
            "on_failure": None if limit is None else limit.order,
            "per": None if limit is None else limit.per,
            "lanes": [lane.as_json() for lane in self.lanes],
            "more": self.more,
        }


@dataclass(frozen=True, slots=True)
class LaneJobs:
    """A lane of a concurrency limit with its jobs."""

    info: LaneInfo
    amount: int | None
    """How many of its jobs may run at the same time; None if it is neither defined here nor set."""
    holding: tuple[JobSummary, ...]
    """The jobs that have a slot: those that run, those that have a slot and wait for a worker, and
    a failed job that stops the lane.
    """
    next: tuple[JobSummary, ...]
    """The jobs that wait for a slot, in the order in which they get one."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {
            **self.info.as_json(),
            "amount": self.amount,
            "holding_jobs": [job_json(job) for job in self.holding],
            "next_jobs": [job_json(job) for job in self.next],
        }


async def set_limit(parts: Parts, name: str, limit: Limit | int | None) -> None:
    """Change a limit for all workers; raises InvalidArgumentError."""
    check_name("name", name)
    defined, _ = parts.registry.limit_groups.get(name, (None, ()))
    amount = _amount_of(name, limit, defined)
    await _check_known(parts, name)

    def changed(present: Setting) -> dict[str, Any]:
        del present
        return {} if amount is None else {"amount": amount}

    await overrides.change(parts.store, LIMIT, name, changed)


async def limits(parts: Parts, lanes: int = LANES_SHOWN) -> list[LimitInfo]:
    """Return the limits that are defined here, were changed or are in use, by name."""
    check_int("lanes", lanes, minimum=0)
    settings = await parts.store.settings.all(LIMIT)
    groups = sorted({*parts.registry.limit_groups, *settings})
    found, more = await _lanes_of(parts, groups)
    by_group: dict[str, list[LaneInfo]] = {}
    for lane in found:
        by_group.setdefault(lane.group, []).append(lane)
    told = []
    for name in sorted({*groups, *by_group}):
        defined, names = parts.registry.limit_groups.get(name, (None, ()))
        of_group = by_group.get(name, [])
        amount = present_amount(name, defined, settings)
        fullest = tuple(of_group[:lanes])
        hidden = len(of_group) > lanes or name in more
        told.append(LimitInfo(name, names, amount, defined, fullest, hidden))
    return told


async def get_lane(
    parts: Parts, lane: str, limit: int = 10, redaction: Redaction | None = None
) -> LaneJobs:
    """Return a lane with its jobs, at most `limit` of those that run and of those that wait."""
    if not isinstance(lane, str) or not lane.strip() or "\0" in lane:
        allowed = "allowed is the name of a lane, such as 'sync:tenant-42'"
        raise InvalidArgumentError("lane", lane, allowed)
    check_text("lane", lane)
    check_int("limit", limit, minimum=1)
    if limit > LANE_COUNT_CAP:
        raise InvalidArgumentError("limit", limit, f"allowed are at most {LANE_COUNT_CAP}")
    store = parts.store
    settings, (info,), (holding, following) = await asyncio.gather(
        store.settings.all(LIMIT),
        store.lanes.look_at([lane], LANE_COUNT_CAP),
        store.lanes.members(lane, limit),
    )
    found = await store.history.summaries_of([*holding, *following], redaction)
    jobs = {job.id: job for job in found}
    group = group_of(lane)
    defined, _ = parts.registry.limit_groups.get(group, (None, ()))
    return LaneJobs(
        info,
        present_amount(group, defined, settings),
        tuple(jobs[id] for id in holding if id in jobs),
        tuple(jobs[id] for id in following if id in jobs),
    )


async def _lanes_of(parts: Parts, groups: Sequence[str]) -> tuple[list[LaneInfo], set[str]]:
    """Return the lanes of these groups and of all others, and whose lanes were not all looked at.

    Of each group some, so that none hides those of another.
    """
    desk, share = parts.store.lanes, max(LANES_LOOKED_AT // (len(groups) + 1), 2)
    bounds = [*(Bounds.of_keys(group) for group in groups), EVERYWHERE]
    in_use = await desk.in_use(bounds, share + 1)
    own = [lane_name(group) for group in groups]
    by_group: dict[str, list[str]] = {}
    for lane in in_use:
        by_group.setdefault(group_of(lane), []).append(lane)
    chosen = {lane for lanes in by_group.values() for lane in lanes[:share]}.union(own)
    looked_at = sorted(chosen)[: LANES_LOOKED_AT + len(own)]
    more = {group for group, lanes in by_group.items() if not set(lanes) <= set(looked_at)}
    return fullest_first(await desk.look_at(looked_at, LANE_COUNT_CAP)), more


def _amount_of(name: str, limit: object, defined: Limit | None) -> int | None:
    """Return the amount that is to be set; raises InvalidArgumentError."""
    if isinstance(limit, int) and not isinstance(limit, bool) and limit < 1:
        allowed = (
            "allowed is a whole number of at least 1; to let none start, pause the jobs: "
            f"await processor.pause({name!r})"
        )
        raise InvalidArgumentError("limit", limit, allowed)
    wanted = as_limit(limit)
    if wanted is None:
        return None
    plain = replace(wanted, group=None) if wanted.group == name else wanted
    as_defined = defined is not None and replace(wanted, amount=defined.amount) == defined
    if plain != Limit(wanted.amount) and not as_defined:
        allowed = (
            f"allowed is an amount: set_limit({name!r}, {wanted.amount}); key, order, group and "
            "per are those of the code"
        )
        raise InvalidArgumentError("limit", limit, allowed)
    if defined is not None and defined.ordered and wanted.amount != 1:
        allowed = f"the jobs of {name!r} run one after the other, which is a limit of 1"
        raise InvalidArgumentError("limit", wanted.amount, allowed)
    return wanted.amount


def present_amount(
    name: str, defined: Limit | None, settings: Mapping[str, Mapping[str, Any]]
) -> int | None:
    """Return the amount that holds: the one that was set, else the one of the code."""
    amount = whole(settings.get(name, {}).get("amount"), 0)
    if amount >= 1 and not (defined is not None and defined.ordered):
        return int(amount)
    return None if defined is None else defined.amount


async def _check_known(parts: Parts, name: str) -> None:
    """Raise InvalidArgumentError unless something has a limit of this name, as far as can be told.

    What other services define, only their lanes tell.
    """
    registry = parts.registry
    if name in registry.limit_groups or not (registry.jobs or registry.crons):
        return
    known = {each.name for each in await limits(parts, 0)}
    if name in known:
        return
    here = ", ".join(map(repr, sorted(known))) or "none; write limit=… where it is defined"
    allowed = f"allowed is the group of a limit, or a name that has one: {here}"
    raise InvalidArgumentError("name", name, allowed)
