"""`insert`: what is taken, what is refused, and by whom."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import (
    ACTIVE,
    SETTLED,
    Attempt,
    Crash,
    Job,
    JobStatus,
    Notes,
    Output,
    Progress,
    SimpleJob,
    SkipMetadata,
    Step,
)
from job_processor.store import Store
from tests.samples import NOW, SECOND, WORKER, end, occurrence, read, run, simple

FULL_OUTPUT = Output("3 s", {"a": [1]}, "no", SkipMetadata("noConcurrent_conflict", WORKER, NOW))


async def test_jobs_are_stored_as_given(store: Store) -> None:
    """Every field of a job and of a cron task comes back as inserted, in a batch or alone."""
    common: dict[str, Any] = {
        "started_at": NOW + SECOND,
        "ended_at": NOW + 2 * SECOND,
        "updated_at": NOW + 2 * SECOND,
        "worker_id": WORKER,
        "output": FULL_OUTPUT,
        "exclusive": True,
        "attempt": 3,
        "crashes": 2,
        "status": JobStatus.SKIPPED,
    }
    jobs: list[Job] = [
        simple(),
        simple(payload={"a": {"b": [1, None]}}, sync=True, **common),
        occurrence(),
        occurrence(
            scheduled_for=NOW + SECOND, planned_for=NOW, sentry_id="0c5f", id=ObjectId(), **common
        ),
    ]
    assert await store.intake.insert(jobs) == []
    assert await read(store, *jobs) == jobs
    for job in jobs:
        alone = replace(job, id=ObjectId())
        assert await store.intake.insert([alone]) == []
        assert await read(store, alone) == [alone]


ATTEMPT = Attempt(1, NOW, NOW + SECOND, "no", WORKER)

NOT_PLAIN: dict[str, Any] = {
    "status": JobStatus.PAUSED,
    "started_at": NOW,
    "ended_at": NOW,
    "worker_id": WORKER,
    "output": FULL_OUTPUT,
    "attempt": 2,
    "crashes": 1,
    "crash": Crash(WORKER, "there:12", ObjectId(), "here:34", NOW),
    "attempts": (ATTEMPT,),
    "notes": Notes(Progress(0.5, "half", NOW)),
    "steps": (
        Step("charge", NOW, NOW, 7),
        Step("sleep", NOW, NOW, until=NOW),
        Step("paid:1", NOW, NOW, 5, NOW, "paid:1"),
        Step("paid:2", NOW, None, topic="paid:2"),
    ),
    "sync": True,
    "expires_at": NOW,
    "unique_key": "k",
    "unique_until": NOW,
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "lane": "resize:a",
    "slot": "resize:a#0",
    "ordered": "stop",
    "parked": "token",
    "rate_lane": "resize:a",
    "after": ("j:" + str(ObjectId()), "g:" + str(ObjectId())),
    "waiting_for": ("j:" + str(ObjectId()),),
    "on_parent_failure": "run",
    "followed": True,
    "topics": ("paid:42", "sent:42"),
    "group": ObjectId(),
    "callback_of": ObjectId(),
    "flow": ObjectId(),
    "flow_name": "import",
    "labels": ("tenant:42", "nightly"),
}
"""Another value of each field that most new jobs have in common."""

PLAIN: dict[str, Any] = {
    "id": ObjectId(),
    "name": "other",
    "scheduled_for": NOW + SECOND,
    "created_at": NOW - SECOND,
    "updated_at": NOW + 2 * SECOND,
    "exclusive": True,
    "priority": 3,
    "payload": {"a": 1},
}
"""Another value of each field in which most new jobs differ."""


def test_each_field_of_a_job_is_one_or_the_other() -> None:
    """A new one has to be looked at where jobs are written in the short way."""
    read_only = {"state_saved"}  # what a claim tells, never written
    assert {each.name for each in fields(SimpleJob)} - read_only == {*NOT_PLAIN, *PLAIN}


@pytest.mark.parametrize(("field", "value"), [*NOT_PLAIN.items(), *PLAIN.items()])
async def test_no_field_of_a_new_job_is_lost(store: Store, field: str, value: Any) -> None:
    """Neither of a job that differs in that one alone, nor of those around it."""
    changes: dict[str, Any] = {field: value}
    if field == "unique_until":
        changes["unique_key"] = "k"
    if field in ("slot", "ordered"):
        changes["lane"] = "resize:a"
    if field == "waiting_for":
        changes["parked"] = "parent"
    if field in ("flow", "flow_name"):
        changes = {"flow": ObjectId(), "flow_name": "import"}
    if field == "on_parent_failure":
        changes["after"] = (f"j:{ObjectId()}",)
    if field == "topics":
        changes["parked"] = "message"
    jobs = [simple(), replace(simple(), **changes), simple()]
    assert await store.intake.insert(jobs) == []
    assert await read(store, *jobs) == jobs
    alone = replace(jobs[1], id=ObjectId(), exclusive=False, unique_key=None, unique_until=None)
    alone = replace(alone, slot=None)
    assert await store.intake.insert([alone]) == []
    assert await read(store, alone) == [alone]


@pytest.mark.parametrize("count", [99, 100, 257])
async def test_any_number_is_inserted_at_once(store: Store, count: int) -> None:
    """In order, and once, also where a part of them is there already."""
    jobs = [simple(payload={"n": n}, priority=n % 3) for n in range(count)]
    assert await store.intake.insert(jobs[::2]) == []
    assert await store.intake.insert(jobs) == []
    assert await read(store, *jobs) == jobs
    counts = await store.history.count([("simple", "resize")], count + 1)
    assert [each.count for each in counts if each.status == JobStatus.PENDING] == [count]


async def test_inserting_nothing_is_harmless(store: Store) -> None:
    """An empty batch refuses nothing and stores nothing."""
    assert await store.intake.insert([]) == []
    assert await store.history.names(10) == []


async def test_a_repeated_id_counts_as_inserted(store: Store) -> None:
    """A repetition refuses nothing, and leaves the job as it has become meanwhile."""
    waiting = simple()
    (running,) = await run(store, simple(name="other"))
    assert await store.intake.insert([waiting]) == []
    repeated = replace(running, status=JobStatus.PENDING, worker_id=None, started_at=None)
    assert await store.intake.insert([waiting]) == []
    assert await store.intake.insert([waiting, repeated]) == []
    assert await read(store, waiting, running) == [waiting, running]


async def test_a_repeated_id_counts_as_inserted_of_an_exclusive_job(store: Store) -> None:
    """An exclusive job does not conflict with itself, alone or in a batch."""
    job = simple(exclusive=True)
    assert await store.intake.insert([job]) == []
    assert await store.intake.insert([job]) == []
    assert await store.intake.insert([job, simple()]) == []


async def test_an_exclusive_job_that_has_settled_may_be_repeated(store: Store) -> None:
    """The id counts, even when another exclusive job has become active since."""
    (first,) = await run(store, simple(exclusive=True))
    await store.runs.settle([end(first)])
    second = simple(exclusive=True)
    assert await store.intake.insert([second]) == []
    assert await store.intake.insert([first]) == []
    assert await store.intake.insert([first, second]) == []


@pytest.mark.parametrize("status", sorted(ACTIVE))
async def test_an_exclusive_job_is_refused_while_another_is_active(
    store: Store, status: JobStatus
) -> None:
    """While one of its type and name is pending, running or paused, it is returned and absent."""
    active = simple(exclusive=True, status=status)
    assert await store.intake.insert([active]) == []
    refused = simple(exclusive=True)
    assert await store.intake.insert([refused]) == [refused]
    assert await read(store, active, refused) == [active, None]


@pytest.mark.parametrize("status", sorted(SETTLED))
async def test_an_exclusive_job_is_taken_once_the_others_have_settled(
    store: Store, status: JobStatus
) -> None:
    """A settled job is in nobody's way, nor is one that is inserted as settled."""
    settled = [simple(exclusive=True, status=status, ended_at=NOW) for _ in range(2)]
    active = simple(exclusive=True)
    late = simple(exclusive=True, status=status, ended_at=NOW)
    for jobs in (settled, [active], [late]):
        assert await store.intake.insert(jobs) == []


