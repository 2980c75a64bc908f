"""Pages of a selection, by ids: forwards, backwards, in either order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

from bson import ObjectId

from job_processor.queries import JobQuery


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


async def find_page(
    find: Callable[[JobQuery], Awaitable[list[T]]],
    query: JobQuery,
    *,
    after: ObjectId | None,
    before: ObjectId | None,
) -> Page[T]:
    """Return the page that follows the job `after` or, without it, the one that precedes `before`.

    find: reads the jobs of a query, in its order; fewer than its limit may mean that there are more
        only where the query bounds their bytes.

    What lies beyond each end is found out by one job more, or told by where the page was asked for.
    """
    backwards = before is not None and after is None
    edge = before if backwards else after
    downwards = query.oldest_first == backwards  # towards lower ids
    asked = replace(_beyond(query, edge, downwards), limit=query.limit + 1)
    found = await find(replace(asked, oldest_first=not downwards))
    more = len(found) > query.limit
    if not more and query.max_bytes is not None and found:
        rest = replace(_beyond(asked, found[-1].id, downwards), limit=1, oldest_first=not downwards)
        more = bool(await find(rest))
    jobs = tuple(found[: query.limit])
    if backwards:
        jobs = jobs[::-1]
        return Page(jobs, _id(jobs, -1), _id(jobs, 0) if more else None)
    return Page(jobs, _id(jobs, -1) if more else None, _id(jobs, 0) if edge else None)


def _beyond(query: JobQuery, edge: ObjectId | None, downwards: bool) -> JobQuery:
    if edge is None:
        return query
    if downwards:
        return replace(query, after=edge if query.after is None else min(edge, query.after))
    return replace(query, above=edge if query.above is None else max(edge, query.above))


def _id(jobs: tuple[T, ...], index: int) -> str | None:
    return str(jobs[index].id) if jobs else None
