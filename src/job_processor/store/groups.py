"""Groups: jobs that something follows once all of them have ended.

There is no counter that could drift. A member has its group in `open_in` for as long as it is
active, and in `failed_in` when it ended otherwise than finished; whether a group has ended is a
question to the index of the first: sealed, and nothing is open in it. Of two members that end at
the same moment both see that nothing is left, and one wins the guarded write of the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Literal, TypeAlias

from bson import ObjectId

from job_processor.models import JobStatus, OnFailure, SimpleJob
from job_processor.store.lenient import (
    fields_of,
    moment,
    number,
    text_of,
    text_or_none,
    texts_of,
    whole,
)
from job_processor.store.waits import End

GROUP_TAG = "g:"
"""What the tag of a group begins with, for those that come after it."""

Plain: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """The job that follows the end of a group, as it was asked for when that was opened."""

    name: str
    payload: Plain | None = None
    priority: int = 0
    exclusive: bool = False
    delay: float = 0.0
    """Seconds from the end of the group until it may begin."""
    not_before: datetime | None = None
    """The time before which it does not begin, whenever the group ends."""
    expires_in: float | None = None
    """Seconds from the end of the group until it begins no more; None: always."""
    lane: str | None = None
    ordered: OnFailure | None = None
    labels: tuple[str, ...] | None = None
    traceparent: str | None = None

    def job(self, job_id: ObjectId, group: ObjectId, now: datetime) -> SimpleJob:
        """Return the job of a group that has ended now."""
        due = now + timedelta(seconds=self.delay)
        if self.not_before is not None:
            due = max(due, self.not_before)
        expires = None if self.expires_in is None else now + timedelta(seconds=self.expires_in)
        return SimpleJob(
            id=job_id,
            name=self.name,
            status=JobStatus.PENDING,
            scheduled_for=due,
            created_at=now,
            updated_at=now,
            exclusive=self.exclusive,
            priority=self.priority,
            payload=self.payload,
            expires_at=expires,
            traceparent=self.traceparent,
            lane=self.lane,
            ordered=self.ordered,
            labels=self.labels or (),
            callback_of=group,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupRecord:
    """A group as it stands in the database."""

    id: ObjectId
    created_at: datetime
    touched_at: datetime
    """When whoever opened it showed last that it is still there; until it is sealed."""
    sealed: bool = False
    """True once nobody adds to it but its running members."""
    broken: str | None = None
    """Why it cannot end well, whatever its members do; None: it can."""
    then: Callback | None = None
    catch: Callback | None = None
    round: int = 1
    """Raised each time that it is retried."""
    completed_at: datetime | None = None
    failed: bool | None = None
    """Whether a member has not finished, once it has ended."""
    unfinished: bool = True
    """False once it has ended and all that follows its end is done."""

    @property
    def owes(self) -> bool:
        """True while what follows its end is not done yet: its callback, and who waits for it."""
        return self.completed_at is not None and self.unfinished

    @property
    def end(self) -> End:
        """Its end, for those that come after it."""
        return End(f"{GROUP_TAG}{self.id}", not self.failed, f"group {self.id} errored")

    @property
    def callback(self) -> Callback | None:
        """What follows its end, as that was; None: nothing, or it has not ended."""
        if self.completed_at is None:
            return None
        return self.catch if self.failed else self.then

    @property
    def callback_id(self) -> ObjectId | None:
        """The id of the job that follows its end, the same whoever makes it."""
        kind: Literal["catch", "then"] = "catch" if self.failed else "then"
        return None if self.callback is None else callback_id(self.id, self.round, kind)

    def callback_job(self) -> SimpleJob | None:
        """Return the job that follows its end; None: none does."""
        callback, job_id = self.callback, self.callback_id
        if callback is None or job_id is None or self.completed_at is None:
            return None
        return callback.job(job_id, self.id, self.completed_at)


def callback_id(group: ObjectId, round: int, kind: Literal["then", "catch"]) -> ObjectId:
    """Return the id of the callback of a round: a second insert of it is a duplicate.

    Its first four bytes are those of the group, so that it sorts by time as ids do.
    """
    digest = sha256(f"{group}\n{round}\n{kind}".encode()).digest()
    return ObjectId(group.binary[:4] + digest[:8])


def plain_callback(callback: Callback | None) -> dict[str, Any] | None:
    """Return a callback in plain values, as a database keeps it."""
    if callback is None:
        return None
    plain = {name: getattr(callback, name) for name in Callback.__dataclass_fields__}
    return {name: value for name, value in plain.items() if value is not None}


def callback_of(value: object) -> Callback | None:
    """Return the callback of plain values, whoever wrote them; None: there is none."""
    fields = fields_of(value)
    if not fields:
        return None
    payload, ordered = fields.get("payload"), fields.get("ordered")
    return Callback(
        name=text_of(fields.get("name", "")),
        payload=payload if isinstance(payload, Mapping) else None,
        priority=whole(fields.get("priority"), 0),
        exclusive=bool(fields.get("exclusive")),
        delay=number(fields.get("delay")) or 0.0,
        not_before=moment(fields.get("not_before")),
        expires_in=number(fields.get("expires_in")),
        lane=text_or_none(fields.get("lane")),
        ordered=ordered if ordered in ("continue", "stop") else None,
        labels=texts_of(fields.get("labels")) or None,
        traceparent=text_or_none(fields.get("traceparent")),
    )


def plain_group(record: GroupRecord) -> dict[str, Any]:
    """Return a group in plain values but for its id, what it lacks left out."""
    plain: dict[str, Any] = {
        "created_at": record.created_at,
        "touched_at": record.touched_at,
        "sealed": record.sealed,
        "broken": record.broken,
        "then": plain_callback(record.then),
        "catch": plain_callback(record.catch),
        "round": record.round,
        "completed_at": record.completed_at,
        "failed": record.failed,
        "unfinished": True if record.unfinished else None,
    }
    return {name: value for name, value in plain.items() if value is not None}


def group_of(group_id: ObjectId, plain: Plain) -> GroupRecord:
    """Return the group of plain values, whoever wrote them."""
    created = moment(plain.get("created_at")) or group_id.generation_time
    failed = plain.get("failed")
    return GroupRecord(
        id=group_id,
        created_at=created,
        touched_at=moment(plain.get("touched_at")) or created,
        sealed=bool(plain.get("sealed")),
        broken=text_or_none(plain.get("broken")),
        then=callback_of(plain.get("then")),
        catch=callback_of(plain.get("catch")),
        round=whole(plain.get("round"), 1) or 1,
        completed_at=moment(plain.get("completed_at")),
        failed=None if failed is None else bool(failed),
        unfinished=bool(plain.get("unfinished")),
    )