async def test_only_the_same_type_and_name_conflict(store: Store) -> None:
    """Neither another name, nor a cron task of the same name, nor a concurrent job conflicts."""
    jobs: list[Job] = [
        simple(name="same", exclusive=True),
        simple(name="other", exclusive=True),
        occurrence(name="same", exclusive=True),
        simple(name="same"),
        simple(name="same"),
    ]
    assert await store.intake.insert(jobs) == []


async def test_a_concurrent_job_that_is_active_is_in_nobodys_way(store: Store) -> None:
    """Only exclusive jobs conflict with each other: the definition may have changed meanwhile."""
    assert await store.intake.insert([simple(), simple(exclusive=True)]) == []


async def test_an_exclusive_cron_task_is_refused_like_a_job(store: Store) -> None:
    """A second occurrence is refused while the first is active."""
    first = occurrence(exclusive=True)
    second = occurrence(exclusive=True, scheduled_for=NOW + SECOND)
    assert await store.intake.insert([first]) == []
    assert await store.intake.insert([second]) == [second]


async def test_what_few_jobs_have_is_kept(store: Store) -> None:
    """A priority, an expiry, a history of attempts: each alone, and all together."""
    attempt = Attempt(1, NOW, NOW + SECOND, "no", WORKER)
    jobs: list[Job] = [
        simple(priority=3),
        simple(expires_at=NOW + SECOND),
        simple(attempts=(attempt,)),
        simple(priority=9, expires_at=NOW + SECOND, attempts=(attempt, attempt)),
        occurrence(priority=1, attempts=(attempt,)),
    ]
    assert await store.intake.insert(jobs) == []
    assert await read(store, *jobs) == jobs


async def test_a_mixed_batch_is_refused_only_where_it_conflicts(store: Store) -> None:
    """New, repeated, conflicting and concurrent jobs of one batch are each judged alone."""
    there, active = simple(), simple(name="busy", exclusive=True)
    assert await store.intake.insert([there, active]) == []
    conflicting = [simple(name="busy", exclusive=True) for _ in range(2)]
    first, second = (simple(name="free", exclusive=True) for _ in range(2))
    plain: list[Job] = [simple(), occurrence(), simple(name="busy")]
    batch = [conflicting[0], there, plain[0], first, plain[1], conflicting[1], plain[2], active]
    assert await store.intake.insert([*batch, second]) == [*conflicting, second]
    assert await read(store, *plain, first, there, active) == [*plain, first, there, active]
    assert await read(store, *conflicting, second) == [None, None, None]
    assert await store.intake.insert([*batch, second]) == [*conflicting, second]
