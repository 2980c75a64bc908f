"""Groups, whose members are found by a look at all jobs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.models import JobStatus
from job_processor.store.desks.groups import Groups
from job_processor.store.groups import GroupRecord
from tests.store.dictionaries.tables import OnTables, Tables


class DictionaryGroups(OnTables, Groups):
    """Needs no mark on a member: its state tells."""

    async def open(self, record: GroupRecord) -> None:
        """Keep a group, unless there is one of its id."""
        async with self._connection as tables:
            tables.groups.setdefault(record.id, record)

    async def _get_many(self, group_ids: Collection[ObjectId]) -> list[GroupRecord]:
        async with self._connection as tables:
            return [tables.groups[id] for id in group_ids if id in tables.groups]

    async def _newest(self, after: ObjectId | None, limit: int) -> list[GroupRecord]:
        async with self._connection as tables:
            ids = sorted((id for id in tables.groups if after is None or id < after), reverse=True)
            return [tables.groups[id] for id in ids[:limit]]

    async def _unfinished(self, after: ObjectId | None, limit: int) -> list[GroupRecord]:
        async with self._connection as tables:
            left = (each for each in tables.groups.values() if each.unfinished)
            found = (each for each in left if after is None or each.id > after)
            return sorted(found, key=lambda each: each.id)[:limit]

    async def touch(self, group_id: ObjectId, now: datetime) -> bool:
        """Note that whoever opened a group is still there."""
        async with self._connection as tables:
            record = tables.groups.get(group_id)
            if record is None or record.sealed:
                return False
            return _write(tables, record, touched_at=now)

    async def _seal(self, group_id: ObjectId, broken: str | None) -> bool:
        async with self._connection as tables:
            record = tables.groups.get(group_id)
            if record is None or record.sealed:
                return False
            return _write(tables, record, sealed=True, broken=broken)

    async def abandon(self, group_id: ObjectId, untouched_since: datetime, why: str) -> bool:
        """Seal a group that nobody fills any more."""
        async with self._connection as tables:
            record = tables.groups.get(group_id)
            if record is None or record.sealed or record.touched_at > untouched_since:
                return False
            return _write(tables, record, sealed=True, broken=why)

    async def break_off(self, group_id: ObjectId, why: str) -> bool:
        """Seal a group that is not to end well."""
        async with self._connection as tables:
            record = tables.groups.get(group_id)
            if record is None or record.completed_at is not None:
                return False
            return _write(tables, record, sealed=True, broken=why)

    async def reopen(self, group_id: ObjectId, now: datetime) -> GroupRecord | None:
        """Open a group once more; None while it owes anything, or is open."""
        async with self._connection as tables:
            record = tables.groups.get(group_id)
            if record is None or not record.sealed or record.owes:
                return None
            ended = record.completed_at is not None
            fresh: Any = {"completed_at": None, "failed": None, "broken": None, "unfinished": True}
            _write(
                tables,
                record,
                sealed=False,
                touched_at=now,
                round=record.round + ended,
                **fresh,
            )
            return tables.groups[group_id]

    async def _open_of(self, group_ids: Collection[ObjectId]) -> set[ObjectId]:
        async with self._connection as tables:
            return {id for id in group_ids if _any(tables, id, "open_in")}

    async def _complete(self, group_id: ObjectId, now: datetime) -> GroupRecord | None:
        async with self._connection as tables:
            record = tables.groups.get(group_id)
            if record is None or not record.sealed or record.completed_at is not None:
                return None
            if _any(tables, group_id, "open_in"):
                return None
            failed = record.broken is not None or _any(tables, group_id, "failed_in")
            _write(tables, record, completed_at=now, failed=failed, unfinished=True)
            return tables.groups[group_id]

    async def note_served(self, group_id: ObjectId, round: int) -> None:
        """Note that nothing is owed any more, where this is its round."""
        async with self._connection as tables:
            record = tables.groups.get(group_id)
            if record is not None and record.round == round and record.completed_at is not None:
                _write(tables, record, unfinished=False)

    async def _mend(self, group_ids: Collection[ObjectId]) -> int:
        return 0

    async def counts(self, group_id: ObjectId) -> dict[str, dict[JobStatus, int]]:
        """Count the members by name and state."""
        counts: defaultdict[str, dict[JobStatus, int]] = defaultdict(dict)
        async with self._connection as tables:
            for job in tables.jobs.values():
                if job.group == group_id:
                    of_name = counts[job.name]
                    of_name[job.status] = of_name.get(job.status, 0) + 1
        return dict(counts)


def _any(tables: Tables, group_id: ObjectId, field: str) -> bool:
    return any(getattr(job, field) == group_id for job in tables.jobs.values())


def _write(tables: Tables, record: GroupRecord, **changes: Any) -> bool:
    tables.groups[record.id] = replace(record, **changes)
    return True
