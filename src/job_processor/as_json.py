"""Jobs, crons and workers in plain JSON values, their fields named as in the database."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from job_processor.clock import to_ms
from job_processor.handlers.flows import FlowInfo, FlowSummary
from job_processor.handlers.groups import GroupCounts, GroupInfo
from job_processor.models import (
    JOB_TAG,
    Cron,
    CronTask,
    Job,
    JobStatus,
    Output,
    SimpleJob,
    Step,
    WorkerInfo,
)
from job_processor.store.schedules import Schedule
from job_processor.store.summaries import JobSummary
from job_processor.values import SEALED, SEALED_SHOWN, is_sealed


def job_json(job: Job | JobSummary) -> dict[str, Any]:
    """Return a job in plain JSON values, its fields named as in the database.

    What a list shows of one has `cut` where the job has more of its payload, result or error.
    """
    fields: dict[str, Any] = {
        "_id": str(job.id),
        "name": job.name,
        "type": job.type,
        "status": job.status.value,
        "scheduled_for": to_json(job.scheduled_for),
        "started_at": to_json(job.started_at),
        "ended_at": to_json(job.ended_at),
        "updated_at": to_json(job.updated_at),
        "created_at": to_json(job.created_at),
        "worker_id": to_json(job.worker_id),
        "concurrency": {"mode": "exclusive" if job.exclusive else "concurrent"},
        "output": _output_json(job.output),
    }
    if job.ended_at is not None:
        fields["total_ms"] = job.total_ms
    if not isinstance(job, CronTask) and job.type == "simple":
        fields |= {"sync": job.sync, "payload": to_json(job.payload)}
        if job.expires_at is not None:
            fields["expires_at"] = to_json(job.expires_at)
    elif not isinstance(job, SimpleJob) and job.sentry_id is not None:
        fields["sentry_id"] = job.sentry_id
    fields |= _of_few(job)
    if isinstance(job, JobSummary) and job.is_cut:
        fields["cut"] = True
    return fields


def _of_few(job: Job | JobSummary) -> dict[str, Any]:
    """Return the fields that few jobs have."""
    fields: dict[str, Any] = {}
    if job.attempt > 1:
        fields["attempt"] = job.attempt
    if job.priority > 0:
        fields["priority"] = job.priority
    if job.lane is not None:
        fields["lane"] = job.lane
    if job.labels:
        fields["labels"] = list(job.labels)
    if job.waits_for is not None:
        fields["waits_for"] = job.waits_for
    if not isinstance(job, JobSummary):
        fields |= _of_group(job)
    return fields | _told_json(job)


def _of_group(job: Job) -> dict[str, Any]:
    """Return flow and group of a job, or the group whose end it follows."""
    ids = {"group": job.group, "callback_of": job.callback_of, "flow": job.flow}
    fields = {name: str(of) for name, of in ids.items() if of is not None}
    return fields if job.flow_name is None else {**fields, "flow_name": job.flow_name}


def group_json(group: GroupInfo) -> dict[str, Any]:
    """Return a group in plain JSON values, with the counts of its members."""
    counts = group.counts
    return {
        "_id": str(group.id),
        "status": group.status.value,
        "round": group.round,
        "created_at": to_json(group.created_at),
        "completed_at": to_json(group.completed_at),
        "broken": group.broken,
        "then": group.then,
        "catch": group.catch,
        "callback_id": to_json(group.callback_id),
        "counts": {
            "total": counts.total,
            "ended": counts.ended,
            "failed": counts.failed,
            "by_name": {
                name: {status.value: count for status, count in of_name.items()}
                for name, of_name in sorted(counts.by_name.items())
            },
        },
    }


def flow_summary_json(flow: FlowSummary) -> dict[str, Any]:
    """Return how a flow stands in plain JSON values."""
    return {
        "_id": str(flow.id),
        "name": flow.name,
        "status": flow.status,
        "created_at": to_json(flow.created_at),
        "counts": _counts_json(flow.counts),
    }


def flow_json(flow: FlowInfo) -> dict[str, Any]:
    """Return a flow in plain JSON values: its levels, each a list of boxes."""
    return {
        **flow_summary_json(flow),
        "levels": [
            [
                {
                    "name": box.name,
                    "counts": _counts_json(box.counts),
                    "job_id": to_json(box.job_id),
                    "group": to_json(box.group),
                }
                for box in level
            ]
            for level in flow.levels
        ],
        "is_cut": flow.is_cut,
    }


def _counts_json(counts: GroupCounts) -> dict[str, Any]:
    by_status = {status.value: counts[status] for status in JobStatus if counts[status]}
    figures = {"total": counts.total, "ended": counts.ended, "failed": counts.failed}
    return {**figures, "by_status": by_status}


def _told_json(job: Job | JobSummary) -> dict[str, Any]:
    """Return what the runs of a job have told and done so far."""
    fields: dict[str, Any] = {}
    if job.progress is not None:
        fields["progress"] = to_json(asdict(job.progress))
    if job.log:
        fields["log"] = [to_json(asdict(line)) for line in job.log]
    if not isinstance(job, JobSummary) and job.after:
        fields["after"] = [tag.removeprefix(JOB_TAG) for tag in job.after]
        fields["on_parent_failure"] = job.on_parent_failure or "skip"
    if not isinstance(job, JobSummary) and job.steps:
        fields["steps"] = [_step_json(step) for step in job.steps]
    if job.crash is not None:
        fields["crash"] = to_json(asdict(job.crash))
    if not isinstance(job, JobSummary) and job.attempts:
        fields["attempts"] = [to_json(asdict(attempt)) for attempt in job.attempts]
    return fields


def cron_json(cron: Cron) -> dict[str, Any]:
    """Return a cron in plain JSON values, its fields named as in the database."""
    return {
        "_id": str(cron.id),
        "name": cron.name,
        "type": cron.type,
        "status": cron.status.value,
        "cron_string": cron.cron_string,
        "scheduled_for": to_json(cron.scheduled_for),
        "updated_at": to_json(cron.updated_at),
        "created_at": to_json(cron.created_at),
    }


def schedule_json(schedule: Schedule) -> dict[str, Any]:
    """Return a schedule in plain JSON values: what it says, and how far it has come."""
    every = None if schedule.every is None else int(schedule.every.total_seconds())
    shown = {
        "name": schedule.name,
        "job": schedule.job,
        "payload": schedule.payload,
        "cron": schedule.cron,
        "every": every,
        "anchor": schedule.anchor,
        "timezone": None if schedule.cron is None else schedule.timezone,
        "when": schedule.when,
        "start": schedule.start,
        "end": schedule.end,
        "limit": schedule.limit,
        "misfire": schedule.misfire,
        "priority": schedule.priority,
        "expires_after": schedule.expires_after,
        "unique_key": schedule.unique_key,
        "limit_key": schedule.limit_key,
        "labels": schedule.labels,
        "rev": schedule.rev,
        "paused": schedule.paused,
        "next": schedule.next,
        "last": schedule.last,
        "last_job": schedule.last_job,
        "made": schedule.made,
        "problem": schedule.problem,
        "created_at": schedule.created_at,
        "updated_at": schedule.updated_at,
        "ended_at": schedule.ended_at,
    }
    return {name: to_json(value) for name, value in shown.items()}


def worker_json(worker: WorkerInfo) -> dict[str, Any]:
    """Return a worker in plain JSON values, its fields named as in the database."""
    return {
        "_id": str(worker.id),
        "hostname": worker.hostname,
        "lastSeen": to_json(worker.last_seen),
        "tags": list(worker.tags) if worker.tags is not None else None,
        "timeout_s": worker.timeout_s,
        "service": worker.service,
        "pid": worker.pid,
        "version": worker.version,
        "concurrency": worker.concurrency,
        "started_at": to_json(worker.started_at),
        "memory": worker.memory,
    }


def to_json(value: Any) -> Any:
    """Return a stored value in plain JSON: ids as hex, times in ISO 8601, bytes in base64.

    What JSON does not know is a text of it, whatever another writer has stored: the decimals and
    the pointers of MongoDB, a number that is none.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        if is_sealed(value):
            return {SEALED_SHOWN: f"{len(value[SEALED] or b''):,} bytes"}
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def _step_json(step: Step) -> dict[str, Any]:
    fields = {
        "name": step.name,
        "started_at": to_json(step.started_at),
        "ended_at": to_json(step.ended_at),
        "duration_ms": None
        if step.ended_at is None
        else max(to_ms(step.ended_at) - to_ms(step.started_at), 0),
        "result": to_json(step.result),
    }
    if step.topic is not None:
        fields["topic"] = step.topic
    if step.until is not None:
        fields["until"] = to_json(step.until)
    return fields


def _output_json(output: Output | None) -> dict[str, Any] | None:
    if output is None:
        return None
    fields = {
        "duration": output.duration,
        "duration_ms": output.duration_ms,
        "result": to_json(output.result),
        "error": output.error,
    }
    skip = output.skip_metadata
    if skip is not None:
        fields["skip_metadata"] = {
            "reason": skip.reason,
            "conflicting_job_id": to_json(skip.conflicting_job_id),
            "skipped_at": to_json(skip.skipped_at),
        }
    return fields
