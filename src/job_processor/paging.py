"""Pages of a selection, by ids: forwards, backwards, in either order."""

from __future__ import annotations

from dataclasses import replace

from bson import ObjectId

from job_processor.queries import JobPage, JobQuery
from job_processor.store import Store


async def find_page(
    store: Store, query: JobQuery, *, after: ObjectId | None, before: ObjectId | None
) -> JobPage:
    """Return the page that follows the job `after` or, without it, the one that precedes `before`.

    What lies beyond each end is found out by one job more, or told by where the page was asked for.
    """
    backwards = before is not None and after is None
    edge = before if backwards else after
    downwards = query.oldest_first == backwards  # towards lower ids
    asked = replace(_beyond(query, edge, downwards), limit=query.limit + 1)
    found = await store.find(replace(asked, oldest_first=not downwards))
    more = len(found) > query.limit
    jobs = tuple(found[: query.limit])
    if backwards:
        jobs = jobs[::-1]
        return JobPage(jobs, _id(jobs, -1), _id(jobs, 0) if more else None)
    return JobPage(jobs, _id(jobs, -1) if more else None, _id(jobs, 0) if edge else None)


def _beyond(query: JobQuery, edge: ObjectId | None, downwards: bool) -> JobQuery:
    if edge is None:
        return query
    if downwards:
        return replace(query, after=edge if query.after is None else min(edge, query.after))
    return replace(query, above=edge if query.above is None else max(edge, query.above))


def _id(jobs: tuple[object, ...], index: int) -> str | None:
    return str(jobs[index].id) if jobs else None  # type: ignore[attr-defined]  # they are jobs
