"""How the end of a run is written: its guard, its change, and many alike in one statement.

Ends that differ in nothing but the job share a statement, so that what many short jobs send is
mostly their ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import UpdateMany, UpdateOne

from job_processor.clock import FAR
from job_processor.models import Job
from job_processor.store.lanes import place_of
from job_processor.store.mongo.documents import (
    GROUP_FIELDS,
    LANE_FIELDS,
    Document,
    own_fields,
)
from job_processor.store.mongo.hinting import BY_ID
from job_processor.store.plain import plain_output
from job_processor.store.requests import Settlement

OF_CRASHES = frozenset({"crash", "crashes"})
"""Fields that tell of workers that died: a job is settled without them where it has to be."""

TOGETHER = frozenset({*LANE_FIELDS, *GROUP_FIELDS})
"""Fields that tie a job to others: it is settled without them where it has to be."""

_ALIKE = frozenset({"status", "updated_at", "ended_at", "worker_id", "output"})
"""What the end of a plain job writes."""

_SLOTS = frozenset({"slots"})
"""What such an end takes away, of a job that has it."""

_NOTHING: Document = {}

_SCALARS = (type(None), bool, int, str)
"""Types of results that are the same where they are equal, and of one type."""


@dataclass(frozen=True, slots=True)
class End:
    """One statement, and the settlements that it writes."""

    settlements: list[Settlement]
    guard: Document
    change: Document

    def statement(self) -> UpdateOne | UpdateMany:
        """Return it as the driver takes it. The driver repeats by itself what is about one job."""
        if len(self.settlements) == 1:
            return UpdateOne(self.guard, self.change)
        ids = [each.job.id for each in self.settlements]
        return UpdateMany({**self.guard, "_id": {"$in": ids}}, self.change, hint=BY_ID)


def ends_of(changes: Sequence[tuple[Settlement, Document]], *, together: bool) -> list[End]:
    """Return the statements that write these; each by itself unless they may go `together`."""
    ends: list[End] = []
    alike: dict[Any, End] = {}
    for settlement, change in changes:
        key = _key(settlement, change) if together else None
        known = alike.get(key) if key is not None else None
        if known is not None:
            known.settlements.append(settlement)
            continue
        end = End([settlement], end_fence(settlement.job), change)
        ends.append(end)
        if key is not None:
            alike[key] = end
    return ends


def _key(settlement: Settlement, change: Document) -> tuple[Any, ...] | None:
    """Return in what plain ends differ, but for the job; None for one that is not plain.

    The type of a result is part of it: True is not 1 in a database.
    """
    job, fields = settlement.job, change["$set"]
    output = fields.get("output")
    if job.followed or output is None or fields.keys() != _ALIKE:
        return None
    gone = change.get("$unset", _NOTHING).keys()
    if not gone <= _SLOTS:
        return None
    result = output["result"]
    if type(result) not in _SCALARS or len(output) > len(("duration", "result", "error")):
        return None
    guard = job.worker_id, job.attempt, job.updated_at, job.updated_at > job.created_at
    written = fields["status"], fields["updated_at"], fields["ended_at"], fields["worker_id"]
    return *guard, *written, *gone, output["duration"], output["error"], type(result), result


def fence(job: Job) -> Document:
    """Return what a run's document has for as long as the run is ours."""
    return {
        "_id": job.id,
        "status": "running",
        "worker_id": job.worker_id,
        "attempt": job.attempt if job.attempt > 1 else {"$not": {"$gt": 1}},  # absent, or none
        "updated_at": _moment_of_claim(job),
    }


def end_fence(job: Job) -> Document:
    """Return the same for its end: who is followed without its holder's knowledge is read again."""
    return fence(job) if job.followed else {**fence(job), "followed": None}


def still_runs(document: Mapping[str, Any], job: Job) -> bool:
    """Tell whether a run is still ours, by what is read back of it."""
    return (
        document["status"] == "running"
        and document.get("worker_id") == job.worker_id
        and (document.get("attempt") or 1) == job.attempt
        and (document.get("updated_at") or job.created_at) == job.updated_at
    )


def _moment_of_claim(job: Job) -> Any:
    """Return what `updated_at` is, by the claim, until the settlement.

    A claim of ours writes one later than all before. Another writer may leave none, which is read
    as the time the job was made.
    """
    return job.updated_at if job.updated_at > job.created_at else {"$in": [job.updated_at, None]}


def change_of(settlement: Settlement, *, crashes: bool, ties: bool) -> Document:
    """Return what an end writes; with what ties it to others, and its crashes, or without."""
    outcome, written = settlement.outcome, settlement.written()
    fields: Document = {
        "status": written.status.value,
        "updated_at": written.updated_at,
        "ended_at": written.ended_at,
        "worker_id": written.worker_id,
    }
    if outcome.output is not None:
        fields["output"] = plain_output(outcome.output)
    if ties and place_of(written).due is not None:
        fields["scheduled_for"] = FAR
    elif outcome.scheduled_for is not None:
        fields["scheduled_for"] = outcome.scheduled_for
    if not outcome.started:
        fields["started_at"] = None
    before, after = own_fields(settlement.job), own_fields(written)
    if not crashes:
        for name in OF_CRASHES:
            after.pop(name, None)
    if not ties:
        after = {name: value for name, value in after.items() if name not in TOGETHER}
    fields |= {name: value for name, value in after.items() if before.get(name) != value}
    gone = dict.fromkeys(before.keys() - after.keys(), "")
    if outcome.bare:
        gone |= {"notes": "", "state": "", "state_saved": ""}
    return {"$set": fields, "$unset": gone} if gone else {"$set": fields}


def news_of(settlements: Sequence[Settlement]) -> Iterator[Document]:
    """Give what jobs come to use with their settlement: a lane, what they wait for."""
    for each in settlements:
        if each.outcome.lane is not None or each.outcome.rate_lane or each.outcome.topics:
            yield own_fields(each.written())


def holds(document: Mapping[str, Any], settlement: Settlement) -> bool:
    """True when the document is what this settlement leaves, the count of crashes aside."""
    written, outcome = settlement.written(), settlement.outcome
    same = (
        document["status"] == written.status.value
        and document.get("updated_at") == written.updated_at
        and document.get("ended_at") == written.ended_at
        and document.get("worker_id") == written.worker_id
        and (document.get("attempt") or 1) == written.attempt
        and (document.get("due") or document.get("scheduled_for")) == written.scheduled_for
    )
    if not same or outcome.output is None:
        return same
    output = document.get("output") or {}
    return (
        output.get("duration") == outcome.output.duration
        and output.get("error") == outcome.output.error
    )
