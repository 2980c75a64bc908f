"""Messages in a collection of their own, one document a name, and the jobs that wait for them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from job_processor.clock import FAR
from job_processor.models import FOR_A_MESSAGE, Message
from job_processor.store.desks.messages import Messages
from job_processor.store.lenient import id_of, moment, texts_of
from job_processor.store.messages import Wait
from job_processor.store.mongo.desks import MongoDesk, Plumbing, translated
from job_processor.store.mongo.documents import HAS_LANE, LINE, Document
from job_processor.store.mongo.features import MESSAGES, if_used
from job_processor.store.mongo.hinting import IndexHint
from job_processor.store.mongo.indexes import TIMEOUTS, TOPICS
from job_processor.store.mongo.intake import check_session

_TRIES = 10
"""Of a write that meets a message whose time is over, which others replace or remove meanwhile."""

_PARKED: Document = {"status": "pending", "parked": FOR_A_MESSAGE}
_PRESENT: Document = {"$exists": True}


@translated(but="put_in")
class MongoMessages(MongoDesk, Messages):
    """Keeps messages, and lets go on what waits for them."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing)
        self._messages = plumbing.handles.messages

    async def _put(self, message: Message) -> bool:
        """Absent, or its time over → as given; the database removes those whose time is over."""
        for _ in range(_TRIES):
            try:
                await self._messages.insert_one(_document(message))
            except DuplicateKeyError:
                ours = {"_id": message.topic, "message_id": message.id}
                if await self._messages.find_one(ours, {"_id": 1}) is not None:
                    return True
                if await self._replace_the_old(message):
                    return True
                if await self._messages.find_one({"_id": message.topic}, {"_id": 1}) is not None:
                    return False
            else:
                return True
        return False

    async def _replace_the_old(self, message: Message, session: Any = None) -> bool:
        over = {"_id": message.topic, "expires_at": {"$lte": message.sent_at}}
        result = await self._messages.replace_one(over, _document(message), session=session)
        return result.matched_count == 1

    async def put_in(self, session: Any, message: Message) -> bool:
        """Write a message in the caller's transaction, and let go on what waits for it.

        One that is there is looked for first: a duplicate would end the transaction. The driver's
        own errors pass, as those of `insert_in` do.
        """
        check_session(session, self._handles, self.address)
        of_name = {"_id": message.topic}
        if await self._messages.find_one(of_name, {"_id": 1}, session=session) is None:
            await self._messages.insert_one(_document(message), session=session)
        elif not await self._replace_the_old(message, session):
            return False
        if not await self.features.is_used(MESSAGES):
            return True
        waiting: Document = {"topics": message.topic, **_PARKED}
        await self._jobs.update_many(waiting, _going_on(message.sent_at), session=session)
        return True

    async def _find(self, topics: Collection[str], now: datetime) -> dict[str, Message]:
        """Return the messages of these names."""
        kept: Document = {"_id": {"$in": list(topics)}, "expires_at": {"$gt": now}}
        found = await self._messages.find(kept).to_list()
        return {each["_id"]: _message(each, now) for each in found}

    @if_used(MESSAGES, list[ObjectId])
    async def _waiting_for(self, topic: str, limit: int) -> list[ObjectId]:
        """Return what waits for a message."""

        async def walk(hint: IndexHint) -> list[Document]:
            found = self._last.find({"topics": topic, **_PARKED}, {"_id": 1}, limit=limit)
            return await (found if hint is None else found.hint(hint)).to_list()

        return [each["_id"] for each in await self._hinting.walk(TOPICS, walk)]

    @if_used(MESSAGES, list[Wait])
    async def _waiting(self, limit: int, after: Wait | None) -> list[Wait]:
        """Return what waits, along the index of the times until when."""
        waiting: Document = {"topics": _PRESENT, **_PARKED}
        if after is not None:
            waiting["$or"] = [
                {"due": after.until, "_id": {"$gt": after.job_id}},
                {"due": {"$gt": after.until}},
            ]

        async def walk(hint: IndexHint) -> list[Document]:
            order = [("due", 1), ("_id", 1)]
            fields = {"due": 1, "topics": 1}
            found = self._last.find(waiting, fields, sort=order, limit=limit, batch_size=limit)
            return await (found if hint is None else found.hint(hint)).to_list()

        return [
            Wait(moment(each.get("due")) or FAR, each["_id"], texts_of(each["topics"]))
            for each in await self._hinting.walk(TIMEOUTS, walk)
        ]

    async def _wake(self, job_ids: Collection[ObjectId], at: datetime | None) -> int:
        """Parked for a message → in the line of its lane, or as any job where it has none."""
        waiting: Document = {"_id": {"$in": list(job_ids)}, **_PARKED}
        return (await self._jobs.update_many(waiting, _going_on(at))).modified_count


def _going_on(at: datetime | None) -> list[Document]:
    """Return what lets a job go on at a time, or at its own."""
    then: Any = "$due" if at is None else at
    place = {
        "scheduled_for": {"$cond": [HAS_LANE, "$scheduled_for", then]},
        "due": {"$cond": [HAS_LANE, then, "$$REMOVE"]},
        "ready": {"$cond": [HAS_LANE, then, "$$REMOVE"]},
        "line": {"$cond": [HAS_LANE, LINE, "$$REMOVE"]},
    }
    return [{"$set": place}, {"$unset": ["parked", "topics"]}]


def _document(message: Message) -> Document:
    return {
        "_id": message.topic,
        "message_id": message.id,
        "payload": message.payload,
        "sent_at": message.sent_at,
        "expires_at": message.expires_at,
    }


def _message(document: Document, now: datetime) -> Message:
    """Return the message of a document, whoever wrote it."""
    return Message(
        topic=document["_id"],
        payload=document.get("payload"),
        id=id_of(document.get("message_id")) or ObjectId(),
        sent_at=moment(document.get("sent_at")) or now,
        expires_at=moment(document.get("expires_at")) or FAR,
    )
