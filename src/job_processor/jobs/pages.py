"""Jobs that are there: a page of a selection, in full or in extracts, or only how many."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Protocol, TypeVar

from bson import ObjectId

from job_processor.errors import InvalidArgumentError
from job_processor.models import Job, object_id
from job_processor.parts import Parts
from job_processor.redaction import Redaction
from job_processor.settings import PAGE_LIMIT, check_int
from job_processor.store.requests import JobQuery
from job_processor.store.summaries import SummaryPage


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which page of a selection is wanted."""

    limit: int
    after: ObjectId | str | None = None
    before: ObjectId | str | None = None
    oldest_first: bool = False
    max_bytes: int | None = None

    def of(self, selected: JobQuery) -> JobQuery:
        """Return the query for such a page; raises InvalidArgumentError."""
        check_int("limit", self.limit, minimum=1)
        if self.limit > PAGE_LIMIT:
            raise InvalidArgumentError("limit", self.limit, f"allowed are at most {PAGE_LIMIT}")
        if self.max_bytes is not None:
            check_int("max_bytes", self.max_bytes, minimum=1)
        return replace(
            selected,
            limit=self.limit,
            oldest_first=self.oldest_first,
            max_bytes=self.max_bytes,
        )


class Identified(Protocol):
    """What has an id."""

    @property
    def id(self) -> ObjectId:
        """Its id."""


T = TypeVar("T", bound=Identified)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a selection."""

    jobs: tuple[T, ...]
    next: str | None
    previous: str | None


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs, newest first unless `oldest_first` was given."""

    jobs: tuple[Job, ...]
    next: str | None
    """Pass it as `after` to get the page that follows; None: this is the last page.
    A page of a search may be short or empty and have one: the search continues from there."""
    previous: str | None = None
    """Pass it as `before` to get the page before; None: this is the first page."""


async def find_jobs(parts: Parts, selected: JobQuery, bounds: Bounds) -> JobPage:
    """Return a page of jobs in full."""
    page = await _page(parts, parts.store.history.find, selected, bounds)
    return JobPage(page.jobs, page.next, page.previous)


async def list_jobs(
    parts: Parts, selected: JobQuery, bounds: Bounds, redaction: Redaction | None
) -> SummaryPage:
    """Return what a list shows of a page of jobs; redaction: what it hides."""
    find = partial(parts.store.history.summaries, redaction=redaction)
    page = await _page(parts, find, selected, bounds)
    return SummaryPage(page.jobs, page.next, page.previous)


async def count_jobs(parts: Parts, selected: JobQuery, cap: int) -> int:
    """Return how many jobs a selection has, exact up to `cap`."""
    check_int("cap", cap, minimum=1)
    with parts.searches.one(selected):
        return await parts.store.history.count_matching(selected, cap)


async def _page(
    parts: Parts, find: Callable[[JobQuery], Awaitable[list[T]]], selected: JobQuery, bounds: Bounds
) -> Page[T]:
    query, after, before = bounds.of(selected), bounds.after, bounds.before
    with parts.searches.one(query):
        return await find_page(
            find,
            query,
            after=None if after is None else object_id(after, "after"),
            before=None if before is None else object_id(before, "before"),
            reach=parts.store.history.reach,
        )


async def find_page(
    find: Callable[[JobQuery], Awaitable[list[T]]],
    query: JobQuery,
    *,
    after: ObjectId | None,
    before: ObjectId | None,
    reach: Callable[[JobQuery], Awaitable[ObjectId | None]],
) -> Page[T]:
    """Return the page that follows the job `after` or, without it, the one that precedes `before`.

    find: reads the jobs of a query, in its order; fewer than its limit may mean that there are more
        only where the query bounds their bytes, or looks through jobs.
    reach: tells how far a query has looked that looks through jobs.

    What lies beyond each end is found out by one job more, or told by where the page was asked for.
    """
    backwards = before is not None and after is None
    edge = before if backwards else after
    downwards = query.oldest_first == backwards  # towards lower ids
    asked = replace(
        _beyond(query, edge, downwards), limit=query.limit + 1, oldest_first=not downwards
    )
    found = await find(asked)
    more = len(found) > query.limit
    if not more and query.max_bytes is not None and found:
        more = bool(await find(replace(_beyond(asked, found[-1].id, downwards), limit=1)))
    jobs = tuple(found[: query.limit])
    beyond = jobs[-1].id if more and jobs else None
    if not more and query.looks_through:
        beyond = await reach(asked)
    behind = jobs[0].id if jobs and edge else None
    if backwards:
        return Page(jobs[::-1], _text(behind), _text(beyond))
    return Page(jobs, _text(beyond), _text(behind))


def _beyond(query: JobQuery, edge: ObjectId | None, downwards: bool) -> JobQuery:
    if edge is None:
        return query
    if downwards:
        return replace(query, after=edge if query.after is None else min(edge, query.after))
    return replace(query, above=edge if query.above is None else max(edge, query.above))


def _text(id: ObjectId | None) -> str | None:
    return None if id is None else str(id)
