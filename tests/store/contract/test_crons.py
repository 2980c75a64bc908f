"""Crons: their pointers, and the occurrences that stand in the queue."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import Cron, CronTask, Job, JobStatus, SkipMetadata
from job_processor.store import Store
from job_processor.store.requests import JobQuery
from tests.samples import MS, NOW, SECOND, WORKER, claim, cron, occurrence, read, retry, simple

HOUR = timedelta(hours=1)


def planned(hours: int, name: str = "nightly", **fields: Any) -> CronTask:
    """Return an occurrence so many hours from now."""
    return occurrence(name=name, scheduled_for=NOW + hours * HOUR, **fields)


async def test_a_cron_is_created_once(store: Store) -> None:
    """The first of a name is stored as given; a second is refused and changes nothing."""
    assert await store.crons.create(cron())
    assert not await store.crons.create(cron())
    other = cron(cron_string="0 * * * *", scheduled_for=NOW + HOUR)
    assert not await store.crons.create(other)
    assert await store.crons.all() == [cron()]


async def test_crons_come_by_name(store: Store) -> None:
    """All crons are listed, in the order of their names."""
    assert await store.crons.all() == []
    for name in ("b", "ä", "a.b", "$a", "B"):
        assert await store.crons.create(cron(name))
    assert await store.crons.all() == [cron(name) for name in ("$a", "B", "a.b", "b", "ä")]


async def test_a_pointer_moves_from_where_it_was_read(store: Store) -> None:
    """Expression and pointer are replaced; who read the cron before is refused from then on."""
    before = cron()
    await store.crons.create(before)
    assert await store.crons.update(before, "0 * * * *", NOW + HOUR, NOW + SECOND)
    moved = replace(
        before, cron_string="0 * * * *", scheduled_for=NOW + HOUR, updated_at=NOW + SECOND
    )
    assert await store.crons.all() == [moved]
    assert not await store.crons.update(before, "1 * * * *", NOW + 2 * HOUR, NOW + SECOND)
    assert await store.crons.all() == [moved]
    assert await store.crons.update(moved, moved.cron_string, NOW + 2 * HOUR, NOW + 2 * SECOND)


async def test_the_cron_of_a_standing_occurrence_is_told(store: Store) -> None:
    """By the occurrence that its pointer stands at, there or gone; not by another one of it."""
    for name in ("nightly", "hourly"):
        await store.crons.create(cron(name))
    ids = [planned(0).id, planned(1).id, planned(1, "hourly").id, simple().id]
    assert await store.crons.standing_at(ids) == [cron("nightly")]
    assert await store.crons.standing_at(ids[1:]) == []


@pytest.mark.parametrize(
    "read_as",
    [cron(cron_string="0 * * * *"), cron(scheduled_for=NOW + MS), cron("another")],
    ids=["another expression", "another pointer", "another name"],
)
async def test_a_pointer_that_has_moved_is_left_alone(store: Store, read_as: Cron) -> None:
    """A cron that is no longer as it was read is not updated."""
    await store.crons.create(cron())
    assert not await store.crons.update(read_as, "5 * * * *", NOW + HOUR, NOW)
    assert await store.crons.all() == [cron()]


async def test_a_cron_goes_with_what_it_planned(store: Store) -> None:
    """Its pending occurrences go, due or not; runs, history, retries and others stay."""
    await store.crons.create(cron())
    await store.crons.create(cron("other"))
    superfluous = [planned(-1), planned(0), planned(1)]
    kept: list[Job] = [
        planned(2, status=JobStatus.RUNNING, worker_id=WORKER),
        planned(3, status=JobStatus.PAUSED),
        planned(-2, status=JobStatus.FINISHED, ended_at=NOW),
        planned(4, id=ObjectId()),
        planned(5, attempt=2),
        planned(1, name="other"),
        simple(name="nightly"),
    ]
    await store.intake.insert([*superfluous, *kept])
    await store.crons.remove("nightly")
    assert await store.crons.all() == [cron("other")]
    assert await read(store, *superfluous) == [None] * 3
    assert await read(store, *kept) == kept
    await store.crons.remove("nightly")
    await store.crons.remove("unknown")
    assert await read(store, *kept) == kept


async def test_a_removed_cron_can_be_created_again(store: Store) -> None:
    """Its name is free."""
    await store.crons.create(cron())
    await store.crons.remove("nightly")
    again = cron(cron_string="0 * * * *")
    assert await store.crons.create(again)
    assert await store.crons.all() == [again]


async def test_occurrences_later_than_a_time_are_removed(store: Store) -> None:
    """Pending and strictly later → absent, but for those to keep; the number is returned."""
    early = [planned(1), planned(2)]
    to_keep = planned(4)
    late = [planned(3), planned(5)]
    await store.intake.insert([*early, to_keep, *late, planned(3, name="other")])
    assert await store.crons.remove_occurrences("nightly", NOW + 2 * HOUR, {to_keep.id}) == 2
    assert await read(store, *late) == [None, None]
    assert await read(store, *early, to_keep) == [*early, to_keep]
    assert await read(store, planned(3, name="other")) == [planned(3, name="other")]
    assert await store.crons.remove_occurrences("nightly", NOW + 2 * HOUR, {to_keep.id}) == 0
    assert await store.crons.remove_occurrences("unknown", NOW, ()) == 0


async def test_whoever_knows_an_old_pointer_removes_nothing_before_the_present_one(
    store: Store,
) -> None:
    """What has come due meanwhile is not among what the caller keeps, and stays all the same."""
    await store.crons.create(cron(scheduled_for=NOW + 3 * HOUR))
    jobs = [planned(hours) for hours in (1, 2, 3, 4)]
    await store.intake.insert(jobs)
    assert await store.crons.remove_occurrences("nightly", NOW, {jobs[0].id}) == 2
    assert await read(store, *jobs) == [jobs[0], jobs[1], None, None]


async def test_whoever_knows_the_present_pointer_removes_what_lies_before_it(
    store: Store,
) -> None:
    """As an earlier definition leaves it."""
    await store.crons.create(cron(scheduled_for=NOW + 3 * HOUR))
    jobs = [planned(hours) for hours in (1, 2, 3, 4)]
    await store.intake.insert(jobs)
    assert await store.crons.remove_occurrences("nightly", NOW + HOUR, {jobs[2].id}) == 2
    assert await read(store, *jobs) == [jobs[0], None, jobs[2], None]


async def test_what_waits_of_a_cron_is_skipped(store: Store) -> None:
    """Pending and paused ones of its name, whoever made them; runs, history and jobs stay."""
    waits = [planned(-1), planned(1, status=JobStatus.PAUSED), planned(2, id=ObjectId())]
    kept: list[Job] = [
        planned(3, status=JobStatus.RUNNING, worker_id=WORKER),
        planned(4, status=JobStatus.FINISHED, ended_at=NOW),
        planned(-1, name="other"),
        simple(name="nightly"),
    ]
    await store.intake.insert([*waits, *kept])
    assert await store.crons.skip_waiting("nightly", NOW) == 3
    assert await store.crons.skip_waiting("nightly", NOW) == 0
    assert await read(store, *kept) == kept
    for task in await read(store, *waits):
        assert task is not None
        assert (task.status, task.ended_at, task.updated_at) == (JobStatus.SKIPPED, NOW, NOW)
        assert task.output is not None
        assert task.output.skip_metadata == SkipMetadata("other", None, NOW)


async def test_only_what_was_planned_is_removed(store: Store) -> None:
    """Started by hand, running, paused and settled ones stay, and jobs of that name."""
    kept: list[Job] = [
        planned(1, id=ObjectId()),
        planned(2, status=JobStatus.RUNNING, worker_id=WORKER),
        planned(3, status=JobStatus.PAUSED),
        planned(4, status=JobStatus.KILLED, ended_at=NOW),
        simple(name="nightly", scheduled_for=NOW + HOUR),
    ]
    await store.intake.insert(kept)
    assert await store.crons.remove_occurrences("nightly", NOW, ()) == 0
    assert await read(store, *kept) == kept


async def test_a_retry_is_not_removed(store: Store) -> None:
    """An occurrence that was put back to run again stays, even at its own planned time."""
    late, soon = planned(0), planned(-1)
    await store.intake.insert([late, soon])
    running = {job.id: job for job in await store.queue.claim(claim(2))}
    put_back = [
        retry(running[late.id], scheduled_for=NOW + HOUR),
        retry(running[soon.id], scheduled_for=soon.scheduled_for),
    ]
    await store.runs.settle(put_back)
    assert await store.crons.remove_occurrences("nightly", NOW - 2 * HOUR, ()) == 0
    await store.crons.remove("nightly")
    assert await read(store, late, soon) == [each.written() for each in put_back]


async def test_a_run_that_was_given_back_is_an_occurrence_again(store: Store) -> None:
    """Claimed and given back untouched, it is pending as it was planned, and may be removed."""
    task = planned(0)
    await store.intake.insert([task])
    (running,) = await store.queue.claim(claim())
    given_back = retry(running, output=None, scheduled_for=None, attempt=None, started=False)
    await store.runs.settle([given_back])
    assert await store.crons.remove_occurrences("nightly", NOW - SECOND, ()) == 1


async def test_a_cron_is_no_job(store: Store) -> None:
    """What reads and claims jobs never sees a cron."""
    await store.crons.create(cron())
    assert await store.history.get(cron().id) is None
    assert await store.history.get_many([cron().id]) == []
    assert await store.history.find(JobQuery()) == []
    assert await store.queue.due(NOW + HOUR, 10) == []
    assert await store.history.names(10) == []
    assert await store.queue.next_due(["nightly"]) is None
    assert await store.queue.claim(claim(1, now=NOW + HOUR)) == []
    assert await store.queue.claim(claim(10, now=NOW + HOUR)) == []
    assert await store.history.find_active("cron_task", "nightly") is None
