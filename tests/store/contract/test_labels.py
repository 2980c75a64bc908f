"""Labels of jobs: found by them, whatever becomes of the job, and gone with it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from bson import ObjectId

from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.store import Store
from job_processor.store.requests import JobQuery
from tests.samples import NOW, SECOND, claim, end, occurrence, retry, settled, simple
from tests.store.contract.conftest import Stores

STATUSES = (JobStatus.PENDING, JobStatus.FINISHED, JobStatus.ERRORED)
TENANT, NIGHTLY = "tenant:42", "nightly \N{SNOWMAN} '\"$%"


def labelled(name: str = "load", *labels: str, **fields: Any) -> SimpleJob:
    """Return a job with labels."""
    return simple(name, **{"id": ObjectId(), "labels": labels or (TENANT,), **fields})


@pytest.mark.parametrize("oldest_first", [False, True])
async def test_jobs_are_found_by_their_labels(store: Store, oldest_first: bool) -> None:
    """One label or several, each combined with name, names, state, type and bounds; counted."""
    jobs: list[Job] = [
        labelled(name, *labels, status=status, ended_at=None if status in STATUSES[:1] else NOW)
        for name, status, labels in product(
            "ab", STATUSES, [(TENANT,), (NIGHTLY, TENANT), (NIGHTLY,)]
        )
    ]
    jobs.append(occurrence("a", id=ObjectId(), labels=(TENANT,)))
    others = [simple("a"), labelled("a", "tenant:4"), labelled("a", "TENANT:42")]
    await store.intake.insert([*jobs[::2], *others, *jobs[1::2]])
    selections: list[dict[str, Any]] = [
        *({}, {"name": "a"}, {"names": ("b",)}, {"names": ("x",)}, {"type": "cron_task"}),
    ]
    betweens: list[dict[str, Any]] = [{}, {"after": jobs[14].id, "above": jobs[1].id}]
    wanted = [(TENANT,), (NIGHTLY,), (TENANT, NIGHTLY), (NIGHTLY, TENANT), (TENANT, "none")]
    for labels, selection, between, status in product(
        wanted, selections, betweens, (None, *STATUSES)
    ):
        query = JobQuery(
            labels=labels, status=status, oldest_first=oldest_first, **selection, **between
        )
        expected = [
            job
            for job in jobs
            if set(labels) <= set(job.labels)
            and query.name in (None, job.name)
            and query.type in (None, job.type)
            and (query.names is None or job.name in query.names)
            and status in (None, job.status)
            and (query.after is None or job.id < query.after)
            and (query.above is None or job.id > query.above)
        ]
        ordered = expected if oldest_first else expected[::-1]
        assert await store.history.find(query) == ordered
        assert await store.history.find(replace(query, limit=2)) == ordered[:2]
        assert await store.history.count_matching(query, 100) == len(expected)


async def test_a_label_together_with_a_flow_a_group_and_a_lane(store: Store) -> None:
    """What is asked for holds all at once."""
    tied: dict[str, Any] = {"group": ObjectId(), "flow": ObjectId(), "flow_name": "import"}
    one = labelled(lane="load:a", **tied)
    await store.intake.insert([one, labelled(), simple(**tied), simple(lane="load:a")])
    fields: list[dict[str, Any]] = [{"flow": one.flow}, {"group": one.group}, {"lane": one.lane}]
    for field in fields:
        assert len(await store.history.find(JobQuery(**field))) == 2
        found = await store.history.find(JobQuery(labels=(TENANT,), **field))
        assert found == [one]


async def test_a_list_shows_labels(store: Store) -> None:
    """Those of each job, in the order in which they were given."""
    jobs = [labelled("load", "b", "a"), simple()]
    await store.intake.insert(jobs)
    shown = {each.id: each.labels for each in await store.history.summaries(JobQuery())}
    assert shown == {jobs[0].id: ("b", "a"), jobs[1].id: ()}


async def test_what_is_looked_through_is_of_the_label(store: Store) -> None:
    """A text in the error, or a value of the payload, is looked for among those with the label."""
    jobs = [labelled(payload={"n": 1}), labelled(payload={"n": 2}), simple(payload={"n": 1})]
    await store.intake.insert(jobs)
    found = await store.history.find(JobQuery(labels=(TENANT,), payload=(("n",), "1")))
    assert found == jobs[:1]


async def test_a_job_keeps_its_labels(store: Store) -> None:
    """When it is claimed, retried after a failure, ended, and retried."""
    await store.intake.insert([labelled("resize")])
    (run,) = await store.queue.claim(claim(1))
    assert run.labels == (TENANT,)
    assert (await store.runs.settle([retry(run, scheduled_for=NOW)])).won == {run.id}
    (run,) = await store.queue.claim(claim(1))
    assert (run.attempt, run.labels) == (2, (TENANT,))
    assert (await store.runs.settle([end(run)])).won == {run.id}
    again = await store.history.requeue(run.id, NOW + 3 * SECOND)
    assert again is not None
    assert again.labels == (TENANT,)
    assert await store.history.find(JobQuery(labels=(TENANT,))) == [again]


async def test_a_job_that_is_there_keeps_its_labels(store: Store) -> None:
    """A repetition of its insert is harmless, also one by somebody who gives others."""
    first = labelled("load", "a")
    await store.intake.insert([first])
    await store.intake.insert([replace(first, labels=("b",))])
    await store.intake.insert([first])
    assert await store.history.find(JobQuery(labels=("a",))) == [first]
    assert await store.history.find(JobQuery(labels=("b",))) == []


@pytest.mark.parametrize("labels", [(), ("b",), ("a", "b")])
async def test_one_that_takes_the_place_has_its_own(store: Store, labels: tuple[str, ...]) -> None:
    """Those of the job whose place it takes are forgotten."""
    holder = labelled("load", "a", "c", unique_key="k")
    await store.intake.insert([holder])
    replaced = await store.intake.replace(holder, simple("load", unique_key="k", labels=labels))
    assert replaced is not None
    assert replaced.labels == labels
    for label in ("a", "b", "c"):
        expected = [replaced] if label in labels else []
        assert await store.history.find(JobQuery(labels=(label,))) == expected


async def test_labels_go_with_the_job(stores: Stores) -> None:
    """When it is deleted, and when the history is pruned."""
    store = await stores.open(history_days=30)
    before = NOW - timedelta(days=30)
    old = settled("load", at=before - SECOND, labels=(TENANT,))
    gone, stays = labelled(), labelled()
    await store.intake.insert([old, gone, stays])
    assert await store.history.delete([gone.id]) == {gone.id}
    assert await store.history.prune(before, 10) == 1
    assert await store.history.find(JobQuery(labels=(TENANT,))) == [stays]
