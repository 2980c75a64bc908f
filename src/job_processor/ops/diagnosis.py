"""Why a job does not run: the questions in their order, and how a database answers them.

The page on troubleshooting lists the same questions.
"""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

from bson import ObjectId

from job_processor.errors import StoreError
from job_processor.jobs.pauses import get_pauses
from job_processor.models import Job, JobStatus, WorkerInfo
from job_processor.ops.check import Finding, unreachable
from job_processor.parts import Parts


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to look at, and what to do when the answer is no."""

    subject: str
    """What it is about, in a word or two: the subject of its finding."""
    text: str
    """To be answered with yes where the job is to run."""
    command: str
    """What shows it."""
    advice: str
    """What to do where it is not so, in one line."""

    def yes(self, told: str) -> Finding:
        """Return that it is so."""
        return Finding(self.subject, "ok", told)

    def no(self, told: str, advice: str = "") -> Finding:
        """Return that it is not, which keeps the job from running."""
        return Finding(self.subject, "warning", told, advice or self.advice)


STORED: Final = Question(
    "stored",
    "Is the job in this database?",
    "job-processor jobs show ID",
    "use one database to schedule and to run: db= of both, or $JOB_PROCESSOR_DB",
)
OPEN: Final = Question(
    "state",
    "Is it still open: pending or paused, not ended?",
    "job-processor jobs show ID",
    "read why it ended: job-processor jobs show ID; job-processor jobs retry ID runs it again",
)
DUE: Final = Question(
    "time",
    "Has its time come?",
    "job-processor jobs show ID",
    "wait for its time, or schedule another job without scheduled_for",
)
UNBOUND: Final = Question(
    "waits for",
    "Is nothing else holding it: a limit, a rate, another job, a message?",
    "job-processor jobs show ID",
    "see what holds it: job-processor limits, rates or flows",
)
UNPAUSED: Final = Question(
    "pause",
    "Are its name and its tag free of a pause?",
    "job-processor status",
    "end the pause: job-processor resume NAME, or --tag TAG",
)
ALIVE: Final = Question(
    "workers",
    "Is a worker running?",
    "job-processor status",
    "start a worker: job-processor worker",
)
DEFINED: Final = Question(
    "name",
    "Does one of them define its name?",
    "job-processor check",
    "restart the workers with the current code, or import the module that defines it",
)
SERVED: Final = Question(
    "tag",
    "Does one of those serve its tag?",
    "job-processor check",
    "start one that does: job-processor worker --tags TAG",
)
FREE: Final = Question(
    "slots",
    "Does one of those have a free slot?",
    "job-processor top",
    "raise --concurrency, start more workers, or find the job that runs for so long",
)
QUESTIONS: Final = (STORED, OPEN, DUE, UNBOUND, UNPAUSED, ALIVE, DEFINED, SERVED, FREE)
"""In the order in which they are asked."""


async def diagnose(parts: Parts, job_id: ObjectId) -> list[Finding]:
    """Return the answers to the questions, up to the first that ends the search."""
    try:
        return [finding async for finding in _answers(parts, job_id)]
    except StoreError as error:
        return [unreachable(error)]


async def _answers(parts: Parts, job_id: ObjectId) -> AsyncIterator[Finding]:
    described = await parts.store.describe()
    job = await parts.store.history.get(job_id) if described.is_there else None
    if job is None:
        yield STORED.no(f"there is no job {job_id} here")
        return
    yield STORED.yes(f"{job.name!r}, created {job.created_at:%Y-%m-%d %H:%M:%S} UTC")
    yield _state(job)
    if job.status not in (JobStatus.PENDING, JobStatus.PAUSED):
        return
    yield _time(job, parts)
    yield UNBOUND.yes("nothing") if job.waits_for is None else UNBOUND.no(job.waits_for)
    tag = next((each.tag for name, each in parts.registry if name == job.name), None)
    yield await _pause(job, tag, parts)
    registrations = await parts.store.workers.registrations()
    living = [each for each in registrations.workers if not each.is_dead(registrations.now)]
    if not living:
        yield ALIVE.no("no worker is running, so no job runs")
        return
    yield ALIVE.yes(f"{len(living)} running")
    async for finding in _of_workers(job, tag, living, parts):
        yield finding


def _state(job: Job) -> Finding:
    if not job.settled or job.status is JobStatus.FINISHED:
        return OPEN.yes(job.status.value)
    # What a handler raised may hold values of the payload; why a job was skipped is in our words.
    why = job.output.error if job.output and job.status is JobStatus.SKIPPED else None
    return OPEN.no(f"it has ended: {job.status.value}{f' ({why})' if why else ''}")


def _time(job: Job, parts: Parts) -> Finding:
    due = f"{job.scheduled_for:%Y-%m-%d %H:%M:%S} UTC"
    if job.scheduled_for <= parts.clock.now():
        return DUE.yes(f"it is due since {due}")
    return DUE.no(f"it is due at {due}")


async def _pause(job: Job, tag: str | None, parts: Parts) -> Finding:
    pauses = await get_pauses(parts)
    if job.name in pauses.names:
        advice = f"end the pause: job-processor resume {shlex.quote(job.name)}"
        return UNPAUSED.no(f"the name {job.name!r} is paused", advice)
    if tag is not None and tag in pauses.tags:
        advice = f"end the pause: job-processor resume --tag {shlex.quote(tag)}"
        return UNPAUSED.no(f"the tag {tag!r} is paused", advice)
    return UNPAUSED.yes("neither its name nor its tag is paused")


async def _of_workers(
    job: Job, tag: str | None, living: Sequence[WorkerInfo], parts: Parts
) -> AsyncIterator[Finding]:
    """Yield what living workers do about it: define it, serve its tag, have room for it."""
    # One of the Node package does not tell its names.
    defining = [each for each in living if not each.names or job.name in each.names]
    if not defining:
        yield DEFINED.no(f"no running worker defines {job.name!r}")
        return
    yield DEFINED.yes(f"{job.name!r} is defined by {len(defining)} of them")
    serving = [each for each in defining if tag is None or each.tags is None or tag in each.tags]
    if not serving:
        advice = f"start one that does: job-processor worker --tags {shlex.quote(tag or '')}"
        yield SERVED.no(f"no running worker that defines {job.name!r} serves {tag!r}", advice)
        return
    yield SERVED.yes(
        "it has no tag" if tag is None else f"{tag!r} is served by {len(serving)} of them"
    )
    free = 0
    for each in serving:
        slots = each.concurrency or 1
        free += slots - len(await parts.store.runs.of_worker(each.id, slots))
    slots_told = f"{free} free on {len(serving)} workers that may take it"
    yield FREE.yes(slots_told) if free else FREE.no("none is free on the workers that may take it")
