"""Groups of jobs, and what follows their ends."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import TYPE_CHECKING

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import StoreError
from job_processor.models import JobStatus, SimpleJob
from job_processor.store.desks.desk import Desk
from job_processor.store.desks.lazily import Lazily
from job_processor.store.groups import GroupRecord
from job_processor.store.hints import Hint, Tell

if TYPE_CHECKING:
    from job_processor.store.base import Store
    from job_processor.store.desks.intake import Intake

_logger = logging.getLogger("job_processor")


class Groups(Desk, ABC):
    """Groups of jobs, and what follows their ends.

    A group ends when it is sealed and none of its members is active. Whoever ends a member, or
    seals, writes that first and then looks: of two that do so at once, one sees that nothing is
    left, or both do, and one wins the guarded write of the end.
    """

    intake: Lazily[Intake] = Lazily()
    """Where callbacks come in."""

    def __init__(self, tell: Tell, store: Store) -> None:
        super().__init__(tell, store)
        self.now: Callable[[], datetime] = Clock().now
        """The time at which groups end here."""
        self.on_called: Callable[[SimpleJob], object] = lambda _: None
        """Called with each callback that is stored."""

    @abstractmethod
    async def open(self, record: GroupRecord) -> None:
        """Absent → as given; one that is there stays: it was our own first attempt."""

    async def get(self, group_id: ObjectId) -> GroupRecord | None:
        """Return a group, None when there is none of this id."""
        return next(iter(await self.get_many([group_id])), None)

    async def get_many(self, group_ids: Collection[ObjectId]) -> list[GroupRecord]:
        """Return those of the groups that exist, as the database has them last, in no order."""
        return await self._get_many(group_ids) if group_ids else []

    @abstractmethod
    def _get_many(self, group_ids: Collection[ObjectId]) -> Awaitable[list[GroupRecord]]: ...

    async def newest(self, after: ObjectId | None, limit: int) -> list[GroupRecord]:
        """Return groups, the newest first, with ids below one, at most `limit`."""
        return await self._newest(after, limit) if limit > 0 else []

    @abstractmethod
    def _newest(self, after: ObjectId | None, limit: int) -> Awaitable[list[GroupRecord]]: ...

    async def unfinished(self, after: ObjectId | None, limit: int) -> list[GroupRecord]:
        """Return groups that have not ended, or whose end nothing has followed yet.

        With ids above one, in their order, at most `limit`.
        """
        return await self._unfinished(after, limit) if limit > 0 else []

    @abstractmethod
    def _unfinished(self, after: ObjectId | None, limit: int) -> Awaitable[list[GroupRecord]]: ...

    @abstractmethod
    async def touch(self, group_id: ObjectId, now: datetime) -> bool:
        """Open → the same, touched now; False when it is sealed, or gone."""

    async def seal(self, group_id: ObjectId, broken: str | None = None) -> bool:
        """Open → sealed, and ended if nothing is open in it; False when it was sealed, or is gone.

        broken: why it cannot end well, whatever becomes of its members. A repetition after a lost
        reply gives False, and has sealed it all the same.
        """
        sealed = await self._seal(group_id, broken)
        if sealed:
            await self.look([group_id])
        return sealed

    @abstractmethod
    def _seal(self, group_id: ObjectId, broken: str | None) -> Awaitable[bool]: ...

    @abstractmethod
    async def abandon(self, group_id: ObjectId, untouched_since: datetime, why: str) -> bool:
        """Open, and not touched since → sealed and broken; False in other states."""

    @abstractmethod
    async def break_off(self, group_id: ObjectId, why: str) -> bool:
        """Not ended → sealed and broken; False when it has ended, or is gone."""

    @abstractmethod
    async def reopen(self, group_id: ObjectId, now: datetime) -> GroupRecord | None:
        """Sealed, and owing nothing → open, in its next round if it had ended; return it.

        None in other states.
        """

    async def look(self, group_ids: Collection[ObjectId]) -> None:
        """Sealed with nothing open → ended, and whatever follows its end.

        What is not done because the database fails is left to the sweep: the write that ended the
        last member holds.
        """
        try:
            for group_id in set(group_ids).difference(await self.open_of(group_ids)):
                record = await self.complete(group_id)
                if record is not None:
                    await self.serve(record)
        except StoreError as error:
            _logger.warning("groups: %s; the next sweep completes them", error)

    async def open_of(self, group_ids: Collection[ObjectId]) -> set[ObjectId]:
        """Return those of the groups in which anything is open: one question to the index."""
        return await self._open_of(group_ids) if group_ids else set()

    @abstractmethod
    def _open_of(self, group_ids: Collection[ObjectId]) -> Awaitable[set[ObjectId]]: ...

    async def complete(self, group_id: ObjectId) -> GroupRecord | None:
        """Sealed, not ended, nothing open → ended, owing what follows; None in other states."""
        record = await self._complete(group_id, self.now())
        if record is not None:
            self._tell(Hint.SETTLED, [])
        return record

    @abstractmethod
    def _complete(self, group_id: ObjectId, now: datetime) -> Awaitable[GroupRecord | None]: ...

    async def serve(self, record: GroupRecord) -> None:
        """Do what follows the end of a group, and note that it is done; raises StoreError.

        Repeating is harmless: the callback has the id of its round. Where an exclusive job of its
        name is active, nothing is noted, so that the next sweep tries again.
        """
        callback = record.callback_job()
        if callback is not None:
            if await self.intake.insert([callback]):
                return
            self.on_called(callback)
        await self.release_waiters(record)
        await self.note_served(record.id, record.round)

    async def release_waiters(self, record: GroupRecord) -> None:
        """Let go the jobs that come after the group; repeating is harmless."""
        await self.waits.release([record.end])

    @abstractmethod
    async def note_served(self, group_id: ObjectId, round: int) -> None:
        """Ended in this round → owing nothing; other states stay."""

    async def mend(self, group_ids: Collection[ObjectId]) -> int:
        """Settled, and still open in one of these groups → as ended; return how many.

        An older program settles what it does not know to be a member. At most 1,000 at a time, and
        only in groups in which nothing is active any more: the others do not end by that.
        """
        return await self._mend(group_ids) if group_ids else 0

    @abstractmethod
    def _mend(self, group_ids: Collection[ObjectId]) -> Awaitable[int]: ...

    @abstractmethod
    async def counts(self, group_id: ObjectId) -> dict[str, dict[JobStatus, int]]:
        """Count the members by name and state; what is 0 is left out."""
