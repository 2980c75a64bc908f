"""Documents to models and back. A plain job has exactly the fields that the Node package writes.

Fields of ours beyond those (see `own_fields`) appear only on a job that uses them. Reading is
lenient: a document of another writer may lack what is not essential.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeAlias

from bson import ObjectId

from job_processor.clock import EPOCH, FAR
from job_processor.models import (
    ACTIVE,
    SETTLED,
    WAITING,
    Cron,
    CronTask,
    Job,
    SimpleJob,
    make,
)
from job_processor.store.lanes import KEYED, KEYLESS, is_apart, place_of
from job_processor.store.lenient import (
    fields_of,
    id_of,
    moment,
    rule_of,
    status_of,
    text_of,
    text_or_none,
    texts_of,
    whole,
)
from job_processor.store.plain import (
    attempts_of,
    crash_of,
    notes_of,
    output_of,
    plain_attempts,
    plain_crash,
    plain_notes,
    plain_output,
    plain_step,
    steps_of,
)
from job_processor.store.waits import plain_tags

Document: TypeAlias = dict[str, Any]

JOB_TYPES = ["simple", "cron_task"]
WAITING_STATUSES = sorted(status.value for status in WAITING)
ACTIVE_STATUSES = sorted(status.value for status in ACTIVE)
SETTLED_STATUSES = sorted(status.value for status in SETTLED)
JOB_STATUSES = sorted(ACTIVE_STATUSES + SETTLED_STATUSES)

WAIT_FIELDS = frozenset({"after", "on_parent_failure", "waiting_for", "followed"})
"""What a job has that comes before or after others, or waits for an event."""

LANE_FIELDS = (
    *("lane", "ordered", "slots", "due", "line", "ready", "parked", "topics", "rate_lane"),
    *("after", "on_parent_failure", "waiting_for", "followed"),
)
"""What a job has that is in a lane, or parked, or comes before or after others."""

GROUP_FIELDS = ("group", "open_in", "failed_in", "callback_of")
"""What a member of a group has, or the job that follows its end."""

LEAVES_GROUP: Document = {"failed_in": {"$ifNull": ["$group", "$$REMOVE"]}}
REJOINS_GROUP: Document = {"open_in": {"$ifNull": ["$group", "$$REMOVE"]}}
"""What becomes of a member that ends otherwise than finished, and of one that waits again."""

HAS_LANE: Document = {"$or": [{"$gt": ["$lane", None]}, {"$gt": ["$rate_lane", None]}]}
LINE: Document = {
    "$concat": [
        {
            "$cond": [
                {"$gte": [{"$indexOfCP": [{"$ifNull": ["$lane", ":"]}, ":"]}, 0]},
                KEYED,
                KEYLESS,
            ]
        },
        "$name",
    ]
}
"""The line of a job that has a lane, as an expression: see `lanes.line_of`."""

TRUE_TIME: Document = {"scheduled_for": {"$ifNull": ["$due", "$scheduled_for"]}}
OUT_OF_LANE: Document = {"$unset": ["due", "line", "ready", "parked", "topics", "waiting_for"]}
"""What becomes of a job that waits no more, one stage after the other: its time is true again."""


def job_document(job: Job) -> Document:
    """Return the document of a new job, its fields in the Node package's order."""
    document: Document = {
        "_id": job.id,
        "name": job.name,
        "type": job.type,
        "status": job.status.value,
    }
    if isinstance(job, SimpleJob):
        document["payload"] = job.payload
        document["sync"] = job.sync
    document |= {
        "updated_at": job.updated_at,
        "created_at": job.created_at,
        "scheduled_for": job.scheduled_for if place_of(job).due is None else FAR,
        "worker_id": job.worker_id,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "concurrency": {"mode": "exclusive" if job.exclusive else "concurrent"},
        "output": None if job.output is None else plain_output(job.output),
    }
    if isinstance(job, CronTask):
        document["sentry_id"] = job.sentry_id
    if isinstance(job, SimpleJob) and job.traceparent is not None:
        document["traceparent"] = job.traceparent
    if isinstance(job, SimpleJob) and job.unique_key is not None:
        document["unique_key"] = job.unique_key
        if job.unique_until is not None:
            document["unique_until"] = job.unique_until
    if job.flow is not None:
        document |= {"flow": job.flow, "flow_name": job.flow_name}
    if job.labels:
        document["labels"] = list(job.labels)
    if job.steps:
        document["steps"] = [plain_step(step) for step in job.steps]
    return document | own_fields(job)


def own_fields(job: Job) -> Document:
    """Return the fields beyond the Node package's that a run or its end may change.

    A plain job has none of them.
    """
    fields: Document = {}
    if job.attempt > 1:
        fields["attempt"] = job.attempt
    if job.crashes > 0:
        fields["crashes"] = job.crashes
    if job.crash is not None:
        fields["crash"] = plain_crash(job.crash)
    if isinstance(job, SimpleJob) and job.expires_at is not None:
        fields["expires_at"] = job.expires_at
    if job.priority > 0:
        fields["priority"] = job.priority
    if job.attempts:
        fields["attempts"] = plain_attempts(job.attempts)
    if isinstance(job, CronTask) and job.planned_for is not None:
        fields["planned_for"] = job.planned_for
    if job.notes is not None:
        fields["notes"] = plain_notes(job.notes)
    if is_apart(job) or job.group is not None or job.callback_of is not None:
        fields |= _tied_fields(job)
    return fields | plain_tags(job)


