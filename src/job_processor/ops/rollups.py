"""How runs ended, how long they waited and ran: read from the rollups, never from the jobs."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import get_args

from job_processor.errors import InvalidArgumentError
from job_processor.settings import PAGE_LIMIT, check_name
from job_processor.store import Store
from job_processor.store.error_groups import ERRORS_KEPT, ErrorGroup
from job_processor.store.name_rollups import NAME_SPANS, Kind, NameRollup
from job_processor.store.rollups import HOUR, KEPT, SPANS, Rollup, start_of


async def get_rollups(store: Store, seconds: int, since: datetime) -> list[Rollup]:
    """Return how runs ended, in spans of so many seconds; raises InvalidArgumentError."""
    _check(seconds, SPANS, since)
    return await store.rollups.since(seconds, since)


async def get_name_rollups(
    store: Store, now: datetime, seconds: int, since: datetime, name: str | None, tag: str | None
) -> list[NameRollup]:
    """Return those of a name, or of a tag, or of all; raises InvalidArgumentError."""
    _check(seconds, NAME_SPANS, since)
    if name is not None and tag is not None:
        raise InvalidArgumentError("tag", tag, "allowed is a name or a tag, not both")
    kind: Kind = "name" if name is not None else "tag" if tag is not None else "all"
    for argument, value in (("name", name), ("tag", tag)):
        if value is not None:
            check_name(argument, value)
    starts = _starts(seconds, max(since, now - KEPT[seconds]), now)
    return await store.rollups.of(kind, name or tag or "", {seconds: starts})


async def get_rollup_totals(
    store: Store, seconds: int, since: datetime, kind: Kind
) -> list[NameRollup]:
    """Return what the rollups of each name or tag add up to; raises InvalidArgumentError."""
    _check(seconds, NAME_SPANS, since)
    if kind not in get_args(Kind):
        raise InvalidArgumentError("kind", kind, "allowed are 'name', 'tag' and 'all'")
    return await store.rollups.sums(kind, seconds, start_of(since, seconds))


async def get_error_groups(
    store: Store, now: datetime, since: datetime, name: str | None, limit: int
) -> list[ErrorGroup]:
    """Return the errors of a name, or of all, by their first line; raises InvalidArgumentError."""
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= PAGE_LIMIT:
        raise InvalidArgumentError("limit", limit, f"allowed is a number from 1 to {PAGE_LIMIT}")
    _check(HOUR, SPANS, since)
    if name is not None:
        check_name("name", name)
    starts = _starts(HOUR, max(since, now - ERRORS_KEPT), now)
    return await store.rollups.errors(starts, name, limit)


def _starts(seconds: int, since: datetime, now: datetime) -> list[datetime]:
    """Return the starts of the spans from a time until now, and of the next: clocks differ."""
    start, starts = start_of(since, seconds), []
    while start <= now + timedelta(seconds=seconds):
        starts.append(start)
        start += timedelta(seconds=seconds)
    return starts


def _check(seconds: int, allowed: Collection[int], since: datetime) -> None:
    if seconds not in allowed:
        told = ", ".join(map(str, allowed))
        raise InvalidArgumentError("seconds", seconds, f"allowed are {told}")
    if not isinstance(since, datetime) or since.utcoffset() is None:
        raise InvalidArgumentError("since", since, "allowed is an aware datetime")
