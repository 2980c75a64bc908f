"""What a processor's database holds at present, in plain JSON values and in bounded time."""

from __future__ import annotations

import asyncio
from typing import Any

from bson import ObjectId

from job_processor.as_json import cron_json, job_json, to_json, worker_json
from job_processor.models import (
    WAITING,
    Cron,
    JobStatus,
    JobType,
    Registrations,
    Vitals,
    WorkerInfo,
)
from job_processor.redaction import Redaction
from job_processor.settings import COUNT_CAP, STATUS_LIMIT, STATUS_NAMES, STATUS_TASKS
from job_processor.store import Store
from job_processor.store.owners import KIND as OWNERS
from job_processor.store.owners import dormant
from job_processor.store.requests import JobQuery

WORKERS_RUNS = 200
"""Jobs that run, of which the page of workers shows whose they are."""


async def get_status(store: Store, redaction: Redaction | None = None) -> dict[str, Any]:
    """Return workers, queue, jobs and crons; each list is bounded, each group has its counts.

    Of each job what a list shows (see `summaries`). Counts are exact up to `COUNT_CAP` and stop
    there. redaction: hides values of payloads, wherever they stand; None: nothing is hidden.
    """
    registrations = await store.workers.registrations()
    now = registrations.now
    names, crons, left_out = await asyncio.gather(
        store.history.names(STATUS_NAMES), store.crons.all(), dormant_crons(store)
    )
    workers, queue, jobs, cron_groups = await asyncio.gather(
        _workers(store, registrations, redaction),
        store.queue.due(now, STATUS_LIMIT, left_out, redaction),
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
    registrations = await store.workers.registrations()
    workers = await _workers(store, registrations, redaction)
    left_out = await dormant_crons(store)
    queue = await store.queue.due(registrations.now, STATUS_LIMIT, left_out, redaction)
    return {
        "now": to_json(registrations.now),
        "workers": workers,
        "queue": [job_json(job) for job in queue],
    }


async def get_workers(store: Store, redaction: Redaction | None = None) -> list[dict[str, Any]]:
    """Return the workers as `get_healthcheck` does, in two reads, however many they are.

    What they run is shown of the newest `WORKERS_RUNS` jobs that run.
    """
    running = JobQuery(status=JobStatus.RUNNING, limit=WORKERS_RUNS)
    registrations, runs = await asyncio.gather(
        store.workers.registrations(), store.history.summaries(running, redaction)
    )
    tasks: dict[ObjectId | None, list[dict[str, Any]]] = {}
    for job in runs:
        tasks.setdefault(job.worker_id, []).append(job_json(job))
    return [
        {
            "worker": {**worker_json(worker), "alive": not worker.is_dead(registrations.now)},
            "tasks": tasks.get(worker.id, [])[:STATUS_TASKS],
        }
        for worker in registrations.workers[:STATUS_LIMIT]
    ]


async def count_waiting(store: Store) -> dict[str, int]:
    """Return how many jobs are to run by name, each count exact up to `COUNT_CAP`.

    Those that are parked are not among them: see `count_parked`.
    """
    left_out = await dormant_crons(store)
    names = [key for key in await store.history.names(STATUS_NAMES) if key[1] not in left_out]
    waiting = dict.fromkeys((name for _, name in names), 0)
    for each in await store.history.count(names, COUNT_CAP, WAITING):
        waiting[each.name] += each.count
    for name, parked in (await store.lanes.parked(list(waiting), COUNT_CAP)).items():
        waiting[name] = max(waiting[name] - parked, 0)  # another worker would not help them
    return waiting


async def count_parked(store: Store) -> dict[str, int]:
    """Return how many jobs are parked by name, each count exact up to `COUNT_CAP`."""
    names = {name for _, name in await store.history.names(STATUS_NAMES)}
    return await store.lanes.parked(sorted(names), COUNT_CAP)


async def get_vitals(store: Store) -> Vitals:
    """Return how the database does, in numbers."""
    return await store.workers.vitals(await dormant_crons(store))


async def dormant_crons(store: Store) -> frozenset[str]:
    """Return the names of crons that nobody lists: what is due of them waits for nobody."""
    return dormant(await store.settings.all(OWNERS))


async def _workers(
    store: Store, registrations: Registrations, redaction: Redaction | None
) -> list[dict[str, Any]]:
    async def group(worker: WorkerInfo) -> dict[str, Any]:
        runs = await store.runs.summaries(worker.id, STATUS_TASKS, redaction)
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
    parked = await store.lanes.parked(names, COUNT_CAP)
    latest = await store.history.latest(
        [("simple", name) for name in names], STATUS_TASKS, redaction
    )
    return [
        {
            "name": name,
            "counts": counts.get(name, {}),
            "parked": parked.get(name, 0),
            "tasks": [job_json(job) for job in jobs],
        }
        for name, jobs in zip(names, latest, strict=True)
    ]


async def _cron_groups(
    store: Store, crons: list[Cron], redaction: Redaction | None
) -> list[dict[str, Any]]:
    names = [cron.name for cron in crons]
    counts = await _counts(store, "cron_task", names)
    latest = await store.history.latest(
        [("cron_task", name) for name in names], STATUS_TASKS, redaction
    )
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
    for each in await store.history.count([(type, name) for name in names], COUNT_CAP):
        if each.count:
            counts.setdefault(each.name, {})[each.status.value] = each.count
    return counts