def _tied_fields(job: Job) -> Document:
    """Return what ties a job to its lane or its group."""
    place = place_of(job)
    fields = {
        "lane": job.lane,
        "ordered": job.ordered,
        "slots": None if job.slot is None else [job.slot],
        "due": place.due,
        "line": place.line,
        "ready": place.ready,
        "parked": place.parked,
        "topics": list(place.topics) or None,
        "rate_lane": job.rate_lane,
        **{name: getattr(job, name) for name in GROUP_FIELDS},
    }
    return {name: value for name, value in fields.items() if value is not None}


def to_job(document: Mapping[str, Any]) -> Job:
    """Return the job or cron task of a document whose `type` is a job's, whoever wrote it."""
    created = moment(document.get("created_at")) or _made(document["_id"])
    fields: dict[str, Any] = {
        "id": document["_id"],
        "name": text_of(document.get("name", "")),
        "status": status_of(document.get("status")),
        "scheduled_for": moment(document.get("scheduled_for")) or created,
        "created_at": created,
        "updated_at": moment(document.get("updated_at")) or created,
        "started_at": moment(document.get("started_at")),
        "ended_at": moment(document.get("ended_at")),
        "worker_id": id_of(document.get("worker_id")),
        "output": output_of(document.get("output")),
        "exclusive": fields_of(document.get("concurrency")).get("mode") == "exclusive",
        "attempt": whole(document.get("attempt")) or 1,
        "crashes": whole(document.get("crashes"), 0),
        "crash": crash_of(document.get("crash")),
        "priority": whole(document.get("priority"), 0),
        "attempts": attempts_of(document.get("attempts")),
        "notes": notes_of(document.get("notes")),
        "state_saved": moment(document.get("state_saved")),
        "steps": steps_of(steps) if (steps := document.get("steps")) else (),
    }
    if "lane" in document or "due" in document or "rate_lane" in document:
        fields |= _of_lane(document)
    if not WAIT_FIELDS.isdisjoint(document):
        fields |= _of_waits(document)
    if "group" in document or "callback_of" in document:
        fields["group"] = id_of(document.get("group"))
        fields["callback_of"] = id_of(document.get("callback_of"))
    if "flow" in document:
        fields["flow"] = id_of(document["flow"])
        fields["flow_name"] = text_or_none(document.get("flow_name"))
    if "labels" in document:
        fields["labels"] = texts_of(document["labels"])
    if document["type"] == "simple":
        fields["payload"] = document.get("payload")
        fields["sync"] = bool(document.get("sync"))
        fields["expires_at"] = moment(document.get("expires_at"))
        fields["traceparent"] = text_or_none(document.get("traceparent"))
        fields["unique_key"] = text_or_none(document.get("unique_key"))
        fields["unique_until"] = moment(document.get("unique_until"))
        return make(SimpleJob, fields)
    fields["sentry_id"] = text_or_none(document.get("sentry_id"))
    fields["planned_for"] = moment(document.get("planned_for"))
    return make(CronTask, fields)


def _of_lane(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a document says of its lane, and the true time of one that waits there."""
    slots, ordered = document.get("slots"), document.get("ordered")
    fields: dict[str, Any] = {
        "lane": text_or_none(document.get("lane")),
        "slot": text_or_none(slots[0]) if isinstance(slots, list) and slots else None,
        "ordered": ordered if ordered in ("continue", "stop") else None,
        "parked": text_or_none(document.get("parked")),
        "topics": texts_of(document.get("topics")),
        "rate_lane": text_or_none(document.get("rate_lane")),
    }
    due = moment(document.get("due"))
    return fields if due is None else {**fields, "scheduled_for": due}


def _of_waits(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a document says of what it comes after, and whether others come after it."""
    return {
        "after": texts_of(document.get("after")),
        "waiting_for": texts_of(document.get("waiting_for")),
        "on_parent_failure": rule_of(document.get("on_parent_failure")),
        "followed": bool(document.get("followed")),
    }


def _made(id: object) -> datetime:
    """Return when an id was made, as far as it tells."""
    return id.generation_time if isinstance(id, ObjectId) else EPOCH


def cron_document(cron: Cron) -> Document:
    """Return the document of a new cron, its fields in the Node package's order."""
    return {
        "_id": cron.id,
        "name": cron.name,
        "type": cron.type,
        "created_at": cron.created_at,
        "cron_string": cron.cron_string,
        "scheduled_for": cron.scheduled_for,
        "status": cron.status.value,
        "updated_at": cron.updated_at,
    }


def to_cron(document: Mapping[str, Any]) -> Cron:
    """Return the cron of a document."""
    created = moment(document.get("created_at")) or _made(document["_id"])
    return Cron(
        id=document["_id"],
        name=text_of(document["name"]),
        cron_string=text_of(document.get("cron_string", "")),
        scheduled_for=moment(document.get("scheduled_for")) or created,
        created_at=created,
        updated_at=moment(document.get("updated_at")) or created,
    )
