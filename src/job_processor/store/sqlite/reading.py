"""Jobs of rows, whoever wrote those: read by position, since a claim does little else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from bson import ObjectId
from bson.errors import InvalidId

from job_processor.clock import EPOCH, from_ms
from job_processor.models import WAITING, CronTask, Job, JobStatus, SimpleJob, Step, make
from job_processor.store.lenient import (
    fields_of,
    id_of,
    list_of,
    moment,
    rule_of,
    status_of,
    text_or_none,
    texts_of,
)
from job_processor.store.plain import attempts_of, crash_of, notes_of, output_of, steps_of
from job_processor.store.sqlite.codec import decode
from job_processor.store.sqlite.rows import STEP, Row
from job_processor.store.sqlite.tables import AHEAD

_EXTRA: Mapping[str, Callable[[object], Any]] = {
    "after": texts_of,
    "callback_of": id_of,
    "crash": crash_of,
    "expires_at": moment,
    "group": id_of,
    "flow": id_of,
    "flow_name": text_or_none,
    "on_parent_failure": rule_of,
    "state_saved": moment,
    "traceparent": text_or_none,
}

_worker = lru_cache(maxsize=64)(ObjectId)  # what is claimed together is of one

UNREADABLE = (ArithmeticError, LookupError, RecursionError, TypeError, ValueError)
"""What reading a row raises that is not ours."""

_STATUSES: Mapping[str, JobStatus] = {status.value: status for status in JobStatus}


def to_jobs(rows: Sequence[Row]) -> list[Job]:
    """Return the jobs of rows of `COLUMNS`, whoever wrote them."""
    try:
        return [_job(row, from_ms, decode) for row in rows]
    except UNREADABLE:  # one is not ours
        return [to_job(row) for row in rows]


def to_job(row: Row) -> Job:
    """Return the job of a row of `COLUMNS`, whoever wrote it."""
    try:
        return _job(row, from_ms, decode)
    except UNREADABLE:  # it is not ours
        return _job(row, moment_or_epoch, decoded)


def moment_or_epoch(milliseconds: int) -> datetime:
    """Return a moment; what is none is the first one."""
    return moment(milliseconds) or EPOCH


def decoded(text: str) -> Any:
    """Return the value of a JSON text; one that is none is itself the value."""
    try:
        return decode(text)
    except (ArithmeticError, RecursionError, TypeError, ValueError, InvalidId):
        return text


def _job(row: Row, from_ms: Callable[[int], datetime], decode: Callable[[str], Any]) -> Job:
    (
        job_id,
        kind,
        name,
        status,
        payload,
        scheduled_for,
        created_at,
        updated_at,
        started_at,
        ended_at,
        worker_id,
        output,
        exclusive,
        attempt,
        crashes,
        sync,
        sentry_id,
        planned_for,
        extra,
        priority,
        unique_key,
        unique_until,
        notes,
        steps,
        lane,
        slot,
        ordered,
        due,
        parked,
        waiting_for,
        followed,
        topics,
        rate_lane,
        labels,
    ) = row
    fields = {
        "id": ObjectId(job_id),
        "name": name,
        "status": _STATUSES.get(status) or status_of(status),
        "scheduled_for": from_ms(scheduled_for),
        "created_at": from_ms(created_at),
        "updated_at": from_ms(updated_at),
        "attempt": attempt,
        "crashes": crashes,
        "priority": priority,
    }
    # What is as with most jobs is not set: it stands with the class.
    if started_at is not None:
        fields["started_at"] = from_ms(started_at)
    if worker_id is not None:
        fields["worker_id"] = _worker(worker_id)
    if payload is not None and kind == "simple":
        fields["payload"] = decode(payload)
    ran = exclusive, ended_at, output, notes, steps
    if ran != _HAS_NOT_RUN:
        fields |= _of_runs(*ran, from_ms, decode)
    place = lane, slot, ordered, due, parked, topics, rate_lane
    if place != _NO_PLACE:
        _set_place(fields, from_ms, *place)
    tags = waiting_for, followed, labels
    if tags != _NO_TAGS:
        fields |= _of_tags(*tags, decode)
    if kind != "simple":
        fields["sentry_id"] = sentry_id
        fields["planned_for"] = None if planned_for is None else from_ms(planned_for)
    elif sync or unique_key is not None:
        fields["sync"] = sync == 1
        fields["unique_key"] = unique_key
        fields["unique_until"] = None if unique_until is None else from_ms(unique_until)
    if extra is not None:
        fields |= _decode_extra(extra, decode)
    return make(SimpleJob, fields) if kind == "simple" else make(CronTask, fields)


def time_of_free(scheduled_for: int, status: str) -> int | None:
    """Return when a job of a lane is to begin that is put off: see `keyless`; None: it is not."""
    is_free = scheduled_for >= AHEAD and status in ("pending", "paused")
    return scheduled_for - AHEAD if is_free else None


_HAS_NOT_RUN = (0, None, None, None, None)


def _of_runs(
    exclusive: object,
    ended_at: int | None,
    output: str | None,
    notes: str | None,
    steps: str | None,
    from_ms: Callable[[int], datetime],
    decode: Callable[[str], Any],
) -> dict[str, Any]:
    return {
        "exclusive": exclusive == 1,
        "ended_at": None if ended_at is None else from_ms(ended_at),
        "output": None if output is None else output_of(decode(output)),
        "notes": None if notes is None else notes_of(decode(notes)),
        "steps": () if steps is None else _decode_steps(steps, decode),
    }


_NO_PLACE = (None,) * 7


def _set_place(
    fields: dict[str, Any],
    from_ms: Callable[[int], datetime],
    lane: str | None,
    slot: str | None,
    ordered: str | None,
    due: int | None,
    parked: str | None,
    topics: str | None,
    rate_lane: str | None,
) -> None:
    fields["lane"] = lane
    fields["slot"] = slot
    if due is not None:
        fields["scheduled_for"] = from_ms(due)
    elif lane is not None and fields["scheduled_for"] >= _PUT_OFF and fields["status"] in WAITING:
        fields["scheduled_for"] -= timedelta(milliseconds=AHEAD)
    more = ordered, parked, topics, rate_lane
    if more != _NOTHING_MORE:
        fields |= {"ordered": ordered, "parked": parked, "rate_lane": rate_lane}
        fields["topics"] = () if topics is None else decode_topics(topics)


_NOTHING_MORE = (None,) * 4
_PUT_OFF = from_ms(AHEAD)


_NO_TAGS = (None,) * 3


def _of_tags(
    waiting_for: str | None, followed: int | None, labels: str | None, decode: Callable[[str], Any]
) -> dict[str, Any]:
    fields: dict[str, Any] = {"followed": bool(followed)}
    if waiting_for is not None:
        fields["waiting_for"] = texts_of(decode(waiting_for))
    if labels is not None:
        fields["labels"] = texts_of(decode(labels))
    return fields


def _decode_extra(text: str, decode: Callable[[str], Any]) -> dict[str, Any]:
    extra = fields_of(decode(text))
    known = {name: read(extra[name]) for name, read in _EXTRA.items() if name in extra}
    return {**known, "attempts": attempts_of(extra.get("attempts"))}


def _decode_steps(text: str, decode: Callable[[str], Any]) -> tuple[Step, ...]:
    rows = list_of(decode(f"[{text}]"))
    return steps_of([dict(zip(STEP, list_of(row), strict=False)) for row in rows])


def decode_topics(text: str) -> tuple[str, ...]:
    """Return what `encode_topics` was given."""
    if text.startswith("="):
        return (text[1:],)
    return texts_of(decoded(text))
