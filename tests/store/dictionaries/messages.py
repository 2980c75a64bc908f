"""Messages by name, and who waits for them: all jobs are looked through."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from bson import ObjectId

from job_processor.errors import InvalidArgumentError
from job_processor.models import FOR_A_MESSAGE, WAITING, Job, Message
from job_processor.store.desks.messages import Messages
from job_processor.store.messages import Wait
from tests.store.dictionaries.tables import OnTables, Tables, storable


class DictionaryMessages(OnTables, Messages):
    """Keeps one message a name."""

    async def _put(self, message: Message) -> bool:
        kept = replace(message, payload=storable(message.payload))
        async with self._connection as tables:
            present = tables.messages.get(message.topic)
            if present is None or present.expires_at <= message.sent_at:
                tables.messages[message.topic] = kept
            return tables.messages[message.topic].id == message.id

    async def put_in(self, session: Any, message: Message) -> bool:
        """Refuse it: dictionaries know no transactions of others."""
        raise InvalidArgumentError("session", session, "dictionaries have none")

    async def _find(self, topics: Collection[str], now: datetime) -> dict[str, Message]:
        async with self._connection as tables:
            found = (tables.messages[topic] for topic in topics if topic in tables.messages)
            return {
                each.topic: replace(each, payload=storable(each.payload))
                for each in found
                if each.expires_at > now
            }

    async def _waiting_for(self, topic: str, limit: int) -> list[ObjectId]:
        async with self._connection as tables:
            return [job.id for job in _waiting(tables) if topic in job.topics][:limit]

    async def _waiting(self, limit: int, after: Wait | None) -> list[Wait]:
        async with self._connection as tables:
            waits = sorted(Wait(job.scheduled_for, job.id, job.topics) for job in _waiting(tables))
            return [each for each in waits if after is None or each[:2] > after[:2]][:limit]

    async def _wake(self, job_ids: Collection[ObjectId], at: datetime | None) -> int:
        async with self._connection as tables:
            found = [job for job in _waiting(tables) if job.id in set(job_ids)]
            for job in found:
                then = at or job.scheduled_for
                awake: Any = {"parked": None, "topics": (), "scheduled_for": then}
                tables.jobs.write(replace(job, **awake))
                tables.admitted[job.id] = then
            return len(found)


def _waiting(tables: Tables) -> Iterator[Job]:
    jobs = list(tables.jobs.values())
    return (job for job in jobs if job.status in WAITING and job.parked == FOR_A_MESSAGE)
