"""Jobs that come after others: what they wait for, and what becomes of them when that ends.

What is waited for has a tag: `j:` and the id of a job, `g:` and that of a group. A job that waits
is parked (see `store.lanes`), and has the tags that are open in `waiting_for`. Whoever ends what is
waited for writes that end first, then looks who waits; whoever makes a job wait writes that job
first, then marks its parents as followed, then looks whether one has ended: so of two that race,
one sees the other. That a run is followed is part of the fence of its settlement: a worker whose
copy is older misses, and looks again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from bson import ObjectId

from job_processor.models import JOB_TAG, SETTLED, Job, JobStatus, Output, SkipMetadata
from job_processor.store.lanes import place_of

RELEASED_AT_ONCE = 1000
"""Jobs that one statement releases or skips at most."""

RELEASE_PASSES = 20
"""Such statements that follow an end at once; what is left then, the sweep does."""


class End(NamedTuple):
    """The end of what is waited for."""

    tag: str
    well: bool
    """True where it has finished; what failed follows each waiting job's own rule."""
    told: str = ""
    """Why those that come after it are skipped."""
    gone: bool = False
    """True where it is not there any more: then nothing is to be waited for."""


class Node(NamedTuple):
    """A job as a part of its flow."""

    id: ObjectId
    name: str
    status: JobStatus
    after: tuple[str, ...]
    group: ObjectId | None
    flow_name: str | None


@dataclass(slots=True)
class Released:
    """What one pass of a release has done."""

    freed: int = 0
    """Jobs that may start from now on."""
    skipped: list[ObjectId] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    """Those of the skipped that are followed themselves."""
    groups: set[ObjectId] = field(default_factory=set)
    """Those of which some of the skipped are members."""
    more: bool = False
    """True where there was more than one pass does."""


def job_tag(job_id: ObjectId) -> str:
    """Return the tag of a job."""
    return f"{JOB_TAG}{job_id}"


def job_of(tag: str) -> ObjectId | None:
    """Return the id of the job whose tag this is; None where it is none of a job."""
    hex_id = tag.removeprefix(JOB_TAG)
    return ObjectId(hex_id) if hex_id != tag and ObjectId.is_valid(hex_id) else None


def jobs_of(tags: Iterable[str]) -> list[ObjectId]:
    """Return the ids of the jobs among these tags."""
    return [job_id for tag in tags if (job_id := job_of(tag)) is not None]


def end_of(job_id: ObjectId, status: JobStatus | None) -> End | None:
    """Return the end of a job that is in this state, or gone; None: it has not ended."""
    if status is None:
        return End(job_tag(job_id), well=False, told=f"parent {job_id} is gone", gone=True)
    if status not in SETTLED:
        return None
    well = status is JobStatus.FINISHED
    return End(job_tag(job_id), well, "" if well else f"parent {job_id} {status.value}")


def ends_of(jobs: Iterable[Job]) -> list[End]:
    """Return the ends of those of these jobs that have ended and are followed."""
    followed = (job for job in jobs if job.followed)
    return [end for job in followed if (end := end_of(job.id, job.status)) is not None]


def skipped_output(end: End, now: datetime) -> Output:
    """Return the output of a job that is skipped because of this end."""
    return Output("--", None, end.told, SkipMetadata("other", job_of(end.tag), now))


def stays(rule: object, end: End) -> bool:
    """True where a job of this rule goes on waiting for what has ended so."""
    return rule == "wait" and not end.well and not end.gone


def is_skipped(rule: object, end: End) -> bool:
    """True where a job of this rule is skipped because of an end."""
    return not end.well and rule != "run" and not stays(rule, end)


def without(tags: Collection[str], ended: Collection[str]) -> tuple[str, ...]:
    """Return the tags that are still open."""
    return tuple(tag for tag in tags if tag not in ended)


def plain_tags(job: Job) -> dict[str, Any]:
    """Return what is stored of a job that comes after or before others; nothing of any other."""
    fields: dict[str, Any] = {}
    if job.after:
        fields["after"] = list(job.after)
    if job.on_parent_failure is not None:
        fields["on_parent_failure"] = job.on_parent_failure
    if job.waiting_for and (place_of(job).parked is not None or job.status is JobStatus.SKIPPED):
        fields["waiting_for"] = list(job.waiting_for)
    if job.followed:
        fields["followed"] = True
    return fields
