"""What is asked first: what stops work that runs, removes for good, or runs out of turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from job_processor.models import JobStatus
from job_processor.processor import JobProcessor

Fields: TypeAlias = Mapping[str, str]

CONFIRMED = "confirmed"
"""A field of a form whose question has been answered."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a page asks before something is done."""

    key: str
    """Of `phrases`: the question."""
    name: str
    """What it would be done to."""
    why: str
    """Of `phrases`: what that means."""
    label: str
    """The text of the button that does it."""


async def question(processor: JobProcessor, fields: Fields) -> Question | None:
    """Return what is to be asked before this is done; None: nothing."""
    if CONFIRMED in fields:
        return None
    asks = _ASKING.get(fields.get("do", ""))
    return None if asks is None else await asks(processor, fields)


async def worker_name(processor: JobProcessor, worker_id: str) -> str:
    """Return the host and process of a worker; its id where it is not registered."""
    registrations = await processor.get_registrations()
    for worker in registrations.workers:
        if str(worker.id) == worker_id:
            return f"{worker.hostname}:{worker.pid}" if worker.pid else worker.hostname
    return worker_id


async def _kill(processor: JobProcessor, fields: Fields) -> Question | None:
    job = await processor.get_job(fields.get("id", ""))
    if job is None or job.status is not JobStatus.RUNNING:
        return None  # one that waits can be retried
    return Question("kill?", job.name, "kill: why", "Kill")


async def _delete(processor: JobProcessor, fields: Fields) -> Question | None:
    job = await processor.get_job(fields.get("id", ""))
    return None if job is None else Question("delete?", job.name, "delete: why", "Delete")


async def _stop(processor: JobProcessor, fields: Fields) -> Question | None:
    name = await worker_name(processor, fields.get("id", ""))
    return Question("stop?", name, "stop: why", "Stop")


async def _run_cron(_: JobProcessor, fields: Fields) -> Question | None:
    return Question("run_cron?", fields.get("name", ""), "run_cron: why", "Run now")


async def _remove_schedule(_: JobProcessor, fields: Fields) -> Question | None:
    return Question("remove_schedule?", fields.get("name", ""), "remove_schedule: why", "Remove")


async def _kill_flow(processor: JobProcessor, fields: Fields) -> Question | None:
    flow = await processor.get_flow(fields.get("id", ""))
    if flow is None:
        return None
    return Question("kill_flow?", flow.name, "kill_many: why", "Kill the flow")


async def _kill_group(_: JobProcessor, fields: Fields) -> Question | None:
    return Question("kill_group?", fields.get("id", ""), "kill_many: why", "Kill all members")


_ASKING: Mapping[str, Callable[[JobProcessor, Fields], Awaitable[Question | None]]] = {
    "kill": _kill,
    "delete": _delete,
    "stop": _stop,
    "run_cron": _run_cron,
    "remove_schedule": _remove_schedule,
    "kill_flow": _kill_flow,
    "kill_group": _kill_group,
}
