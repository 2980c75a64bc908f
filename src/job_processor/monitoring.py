"""What a processor's database holds at present, in plain JSON values and in bounded time."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from job_processor.models import (
    WAITING,
    Cron,
    CronTask,
    Job,
    JobStatus,
    JobType,
    Output,
    Registrations,
    SimpleJob,
    Vitals,
    WorkerInfo,
)
from job_processor.owners import KIND as OWNERS
from job_processor.owners import dormant
from job_processor.redaction import Redaction
from job_processor.settings import COUNT_CAP, STATUS_LIMIT, STATUS_NAMES, STATUS_TASKS
from job_processor.store import Store
from job_processor.summaries import JobSummary


async def get_status(store: Store, redaction: Redaction | None = None) -> dict[str, Any]:
    """Return workers, queue, jobs and crons; each list is bounded, each group has its counts.

    Of each job what a list shows (see `summaries`). Counts are exact up to `COUNT_CAP` and stop
    there. redaction: hides values of payloads, wherever they stand; None: nothing is hidden.
    """
    registrations = await store.registrations()
    now = registrations.now
    names, crons, left_out = await asyncio.gather(
        store.names(STATUS_NAMES), store.crons(), dormant_crons(store)
    )
    workers, queue, jobs, cron_groups = await asyncio.gather(
        _workers(store, registrations, redaction),
        store.queue(now, STATUS_LIMIT, left_out, redaction),
        _job_groups(store, [name for type, name in names if type == "simple"], redaction),
        _cron_groups(store, crons[:STATUS_NAMES], redaction),
    )
    return {
        "now": to_json(now),
        "workers": workers,
        "queue": [job_json(job) for job in queue],
        "jobs": jobs,
        "crons": cron_groups,
    }


async def get_healthcheck(store: Store, redaction: Redaction | None = None) -> dict[str, Any]:
    """Return the workers with what they run, and the queue: `{now, workers, queue}`."""
    registrations = await store.registrations()
    workers = await _workers(store, registrations, redaction)
    left_out = await dormant_crons(store)
    queue = await store.queue(registrations.now, STATUS_LIMIT, left_out, redaction)
    return {
        "now": to_json(registrations.now),
        "workers": workers,
        "queue": [job_json(job) for job in queue],
    }


async def count_waiting(store: Store) -> dict[str, int]:
    """Return how many jobs are to run by name, each count exact up to `COUNT_CAP`."""
    left_out = await dormant_crons(store)
    names = [key for key in await store.names(STATUS_NAMES) if key[1] not in left_out]
    waiting = dict.fromkeys((name for _, name in names), 0)
    for each in await store.count(names, COUNT_CAP, WAITING):
        waiting[each.name] += each.count
    return waiting


async def get_vitals(store: Store) -> Vitals:
    """Return how the database does, in numbers."""
    return await store.vitals(await dormant_crons(store))


async def dormant_crons(store: Store) -> frozenset[str]:
    """Return the names of crons that nobody lists: what is due of them waits for nobody."""
    return dormant(await store.settings(OWNERS))


async def _workers(
    store: Store, registrations: Registrations, redaction: Redaction | None
) -> list[dict[str, Any]]:
    async def group(worker: WorkerInfo) -> dict[str, Any]:
        runs = await store.summaries_of_runs(worker.id, STATUS_TASKS, redaction)
        tasks = [job_json(job) for job in runs]
        return {
            "worker": {**worker_json(worker), "alive": not worker.is_dead(registrations.now)},
            "task": tasks[0] if tasks else None,
            "tasks": tasks,
        }

    return [await group(worker) for worker in registrations.workers[:STATUS_LIMIT]]


async def _job_groups(
    store: Store, names: list[str], redaction: Redaction | None
) -> list[dict[str, Any]]:
    counts = await _counts(store, "simple", names)
    latest = await store.latest([("simple", name) for name in names], STATUS_TASKS, redaction)
    return [
        {"name": name, "counts": counts.get(name, {}), "tasks": [job_json(job) for job in jobs]}
        for name, jobs in zip(names, latest, strict=True)
    ]


async def _cron_groups(
    store: Store, crons: list[Cron], redaction: Redaction | None
) -> list[dict[str, Any]]:
    names = [cron.name for cron in crons]
    counts = await _counts(store, "cron_task", names)
    latest = await store.latest([("cron_task", name) for name in names], STATUS_TASKS, redaction)
    return [
        {
            "cron": cron_json(cron),
            "counts": counts.get(cron.name, {}),
            "scheduled": [job_json(task) for task in tasks if task.status in WAITING],
            "running": [job_json(task) for task in tasks if task.status is JobStatus.RUNNING],
            "history": [job_json(task) for task in tasks if task.settled],
        }
        for cron, tasks in zip(crons, latest, strict=True)
    ]


async def _counts(store: Store, type: JobType, names: list[str]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for each in await store.count([(type, name) for name in names], COUNT_CAP):
        if each.count:
            counts.setdefault(each.name, {})[each.status.value] = each.count
    return counts


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
    if not isinstance(job, CronTask) and job.type == "simple":
        fields |= {"sync": job.sync, "payload": to_json(job.payload)}
        if job.expires_at is not None:
            fields["expires_at"] = to_json(job.expires_at)
    elif not isinstance(job, SimpleJob) and job.sentry_id is not None:
        fields["sentry_id"] = job.sentry_id
    if job.attempt > 1:
        fields["attempt"] = job.attempt
    if job.priority > 0:
        fields["priority"] = job.priority
    if job.progress is not None:
        fields["progress"] = to_json(asdict(job.progress))
    if job.log:
        fields["log"] = [to_json(asdict(line)) for line in job.log]
    if isinstance(job, JobSummary) and job.is_cut:
        fields["cut"] = True
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
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return value
    return str(value)


def _output_json(output: Output | None) -> dict[str, Any] | None:
    if output is None:
        return None
    fields = {
        "duration": output.duration,
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
