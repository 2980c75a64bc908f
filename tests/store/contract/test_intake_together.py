"""`put`: many callers at once, whose jobs are written together."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from job_processor.errors import StoreRefusedError
from job_processor.models import JobStatus, SimpleJob
from job_processor.store import Store
from job_processor.store.hints import Hint
from tests.processors import WAIT
from tests.samples import claim, read, simple
from tests.store.contract.conftest import Listener, Stores
from tests.store.dictionaries.store import DictionaryStore

KEYED = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([None, "k1", "k2"]), st.booleans())
"""The name of a job, its unique key, and whether it is exclusive."""


async def together(store: Store, jobs: list[SimpleJob]) -> list[bool | BaseException]:
    """Put each job by a task of its own, all at once; return the answers."""
    async with asyncio.timeout(WAIT):
        return await asyncio.gather(*map(store.intake.put, jobs), return_exceptions=True)


async def test_each_of_many_callers_has_its_job_stored(store: Store, stores: Stores) -> None:
    """What was answered is there for another connection, every field of it."""
    jobs = [simple(payload={"n": n}, priority=n % 3, unique_key=f"k{n}") for n in range(60)]
    jobs += [simple(payload={"n": n}) for n in range(60)]
    assert await together(store, jobs) == [True] * 120
    assert await read(await stores.open(), *jobs) == jobs


async def test_one_caller_s_jobs_are_claimed_in_the_order_of_asking(store: Store) -> None:
    """Those of one time, of callers that go on side by side."""
    asked: defaultdict[int, list[SimpleJob]] = defaultdict(list)

    async def caller(number: int) -> None:
        for _ in range(10):
            job = simple()
            asked[number].append(job)
            assert await store.intake.put(job)

    async with asyncio.timeout(WAIT):
        await asyncio.gather(*map(caller, range(10)))
    order = [run.id for run in await store.queue.claim(claim(200))]
    assert len(order) == 100
    for jobs in asked.values():
        positions = [order.index(job.id) for job in jobs]
        assert positions == sorted(positions)


async def test_of_callers_with_one_unique_key_one_is_taken(store: Store) -> None:
    """The others hear that they were refused, and who has nothing to do with it is taken."""
    jobs = [simple(unique_key="k" if n % 2 else None) for n in range(20)]
    answers = await together(store, jobs)
    assert answers[::2] == [True] * 10
    assert sorted(map(str, answers[1::2])) == ["False"] * 9 + ["True"]
    there = [job for job, answer in zip(jobs, answers, strict=True) if answer]
    assert await read(store, *there) == there
    assert [await store.history.get(job.id) for job in jobs if job not in there] == [None] * 9


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(KEYED, min_size=1, max_size=30))
async def test_together_means_what_it_means_alone(
    store: Store, wanted: list[tuple[str, str | None, bool]]
) -> None:
    """Whatever is asked for at once: jobs are taken or refused as if they came in some order."""
    example = ObjectId()  # the examples share a database
    jobs = [
        simple(f"{name}:{example}", unique_key=key, exclusive=exclusive and key is None)
        for name, key, exclusive in wanted
    ]
    answers = await together(store, jobs)
    rivals: defaultdict[Any, list[Any]] = defaultdict(list)
    for job, answer in zip(jobs, answers, strict=True):
        rivals[(job.name, job.unique_key, job.exclusive)].append(answer)
    for (_, key, exclusive), heard in rivals.items():
        taken = 1 if key is not None or exclusive else len(heard)
        assert sorted(heard) == [False] * (len(heard) - taken) + [True] * taken
    stored = await store.history.get_many([job.id for job in jobs])
    assert {job.id for job in stored} == {
        job.id for job, answer in zip(jobs, answers, strict=True) if answer
    }


async def test_a_job_that_cannot_be_stored_keeps_no_other_from_it(store: Store) -> None:
    """Its caller alone gets the error."""
    if isinstance(store, DictionaryStore):
        pytest.skip("dictionaries take everything")
    jobs = [simple(payload={"n": n}) for n in range(30)]
    jobs[7] = simple("\udc80")
    answers = await together(store, jobs)
    assert [n for n, answer in enumerate(answers) if answer is not True] == [7]
    assert isinstance(answers[7], StoreRefusedError)
    others = jobs[:7] + jobs[8:]
    assert await read(store, *others) == others


async def test_a_caller_who_leaves_takes_nothing_from_the_others(store: Store) -> None:
    """Whether the write has begun or not."""
    jobs = [simple() for _ in range(40)]
    tasks = [asyncio.create_task(store.intake.put(job)) for job in jobs]
    await asyncio.sleep(0)
    for task in tasks[::4]:
        task.cancel()
    async with asyncio.timeout(WAIT):
        await asyncio.wait(tasks)
    stay = [job for n, job in enumerate(jobs) if n % 4]
    assert all(task.result() is True for n, task in enumerate(tasks) if n % 4)
    assert await read(store, *stay) == stay


async def test_workers_hear_of_what_is_put(store: Store) -> None:
    """Of one job as of many, and of none that was refused."""
    listener = Listener()
    store.subscribe(listener)
    for count in (1, 20):
        listener.forget()
        assert await together(store, [simple("heard") for _ in range(count)]) == [True] * count
        await listener.hears(Hint.WORK)


async def test_one_that_is_put_twice_is_there_once(store: Store) -> None:
    """As after a reply that was lost: it counts as inserted."""
    job = simple(status=JobStatus.PENDING)
    assert await store.intake.put(job)
    assert await together(store, [job, simple(), job]) == [True] * 3
    assert [run.id for run in await store.queue.claim(claim(10))].count(job.id) == 1
