"""Reading: single jobs, pages, the queue, names and counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import product

import pytest
from bson import ObjectId

from job_processor.models import ACTIVE, SETTLED, Job, JobStatus, JobType
from job_processor.store import Store
from job_processor.store.requests import JobQuery
from tests.samples import MS, NOW, SECOND, UNKNOWN, WORKER, occurrence, run, simple

STATUSES = sorted(ACTIVE | SETTLED)
TYPES: tuple[JobType, ...] = ("cron_task", "simple")


def one_of_each(times: int = 1) -> list[Job]:
    """Return jobs of two names, both types and every state, the oldest first."""
    jobs: list[Job] = []
    for _, name, make, status in product(range(times), "ab", (simple, occurrence), STATUSES):
        ended_at = NOW if status in SETTLED else None
        jobs.append(make(id=ObjectId(), name=name, status=status, ended_at=ended_at))
    return sorted(jobs, key=lambda job: job.id)


def selected(jobs: Sequence[Job], query: JobQuery) -> list[Job]:
    """Return what a query has to find."""
    return [
        job
        for job in reversed(jobs)
        if query.name in (None, job.name)
        and query.status in (None, job.status)
        and query.type in (None, job.type)
        and (query.after is None or job.id < query.after)
    ][: query.limit]


async def test_a_job_is_got_by_its_id(store: Store) -> None:
    """Jobs and cron tasks of every state are found; an unknown id gives None."""
    jobs = one_of_each()
    await store.intake.insert(jobs)
    assert [await store.history.get(job.id) for job in jobs] == jobs
    assert await store.history.get(UNKNOWN) is None


async def test_many_jobs_are_got_by_their_ids(store: Store) -> None:
    """Those that exist are returned, each once."""
    jobs = one_of_each()
    await store.intake.insert(jobs)
    found = await store.history.get_many([UNKNOWN, *(job.id for job in jobs[5:])])
    assert sorted(found, key=lambda job: job.id) == jobs[5:]
    assert await store.history.get_many([UNKNOWN]) == []
    assert await store.history.get_many([]) == []


async def test_states_are_read_alone(store: Store) -> None:
    """Of those that exist, by id; others are left out."""
    jobs = one_of_each()
    await store.intake.insert(jobs)
    states = await store.history.states_of([UNKNOWN, *(job.id for job in jobs[5:])])
    assert states == {job.id: (job.status, job.attempt) for job in jobs[5:]}
    assert await store.history.states_of([UNKNOWN]) == {}
    assert await store.history.states_of([]) == {}


async def test_a_query_finds_the_newest_of_its_selection(store: Store) -> None:
    """Each combination of name, state and type selects just those, newest first."""
    jobs = one_of_each()
    await store.intake.insert([*jobs[::2], *jobs[1::2]])
    statuses = (None, *STATUSES)
    for name, status, type in product((None, "a", "unknown"), statuses, (None, *TYPES)):
        for after, limit in ((None, 3), (jobs[20].id, 100)):
            query = JobQuery(name=name, status=status, type=type, limit=limit, after=after)
            assert await store.history.find(query) == selected(jobs, query), query


@pytest.mark.parametrize("selection", [JobQuery(), JobQuery(name="a"), JobQuery(type="simple")])
async def test_pages_hold_every_job_once(store: Store, selection: JobQuery) -> None:
    """Asking for what is older than the last one seen leads through all, to an empty page."""
    jobs = one_of_each(times=2)
    await store.intake.insert(jobs)
    seen: list[Job] = []
    after = None
    while True:
        query = JobQuery(name=selection.name, type=selection.type, limit=7, after=after)
        page = await store.history.find(query)
        if not page:
            break
        assert len(page) <= 7
        seen += page
        after = page[-1].id
        await store.intake.insert([simple(name="a")])  # what is newer shifts no page
    assert seen == selected(jobs, JobQuery(name=selection.name, type=selection.type, limit=1000))


@pytest.mark.parametrize("status", sorted(ACTIVE))
async def test_an_active_job_is_found(store: Store, status: JobStatus) -> None:
    """A pending, running or paused one of this type and name is returned."""
    active = simple(name="same", status=status)
    settled = [simple(name="same", status=each, ended_at=NOW) for each in SETTLED]
    await store.intake.insert([*settled, active, simple(name="other"), occurrence(name="another")])
    assert await store.history.find_active("simple", "same") == active
    assert await store.history.find_active("cron_task", "same") is None
    assert await store.history.find_active("simple", "another") is None


async def test_nothing_settled_is_active(store: Store) -> None:
    """Of a name whose jobs have all settled none is returned."""
    await store.intake.insert([simple(status=status, ended_at=NOW) for status in SETTLED])
    assert await store.history.find_active("simple", "resize") is None


@pytest.mark.parametrize("status", sorted(ACTIVE))
async def test_the_exclusive_one_is_found_before_others(store: Store, status: JobStatus) -> None:
    """Whoever asks after a refused insert learns of the job that refused it."""
    concurrent: list[Job] = [simple(status=each) for each in sorted(ACTIVE)]
    active = simple(status=status, exclusive=True)
    newer = [simple(status=each) for each in sorted(ACTIVE)]
    await store.intake.insert([*concurrent, active, *newer])
    assert await store.history.find_active("simple", "resize") == active


async def test_the_queue_is_what_is_due(store: Store) -> None:
    """Pending and paused jobs and cron tasks of all names that are due, the earliest first."""
    due: list[Job] = [
        simple(name="b", scheduled_for=NOW - 4 * SECOND),
        occurrence(scheduled_for=NOW - 3 * SECOND),
        simple(name="a", scheduled_for=NOW - 2 * SECOND, status=JobStatus.PAUSED),
        simple(name="b", scheduled_for=NOW - SECOND),
        occurrence(scheduled_for=NOW),
    ]
    rest = [simple(status=status) for status in STATUSES if status not in ("pending", "paused")]
    later: list[Job] = [
        simple(scheduled_for=NOW + MS),
        occurrence(scheduled_for=NOW + timedelta(days=1)),
    ]
    await store.intake.insert([*rest, *later, *(due[i] for i in (4, 0, 3, 1, 2))])

    async def queue(now: datetime, limit: int) -> list[ObjectId]:
        return [job.id for job in await store.queue.due(now, limit)]

    ids = [job.id for job in due]
    assert await queue(NOW, 10) == ids
    assert await queue(NOW, 3) == ids[:3]
    assert await queue(NOW - 2 * SECOND, 10) == ids[:3]
    assert await store.queue.due(NOW - timedelta(days=1), 10) == []
    assert await store.queue.due(NOW, 0) == []


async def test_names_are_listed_once_in_order(store: Store) -> None:
    """The (type, name) of all jobs, of every state, in order, at most so many."""
    assert await store.history.names(10) == []
    await store.intake.insert([simple(name="b", status=status) for status in STATUSES])
    await store.intake.insert([simple(name="c", status=JobStatus.FINISHED, ended_at=NOW)])
    await store.intake.insert([occurrence(name="b"), simple(name="ä"), simple(name="B")])
    await run(store, simple(name="a"), occurrence(name="z"))
    expected: list[tuple[JobType, str]] = [("cron_task", "b"), ("cron_task", "z")]
    expected += [("simple", name) for name in ("B", "a", "b", "c", "ä")]
    for limit in (100, 7, 6, 3, 2, 1, 0):
        assert await store.history.names(limit) == expected[:limit]


async def test_counts_are_exact_up_to_a_cap(store: Store) -> None:
    """Each name asked for is counted in each of its states, no further than the cap."""
    jobs: list[Job] = [simple(name="a") for _ in range(6)]
    jobs += [simple(name="a", status=JobStatus.RUNNING, worker_id=WORKER) for _ in range(5)]
    jobs += [simple(name="a", status=JobStatus.FINISHED, ended_at=NOW) for _ in range(3)]
    jobs += one_of_each()
    await store.intake.insert(jobs)
    asked: list[tuple[JobType, str]] = [("simple", "a"), ("cron_task", "b"), ("simple", "unknown")]
    exact = Counter((job.type, job.name, job.status) for job in jobs)
    for cap in (100, 4, 1):
        counts = await store.history.count(asked, cap)
        found = {(each.type, each.name, each.status): each.count for each in counts if each.count}
        assert found == {key: min(count, cap) for key, count in exact.items() if key[:2] in asked}
        assert len({(each.type, each.name, each.status) for each in counts}) == len(counts)
    assert await store.history.count([], 100) == []


async def test_many_names_are_counted_at_once(store: Store) -> None:
    """There may be more of them than one query holds."""
    names: list[tuple[JobType, str]] = [("simple", f"name {i:03}") for i in range(60)]
    await store.intake.insert([simple(name=name) for _, name in names])
    counts = await store.history.count(names, 10)
    assert sorted((each.type, each.name) for each in counts if each.count == 1) == names


async def test_names_are_left_out_of_what_is_due(store: Store) -> None:
    """Of the queue and of its delay, whatever else they hold."""
    early = simple(name="left", scheduled_for=NOW - 3 * SECOND)
    due = simple(name="due", scheduled_for=NOW - 2 * SECOND)
    await store.intake.insert([early, due])
    assert [job.id for job in await store.queue.due(NOW, 10)] == [early.id, due.id]
    assert [job.id for job in await store.queue.due(NOW, 10, {"left"})] == [due.id]
    assert await store.queue.due(NOW, 10, {"left", "due"}) == []
    assert (await store.workers.vitals()).due_since == early.scheduled_for
    assert (await store.workers.vitals({"left"})).due_since == due.scheduled_for
    assert (await store.workers.vitals({"left", "due"})).due_since is None
