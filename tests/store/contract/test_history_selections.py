"""Selections of jobs for people: in both directions, looked through, counted, deleted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

from bson import ObjectId

from job_processor.models import (
    ACTIVE,
    SETTLED,
    WAITING,
    Job,
    JobStatus,
    JobType,
    Output,
    SimpleJob,
)
from job_processor.store import Store
from job_processor.store.requests import JobQuery
from tests.samples import NOW, OTHER_WORKER, WORKER, cron, occurrence, read, run, simple

STATUSES = sorted(ACTIVE | SETTLED)
TYPES: tuple[JobType | None, ...] = (None, "simple")


def one_of_each() -> list[Job]:
    """Return jobs of three names, both types and every state, the oldest first."""
    jobs: list[Job] = []
    for name, make, status in product("abc", (simple, occurrence), STATUSES):
        ended_at = NOW if status in SETTLED else None
        jobs.append(make(id=ObjectId(), name=name, status=status, ended_at=ended_at))
    return sorted(jobs, key=lambda job: job.id)


def selected(jobs: list[Job], query: JobQuery) -> list[Job]:
    """Return what a query has to find, without its limit."""
    found = [
        job
        for job in jobs
        if query.name in (None, job.name)
        and (query.names is None or job.name in query.names)
        and query.status in (None, job.status)
        and query.type in (None, job.type)
        and (query.planned or job.type != "cron_task" or job.status not in WAITING)
        and (query.after is None or job.id < query.after)
        and (query.above is None or job.id > query.above)
    ]
    return found if query.oldest_first else found[::-1]


async def test_both_directions(store: Store) -> None:
    """Each combination of name, names, state and type, between two ids, counted as well."""
    jobs = one_of_each()
    await store.intake.insert([*jobs[::2], *jobs[1::2]])
    names: list[dict[str, Any]] = [{}, {"name": "a"}, {"names": ("a", "c")}, {"names": ("x",)}]
    betweens: list[dict[str, Any]] = [{}, {"after": jobs[30].id, "above": jobs[9].id}]
    statuses = (None, JobStatus.RUNNING, JobStatus.PENDING, JobStatus.FINISHED)
    for name, between, status, type, oldest in product(
        names, betweens, statuses, TYPES, (True, False)
    ):
        query = JobQuery(
            status=status,
            type=type,
            oldest_first=oldest,
            limit=4,
            **name,
            **between,
        )
        expected = selected(jobs, query)
        assert await store.history.find(query) == expected[:4], query
        assert await store.history.count_matching(query, 100) == len(expected), query
        assert await store.history.count_matching(query, 2) == min(len(expected), 2)


async def test_without_what_is_planned(store: Store) -> None:
    """Occurrences of crons that wait are left out, of all, a name, a state and a label."""
    jobs = [replace(job, labels=("red",)) for job in one_of_each()]
    await store.intake.insert(jobs)
    for choice in ({}, {"name": "a"}, {"status": JobStatus.PAUSED}, {"labels": ("red",)}):
        for oldest in (True, False):
            query = JobQuery(planned=False, oldest_first=oldest, limit=50, **choice)
            expected = selected(jobs, query)
            assert 0 < len(expected) < len(selected(jobs, replace(query, planned=True)))
            assert await store.history.find(query) == expected
            assert await store.history.count_matching(query, 100) == len(expected)
            assert await store.history.count_matching(query, 2) == 2


async def test_what_no_index_tells(store: Store) -> None:
    """The worker, a text in the error, a value in the payload: looked for one by one."""
    failed = Output("1 s", None, "ValueError: No such FILE (a.b*)")
    ended: dict[str, Any] = {"status": JobStatus.ERRORED, "ended_at": NOW}
    jobs: list[Job] = [
        simple(worker_id=WORKER, output=failed, **ended),
        simple(worker_id=OTHER_WORKER, output=Output("1 s", None, "no such file"), **ended),
        simple(payload={"user": {"id": 7, "na.me": "x"}, "tag": "7"}),
        simple(payload={"user": {"id": "7"}, "ok": True}),
        simple(),
        occurrence(worker_id=WORKER, output=failed, **ended),
    ]
    await store.intake.insert(jobs)
    cases: list[tuple[dict[str, Any], set[int]]] = [
        ({"worker_id": WORKER}, {0, 5}),
        ({"error": "no such file"}, {0, 1, 5}),
        ({"error": "(A.B*)"}, {0, 5}),
        ({"error": "%_"}, set()),
        ({"payload": (("user", "id"), "7")}, {2, 3}),
        ({"payload": (("tag",), "7")}, {2}),
        ({"payload": (("user", "x"), "7")}, set()),
        ({"worker_id": WORKER, "error": "file", "type": "simple"}, {0}),
        ({"error": "file", "status": JobStatus.FINISHED}, set()),
        ({"id_end": str(jobs[2].id)[-6:]}, {2}),
        ({"id_end": str(jobs[0].id)[-6:], "worker_id": OTHER_WORKER}, set()),
    ]
    for fields, expected in cases:
        query = JobQuery(**fields)
        found = await store.history.find(query)
        assert {jobs.index(job) for job in found} == expected, fields
        assert await store.history.count_matching(query, 100) == len(expected)
        assert len(await store.history.find(replace(query, limit=1))) == min(len(expected), 1)


async def test_jobs_are_deleted(store: Store) -> None:
    """Whatever does not run; which are gone is told."""
    jobs: list[Job] = [simple(status=s, ended_at=NOW) for s in sorted(SETTLED)]
    jobs += [simple(), occurrence(), simple(status=JobStatus.PAUSED)]
    await store.intake.insert(jobs)
    (running,) = await run(store, simple(name="running"))
    wanted = [*(job.id for job in jobs), running.id, ObjectId()]
    assert await store.history.delete(wanted) == {job.id for job in jobs}
    assert await store.history.delete(wanted) == set()
    assert await store.history.delete([]) == set()
    assert await read(store, *jobs, running) == [*[None] * len(jobs), running]


async def test_simple_jobs_only(store: Store) -> None:
    """A cron's own document is no job: neither found, nor counted, nor deleted."""
    await store.crons.create(cron())
    assert await store.history.find(JobQuery(oldest_first=True)) == []
    assert await store.history.count_matching(JobQuery(), 10) == 0
    assert await store.history.delete([cron().id]) == set()
    assert await store.crons.all() == [cron()]
    assert isinstance(simple(), SimpleJob)


