"""Jobs that come after others: see `store.waits`."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import StoreError
from job_processor.models import JobStatus, RelatedJob
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint, Tell
from job_processor.store.waits import RELEASE_PASSES, RELEASED_AT_ONCE, End, Node, Released

if TYPE_CHECKING:
    from job_processor.store.base import Store

_logger = logging.getLogger("job_processor")


class Waits(Desk, ABC):
    """Jobs that come after others: see `store.waits`."""

    def __init__(self, tell: Tell, store: Store) -> None:
        super().__init__(tell, store)
        self.now: Callable[[], datetime] = Clock().now
        """The time at which jobs are skipped here."""
        self.on_left: Callable[[Sequence[End]], object] | None = None
        """Called with the ends of which a release has left some to the sweep."""

    async def follow(self, job_ids: Collection[ObjectId]) -> dict[ObjectId, JobStatus]:
        """Pending, running or paused → followed; return the states of those that exist.

        They are read after that write. `updated_at` stays as it is. Repeating is harmless.
        """
        return await self._follow(job_ids) if job_ids else {}

    @abstractmethod
    def _follow(self, job_ids: Collection[ObjectId]) -> Awaitable[dict[ObjectId, JobStatus]]: ...

    @abstractmethod
    async def follow_in(
        self, session: Any, job_ids: Collection[ObjectId]
    ) -> dict[ObjectId, JobStatus]:
        """Do what `follow` does as a part of the caller's transaction, as `Intake.insert_in`."""

    async def release(self, ends: Sequence[End]) -> int:
        """Waiting for what has ended → without that; free to start where nothing is left.

        What waits for a failure follows its own rule: it goes on as well, waits on, or is skipped,
        and whoever comes after it in turn. Returns how many have moved. Repeating is harmless. So
        many passes are done at once; what is left, and what fails, is found by the sweep.
        """
        todo, moved, groups = list(ends), 0, set[ObjectId]()
        try:
            for _ in range(RELEASE_PASSES):
                if not todo:
                    break
                now, later = todo[:RELEASED_AT_ONCE], todo[RELEASED_AT_ONCE:]
                done = await self._release(now, self.now(), RELEASED_AT_ONCE)
                moved += done.freed + len(done.skipped)
                groups |= done.groups
                if done.freed:
                    self._tell(Hint.WORK, None)
                if done.skipped:
                    self._tell(Hint.SETTLED, done.skipped)
                todo = [*later, *(now if done.more else ()), *done.ends]
        except StoreError as error:
            _logger.warning("release: %s; who waits there is found by the next sweep", error)
            todo = []
        await self._left(groups)
        if todo and self.on_left is not None:
            self.on_left(todo)
        return moved

    @abstractmethod
    def _release(self, ends: Sequence[End], now: datetime, limit: int) -> Awaitable[Released]:
        """Do one pass of it, for at most `limit` jobs."""

    async def waited_for(self, behind: str, limit: int) -> list[str]:
        """Return the tags that anybody may wait for, in order, behind one, at most `limit`."""
        return await self._waited_for(behind, limit) if limit > 0 else []

    @abstractmethod
    def _waited_for(self, behind: str, limit: int) -> Awaitable[list[str]]: ...

    async def followers(self, tag: str, limit: int) -> list[ObjectId]:
        """Return the jobs that come after what has this tag, the oldest first, at most `limit`."""
        return await self._followers(tag, limit) if limit > 0 else []

    @abstractmethod
    def _followers(self, tag: str, limit: int) -> Awaitable[list[ObjectId]]: ...

    async def parents(self, job_ids: Collection[ObjectId]) -> list[RelatedJob]:
        """Return how those of these jobs stand that exist, and read nothing else, in no order."""
        return await self._parents(job_ids) if job_ids else []

    @abstractmethod
    def _parents(self, job_ids: Collection[ObjectId]) -> Awaitable[list[RelatedJob]]: ...

    async def flows(self, below: ObjectId | None, limit: int) -> list[ObjectId]:
        """Return the flows that there are jobs of, the newest first, with ids below one."""
        return await self._flows(below, limit) if limit > 0 else []

    @abstractmethod
    def _flows(self, below: ObjectId | None, limit: int) -> Awaitable[list[ObjectId]]: ...

    async def graph(self, flow: ObjectId, limit: int, *, newest: bool = False) -> list[Node]:
        """Return the oldest jobs of a flow, at most `limit`, or the newest; in the order of ids."""
        return await self._graph(flow, limit, newest=newest) if limit > 0 else []

    @abstractmethod
    def _graph(self, flow: ObjectId, limit: int, *, newest: bool) -> Awaitable[list[Node]]: ...

    @abstractmethod
    async def counts_of_flow(self, flow: ObjectId) -> dict[str, dict[JobStatus, int]]:
        """Count the jobs of a flow by name and state."""

    @abstractmethod
    async def bring_back(
        self, tag: str, now: datetime, limit: int
    ) -> dict[ObjectId, tuple[str, ...]]:
        """Skipped because of this → waiting for all that they come after, at most `limit`.

        Returns what each of them comes after. One that is exclusive, or has a unique key, stays
        skipped while another one is active.
        """
