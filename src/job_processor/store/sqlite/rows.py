"""Jobs as rows: ids as 12 bytes, times as milliseconds, payload and output as JSON.

What reads them is in `reading`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any, TypeAlias

from bson import ObjectId

from job_processor.clock import EPOCH, FAR, from_ms, to_ms
from job_processor.handlers.lanes import has_key
from job_processor.models import (
    WAITING,
    Job,
    JobStatus,
    Notes,
    Output,
    SimpleJob,
    Step,
)
from job_processor.store.lanes import place_of
from job_processor.store.plain import (
    plain_attempts,
    plain_crash,
    plain_notes,
    plain_output,
)
from job_processor.store.sqlite.codec import encode
from job_processor.store.sqlite.labels import encode_labels
from job_processor.store.sqlite.tables import AHEAD
from job_processor.store.waits import plain_tags

Row: TypeAlias = tuple[Any, ...]

COLUMNS = (
    "id,type,name,status,payload,scheduled_for,created_at,updated_at,started_at,ended_at,"
    "worker_id,output,exclusive,attempt,crashes,sync,sentry_id,planned_for,extra,priority,"
    "unique_key,unique_until,notes,steps,lane,slot,ordered,due,parked,waiting_for,followed,topics,"
    "rate_lane,labels"
)
"""Those of a job, in the order of its row."""

NEW_COLUMNS = f"{COLUMNS},line,ready,group_id,open_in,failed_in,flow"
"""Those that a new job is given."""

PLAIN_COLUMNS = "id,name,payload,scheduled_for,created_at,updated_at,exclusive,priority"
"""Those that a new job without further features has; the others have their defaults."""


STEP = ("name", "started_at", "ended_at", "result", "until", "topic")
"""The fields of a step, by their positions."""

_FAR_MS = to_ms(FAR)
_LATE = from_ms(_FAR_MS - AHEAD)


def to_row(job: Job) -> Row:
    """Return the values of `NEW_COLUMNS`."""
    scheduled_for, due, parked, line, ready, topics = place_values(job)
    payload, sync, sentry_id, planned_for = None, False, None, None
    unique_key, unique_until = None, None
    if isinstance(job, SimpleJob):
        payload, sync = job.payload, job.sync
        unique_key, unique_until = job.unique_key, job.unique_until
    else:
        sentry_id, planned_for = job.sentry_id, job.planned_for
    created = job.created_at
    created_ms = to_ms(created)
    return (
        job.id.binary,
        job.type,
        job.name,
        job.status.value,
        None if payload is None else encode(payload),
        scheduled_for,
        created_ms,
        created_ms if job.updated_at is created else to_ms(job.updated_at),
        optional_ms(job.started_at),
        optional_ms(job.ended_at),
        optional_id(job.worker_id),
        encode_output(job.output),
        job.exclusive,
        job.attempt,
        job.crashes,
        sync,
        sentry_id,
        optional_ms(planned_for),
        encode_extra(job),
        job.priority,
        unique_key,
        optional_ms(unique_until),
        encode_notes(job.notes),
        encode_steps(job.steps),
        job.lane,
        job.slot,
        job.ordered,
        due,
        parked,
        encode_tags(job),
        job.followed or None,
        topics,
        job.rate_lane,
        encode_labels(job),
        line,
        ready,
        *group_values(job),
        optional_id(job.flow),
    )


def encode_tags(job: Job) -> str | None:
    """Return what a job that is to be stored waits for, as JSON; None for nothing."""
    tags = plain_tags(job).get("waiting_for")
    return None if tags is None else json.dumps(tags, separators=(",", ":"))


def waits_rows(jobs: Iterable[Job]) -> list[Row]:
    """Return tag, job and whether it waits for that, of all that these jobs come after."""
    return [
        (tag, job.id.binary, job.parked is not None and tag in job.waiting_for)
        for job in jobs
        for tag in dict.fromkeys((*job.after, *job.waiting_for))
    ]


def group_values(job: Job) -> Row:
    """Return the values of group_id, open_in and failed_in."""
    return optional_id(job.group), optional_id(job.open_in), optional_id(job.failed_in)


def place_values(job: Job) -> Row:
    """Return the values of a job's place, as it is to be stored.

    Those of scheduled_for, due, parked, line, ready and topics.
    """
    if is_free(job):
        return AHEAD + to_ms(job.scheduled_for), None, None, None, None, None
    place = place_of(job)
    scheduled = to_ms(job.scheduled_for) if place.due is None else _FAR_MS
    due, ready = optional_ms(place.due), optional_ms(place.ready)
    return scheduled, due, place.parked, place.line, ready, encode_topics(place.topics)


def is_free(job: Job) -> bool:
    """True for a job that waits for nothing but its time and a slot of a lane without a key.

    It stands where any job does, put off: see `keyless`. What has more to it stands in a line, from
    which it may be parked; and so does an occurrence of a cron, which is told by its time.
    """
    return (
        job.lane is not None
        and job.status in WAITING
        and isinstance(job, SimpleJob)
        and (job.slot, job.ordered, job.rate_lane, job.parked, job.expires_at) == _NOTHING_MORE
        and not has_key(job.lane)
        and EPOCH <= job.scheduled_for < _LATE
    )


_NOTHING_MORE = (None,) * 5


def to_plain_rows(jobs: Sequence[Job]) -> list[Row] | None:
    """Return the values of `PLAIN_COLUMNS`; None when a job has more than those to keep."""
    rows = []
    for job in jobs:
        row = _to_plain_row(job)
        if row is None:
            return None
        rows.append(row)
    return rows


def _to_plain_row(job: Job) -> Row | None:
    if (
        job.status is not JobStatus.PENDING
        or not isinstance(job, SimpleJob)
        or job.unique_key is not None
        or job.expires_at is not None
        or job.traceparent is not None
        or job.sync
        or job.attempt != 1
        or job.crashes
        or job.crash is not None
        or job.attempts
        or job.output is not None
        or job.notes is not None
        or job.steps
        or job.started_at is not None
        or job.ended_at is not None
        or job.worker_id is not None
        or job.lane is not None
        or job.rate_lane is not None
        or job.parked is not None
        or job.after
        or job.followed
        or job.group is not None
        or job.callback_of is not None
        or job.flow is not None
        or job.labels
    ):
        return None
    created = to_ms(job.created_at)
    return (
        bound_id(job.id),
        job.name,
        None if job.payload is None else encode(job.payload),
        created if job.scheduled_for is job.created_at else to_ms(job.scheduled_for),
        created,
        created if job.updated_at is job.created_at else to_ms(job.updated_at),
        job.exclusive,
        job.priority,
    )


def encode_extra(job: Job) -> str | None:
    """Return the fields of features that few jobs use as JSON text; None for a plain job."""
    extra: dict[str, Any] = {}
    if job.attempts:
        extra["attempts"] = plain_attempts(job.attempts)
    if job.crash is not None:
        extra["crash"] = plain_crash(job.crash)
    if isinstance(job, SimpleJob) and job.expires_at is not None:
        extra["expires_at"] = job.expires_at
    if isinstance(job, SimpleJob) and job.traceparent is not None:
        extra["traceparent"] = job.traceparent
    if job.flow is not None:
        extra |= {"flow": job.flow, "flow_name": job.flow_name}
    if job.after:
        extra["after"] = list(job.after)
    if job.on_parent_failure is not None:
        extra["on_parent_failure"] = job.on_parent_failure
    if job.group is not None:
        extra["group"] = job.group
    if job.callback_of is not None:
        extra["callback_of"] = job.callback_of
    return encode(extra) if extra else None


def encode_notes(notes: Notes | None) -> str | None:
    """Return what a run has told as JSON text; None when it told nothing."""
    return None if notes is None else encode(plain_notes(notes))


def encode_steps(steps: Iterable[Step]) -> str | None:
    """Return steps as JSON texts with commas between them, to which one more is just added."""
    return ",".join(map(encode_step, steps)) or None


def encode_step(step: Step) -> str:
    """Return a step as JSON text, its fields by position: each that is added writes all anew."""
    values = [step.name, to_ms(step.started_at), optional_ms(step.ended_at), step.result]
    if step.topic is not None:
        return encode([*values, optional_ms(step.until), step.topic])
    return encode(values if step.until is None else [*values, to_ms(step.until)])


def steps_before(text: str, name: str) -> str | None:
    """Return the JSON texts of the steps before one; None where there is no such step.

    With what came of them, wherever that stands: a wait for a message has an entry for its end.
    """
    rows = json.loads(f"[{text}]")
    names = [row[0] for row in rows]
    if name not in names:
        return None
    before = set(names[: names.index(name)])
    texts = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in rows)
    return ",".join(text for row, text in zip(rows, texts, strict=True) if row[0] in before)


def encode_topics(topics: Sequence[str]) -> str | None:
    """Return the messages that a job waits for: a single one as it is, so that an index finds it.

    Several are a list, and stand together in the index: see `tables.AMONG_SEVERAL`.
    """
    if not topics:
        return None
    return f"={topics[0]}" if len(topics) == 1 else encode(list(topics))


def encode_output(output: Output | None) -> str | None:
    """Return an output as JSON text; what is None in it is left out."""
    if output is None:
        return None
    if output.result is None and output.error is None and output.skip_metadata is None:
        return _duration_alone(output.duration)
    plain = plain_output(output)
    return encode({name: value for name, value in plain.items() if value is not None})


@lru_cache(maxsize=1024)
def _duration_alone(duration: str) -> str:
    """Return the JSON text of most outputs."""
    return f'{{"duration":{encode_basestring(duration)}}}'


def optional_ms(moment: datetime | None) -> int | None:
    """Return the milliseconds of a time that may be missing."""
    return None if moment is None else to_ms(moment)


def optional_time(milliseconds: int | None) -> datetime | None:
    """Return the time of milliseconds that may be missing."""
    return None if milliseconds is None else from_ms(milliseconds)


def optional_id(id: ObjectId | None) -> bytes | None:
    """Return the bytes of an id that may be missing."""
    return None if id is None else id.binary


def bound_id(id: ObjectId | None) -> bytearray | None:
    """Return an id as a parameter of a statement that is run for each job.

    sqlite3 looks for an adapter of each `bytes`, which takes longer than all the rest of binding
    it, and binds a `bytearray` as it is.
    """
    return None if id is None else bytearray(id.binary)