async def test_jobs_are_selected_by_their_end(store: Store) -> None:
    """From a time on, before another; with all else that selects; newest first, page by page."""
    times = [NOW - timedelta(minutes=minutes) for minutes in (5, 4, 3, 3, 1)]
    states = [JobStatus.FINISHED, JobStatus.ERRORED] * 2 + [JobStatus.ERRORED]
    jobs: list[Job] = [
        simple(status=status, ended_at=at, output=Output("1ms", None, f"e{n}"), labels=(f"l{n}",))
        for n, (status, at) in enumerate(zip(states, times, strict=True))
    ]
    await store.intake.insert([*jobs, simple()])
    first, second, third, fourth, last = (job.id for job in jobs)
    since = NOW - timedelta(minutes=4)
    span = JobQuery(ended_from=since, ended_to=NOW - timedelta(minutes=1))
    for query, expected in (
        (span, [fourth, third, second]),
        (replace(span, oldest_first=True), [second, third, fourth]),
        (replace(span, limit=2), [fourth, third]),
        (replace(span, after=third), [second]),
        (replace(span, status=JobStatus.ERRORED), [fourth, second]),
        (replace(span, name="other"), []),
        (replace(span, error="e2"), [third]),
        (replace(span, labels=("l2",)), [third]),
        (replace(span, labels=("l4",)), []),
        (JobQuery(ended_from=since), [last, fourth, third, second]),
        (JobQuery(ended_to=since), [first]),
    ):
        assert [job.id for job in await store.history.find(query)] == expected, query
        shown = await store.history.summaries(query, None)
        assert [job.id for job in shown] == expected, query
        counted = await store.history.count_matching(query, 9)
        assert counted == (3 if query.limit == 2 else len(expected))


async def test_jobs_are_counted_by_state(store: Store) -> None:
    """Of all names and types, up to a cap; occurrences that wait for their time are no part."""
    jobs: list[Job] = [simple(status=s, ended_at=NOW) for s in sorted(SETTLED)]
    jobs += [simple(), simple(name="other"), occurrence(), simple(status=JobStatus.PAUSED)]
    jobs += [occurrence(name="past", status=JobStatus.ERRORED, ended_at=NOW)]
    await store.intake.insert(jobs)
    await run(store, simple(name="running", priority=9))
    counted = {status: n for status, n in (await store.history.count_states(10)).items() if n}
    expected = dict.fromkeys((*SETTLED, JobStatus.PENDING, JobStatus.PAUSED), 1)
    expected |= {JobStatus.ERRORED: 2, JobStatus.PENDING: 2, JobStatus.RUNNING: 1}
    assert counted == expected
    assert max((await store.history.count_states(1)).values()) == 1
