"""Jobs, one or a page of them, and how the whole stands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from bson import ObjectId

from job_processor.errors import InvalidArgumentError
from job_processor.facade.base import Base
from job_processor.jobs.selection import Identified, JobPage, Page, find_page, query_of
from job_processor.models import Job, JobStatus, JobType, Registrations, Vitals, object_id
from job_processor.ops import status
from job_processor.redaction import Redaction
from job_processor.settings import check_int, check_positive
from job_processor.store.requests import JobQuery
from job_processor.store.rollups import SPANS, Rollup
from job_processor.store.summaries import SummaryPage

T = TypeVar("T", bound=Identified)

COUNT_CAP_OF_SELECTIONS = 50_000
"""Where `count_jobs` stops counting unless it is told otherwise."""

PAGE_LIMIT = 1000
"""Jobs in one page of `find_jobs` at the most."""


class Reading(Base):
    """What changes nothing."""

    async def get_job(self, job_id: ObjectId | str) -> Job | None:
        """Return a job or cron task, None when there is none of this id."""
        self._ready()
        return await self._store.get(object_id(job_id))

    async def find_jobs(
        self,
        name: str | None = None,
        status: JobStatus | str | None = None,
        type: JobType | None = None,
        limit: int = 50,
        after: ObjectId | str | None = None,
        *,
        before: ObjectId | str | None = None,
        oldest_first: bool = False,
        max_bytes: int | None = None,
        **selection: Any,
    ) -> JobPage:
        """Return a page of jobs and cron tasks, newest first.

        Pass its `next` as `after` for the page that follows, its `previous` as `before` for the one
        before. max_bytes: the page ends before its jobs have more bytes in the database than this
        together, after one job at the soonest; None: it has `limit` jobs, however large they are.
        `selection` may hold

        tag: only names that have this tag here.
        created_from, created_to: aware datetimes; only made from then on, until then.
        up_to: the id of a job; only it and older ones.
        worker: the id of the worker that runs it, or that wrote its end.
        error: only with this text in its error, whatever the case.
        payload: only with this value at this path, such as `{"user.id": 7}`.

        The last three look through the first 50,000 of the rest of the selection, two searches at a
        time. Raises InvalidArgumentError and SearchLimitError.
        """
        if max_bytes is not None:
            check_int("max_bytes", max_bytes, minimum=1)
        query = self._query(limit, oldest_first, name=name, status=status, type=type, **selection)
        query = replace(query, max_bytes=max_bytes)
        page = await self._page(self._store.find, query, after, before)
        return JobPage(page.jobs, page.next, page.previous)

    async def list_jobs(
        self,
        name: str | None = None,
        status: JobStatus | str | None = None,
        type: JobType | None = None,
        limit: int = 50,
        after: ObjectId | str | None = None,
        *,
        before: ObjectId | str | None = None,
        oldest_first: bool = False,
        redaction: Redaction | None = None,
        **selection: Any,
    ) -> SummaryPage:
        """Return what a list shows of the page that `find_jobs` returns: for tables and dashboards.

        The database makes the extracts, so a page costs the same whatever its jobs hold: about
        2 KiB each at the most. Of payload and result the first four fields, each cut at 80
        characters; of the error its first line; no log. `get_job` has the rest.

        redaction: hides values of the payload, and where error, result and progress repeat them, as
        the dashboard does; None: nothing is hidden. Raises InvalidArgumentError and
        SearchLimitError.
        """
        query = self._query(limit, oldest_first, name=name, status=status, type=type, **selection)
        find = partial(self._store.find_summaries, redaction=redaction)
        page = await self._page(find, query, after, before)
        return SummaryPage(page.jobs, page.next, page.previous)

    def _query(self, limit: int, oldest_first: bool, **selection: Any) -> JobQuery:
        self._ready()
        check_int("limit", limit, minimum=1)
        if limit > PAGE_LIMIT:
            raise InvalidArgumentError("limit", limit, f"allowed are at most {PAGE_LIMIT}")
        query = query_of(self.registry, **selection)
        return replace(query, limit=limit, oldest_first=oldest_first)

    async def _page(
        self,
        find: Callable[[JobQuery], Awaitable[list[T]]],
        query: JobQuery,
        after: ObjectId | str | None,
        before: ObjectId | str | None,
    ) -> Page[T]:
        with self._searches.one(query):
            return await find_page(
                find,
                query,
                after=None if after is None else object_id(after, "after"),
                before=None if before is None else object_id(before, "before"),
            )

    async def count_jobs(self, cap: int = COUNT_CAP_OF_SELECTIONS, **selection: Any) -> int:
        """Return how many jobs and cron tasks a selection of `find_jobs` has, exact up to `cap`.

        Raises InvalidArgumentError and SearchLimitError.
        """
        self._ready()
        check_int("cap", cap, minimum=1)
        query = query_of(self.registry, **selection)
        with self._searches.one(query):
            return await self._store.count_matching(query, cap)

    async def get_rollups(self, seconds: int, since: datetime) -> list[Rollup]:
        """Return how runs ended in spans of 60 seconds (kept for 3 hours) or of 600 (3 days).

        The earliest first, from `since` on; a span in which nothing ended is left out. Workers
        write them every 10 seconds. Raises InvalidArgumentError.
        """
        self._ready()
        if seconds not in SPANS:
            raise InvalidArgumentError("seconds", seconds, f"allowed are {SPANS}")
        return await self._store.rollups(seconds, since)

    def subscribe(self, listener: Callable[[], object]) -> Callable[[], None]:
        """Call `listener` in the event loop when jobs may have changed; returns what ends it.

        By whomever, as far as the database tells; it may be called too often. All who subscribe
        share one watch of the database.
        """
        self._ready()
        return self._store.subscribe(lambda _: listener())

    async def wait_for_job(self, job_id: ObjectId | str, timeout: float | None = None) -> Job:
        """Return a job once it is settled.

        timeout: seconds; 0 looks once, None waits for ever, also while the database is away.

        Raises JobNotFoundError, JobTimeoutError after `timeout`, and NotSetUpError when the
        processor is closed meanwhile.
        """
        self._ready()
        if timeout is not None:
            check_positive("timeout", timeout, zero=True)
        assert self._waiting is not None  # noqa: S101  # made together with the engine
        return await self._waiting.wait(object_id(job_id), timeout)

    async def get_status(self, redaction: Redaction | None = None) -> dict[str, Any]:
        """Return workers, queue, jobs and crons in plain JSON values, in bounded time and size.

        Of each job what `list_jobs` tells, with `cut` where it has more. redaction: as there.
        """
        self._ready()
        return await status.get_status(self._store, redaction)

    async def get_vitals(self) -> Vitals:
        """Return how many workers live, and since when the first due job waits.

        What a probe or a gauge asks for: no job is read.
        """
        self._ready()
        return await status.get_vitals(self._store)

    async def count_alive(self) -> int:
        """Return how many registered workers are alive: what a probe asks for."""
        self._ready()
        return await self._store.count_alive()

    async def count_waiting(self) -> dict[str, int]:
        """Return how many jobs and cron tasks are to run, now or later, by name.

        Each count is exact up to 10,000; of at most 200 names, those without any included.
        """
        self._ready()
        return await status.count_waiting(self._store)

    async def get_registrations(self) -> Registrations:
        """Return the registered workers, dead ones too, and the database's clock."""
        self._ready()
        return await self._store.registrations()

    async def get_healthcheck(self, redaction: Redaction | None = None) -> dict[str, Any]:
        """Return `{now, workers, queue}` in plain JSON values, each job as in `get_status`."""
        self._ready()
        return await status.get_healthcheck(self._store, redaction)
