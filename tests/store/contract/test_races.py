"""Many contenders for one thing: the database decides, and exactly one wins."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import cycle

import pytest
from bson import ObjectId

from job_processor.models import ACTIVE, JobStatus, Output
from job_processor.store import Store
from job_processor.store.requests import Claim, JobQuery, Settlement
from tests.samples import (
    NOW,
    OTHER_WORKER,
    SECOND,
    WORKER,
    claim,
    cron,
    end,
    occurrence,
    read,
    run,
    simple,
    worker,
)
from tests.store.contract.conftest import OtherProcesses, Stores


async def claim_all(store: Store, limit: int) -> dict[ObjectId, ObjectId]:
    """Claim under a new worker's id until nothing is left; return the worker of each job."""
    worker_id = ObjectId()
    claimed: list[ObjectId] = []
    while await store.queue.next_due(["resize"]) is not None:
        jobs = await store.queue.claim(Claim(worker_id, ("resize",), limit, NOW + SECOND))
        assert {job.worker_id for job in jobs} <= {worker_id}
        claimed += [job.id for job in jobs]
    assert len(set(claimed)) == len(claimed)
    return dict.fromkeys(claimed, worker_id)


async def test_each_job_is_claimed_once(stores: Stores) -> None:
    """Ten workers that claim one, few or many at a time share 100 jobs, each of them once."""
    everyone = await stores.several(10)
    jobs = [simple() for _ in range(100)]
    await everyone[0].intake.insert(jobs)
    limits = cycle((1, 3, 7, 20))
    shares = await asyncio.gather(
        *(claim_all(store, limit) for store, limit in zip(everyone, limits, strict=False))
    )
    assert sum(map(len, shares)) == len(jobs)
    holders = {job_id: worker_id for share in shares for job_id, worker_id in share.items()}
    stored = await everyone[0].history.get_many([job.id for job in jobs])
    assert {job.id: job.worker_id for job in stored} == holders
    assert {job.status for job in stored} == {JobStatus.RUNNING}


@pytest.mark.slow
async def test_each_job_is_claimed_by_one_process(store: Store, others: OtherProcesses) -> None:
    """Four processes share 60 jobs: none is claimed twice, none is left."""
    everyone = await asyncio.gather(*(others.start() for _ in range(4)))
    jobs = [simple() for _ in range(60)]
    await store.intake.insert(jobs)
    shares = await asyncio.gather(
        *(
            each.ask("claim_all", "resize", limit)
            for each, limit in zip(everyone, (1, 2, 3, 5), strict=True)
        )
    )
    claimed = Counter(job_id for share in shares for job_id in share)
    assert claimed == Counter(str(job.id) for job in jobs)


async def test_a_single_job_is_claimed_by_one(stores: Stores) -> None:
    """Ten workers reach for the same job, again and again: one of them gets it."""
    everyone = await stores.several(10)
    for round in range(5):
        job = simple()
        await everyone[0].intake.insert([job])
        claims = [
            store.queue.claim(claim(1 + (i + round) % 2, worker_id=ObjectId()))
            for i, store in enumerate(everyone)
        ]
        won = [jobs for jobs in await asyncio.gather(*claims) if jobs]
        assert [[each.id for each in jobs] for jobs in won] == [[job.id]]


async def test_a_run_is_settled_once(stores: Stores) -> None:
    """A worker, with its outcomes, and its rescuers settle the same run: one of them wins."""
    everyone = await stores.several(6)
    for _ in range(5):
        (job,) = await run(everyone[0], simple())
        settlements = [end(job), end(job, JobStatus.KILLED, at=NOW + 3 * SECOND)]
        settlements += [
            end(job, status, writer=ObjectId(), output=Output("--", error=str(i)))
            for i, status in enumerate((JobStatus.ERRORED, JobStatus.PAUSED) * 2)
        ]
        verdicts = await asyncio.gather(
            *(
                store.runs.settle([settlement])
                for store, settlement in zip(everyone, settlements, strict=True)
            )
        )
        winners = [each for each, of in zip(settlements, verdicts, strict=True) if of.won]
        assert [verdict.won for verdict in verdicts if verdict.won] == [{job.id}]
        assert await read(everyone[0], job) == [winners[0].written()]
        await everyone[0].kills.kill_waiting(job.id, NOW)


async def test_batches_that_overlap_settle_each_run_once(stores: Stores) -> None:
    """Two rescuers and the worker settle 20 runs in batches: each run has one winner."""
    everyone = await stores.several(3)
    jobs = await run(everyone[0], *(simple() for _ in range(20)))
    orders = (jobs, jobs[::-1], jobs[10:] + jobs[:10])
    batches: list[dict[ObjectId, Settlement]] = [
        {job.id: end(job, writer=writer) for job in order}
        for order, writer in zip(orders, (WORKER, OTHER_WORKER, ObjectId()), strict=True)
    ]
    verdicts = await asyncio.gather(
        *(
            store.runs.settle(list(batch.values()))
            for store, batch in zip(everyone, batches, strict=True)
        )
    )
    won = [verdict.won for verdict in verdicts]
    assert Counter(job_id for ids in won for job_id in ids) == Counter(job.id for job in jobs)
    expected = {
        job_id: batch[job_id].written()
        for batch, ids in zip(batches, won, strict=True)
        for job_id in ids
    }
    assert await read(everyone[0], *jobs) == [expected[job.id] for job in jobs]


async def test_one_exclusive_job_becomes_active(stores: Stores) -> None:
    """Of 20 inserts at the same moment, alone and in batches, one is taken."""
    everyone = await stores.several(5)
    jobs = [simple(exclusive=True) for _ in range(20)]
    inserts = [everyone[i % 5].intake.insert([job]) for i, job in enumerate(jobs[:16])]
    inserts += [everyone[i].intake.insert(jobs[16 + 2 * i : 18 + 2 * i]) for i in range(2)]
    refused = [job for each in await asyncio.gather(*inserts) for job in each]
    assert len(refused) == 19
    (active,) = await everyone[0].history.find(JobQuery(name="resize"))
    assert active.status in ACTIVE
    assert {active.id, *(job.id for job in refused)} == {job.id for job in jobs}


async def test_an_occurrence_is_inserted_once(stores: Stores) -> None:
    """Ten schedulers insert the same occurrences: none is refused, none is doubled."""
    everyone = await stores.several(10)
    tasks = [occurrence(scheduled_for=NOW + i * SECOND) for i in range(3)]
    refused = await asyncio.gather(*(store.intake.insert(tasks) for store in everyone))
    assert refused == [[]] * 10
    assert len(await everyone[0].history.find(JobQuery())) == 3


async def test_a_job_is_killed_or_claimed(stores: Stores) -> None:
    """Two workers claim ten jobs while each is killed: each is one or the other."""
    first, second, killer = await stores.several(3)
    jobs = [simple() for _ in range(10)]
    await first.intake.insert(jobs)
    killed = [killer.kills.kill_waiting(job.id, NOW) for job in jobs]
    claims = (first.queue.claim(claim(3)), second.queue.claim(claim(10, worker_id=OTHER_WORKER)))
    ends, runs = await asyncio.gather(asyncio.gather(*killed), asyncio.gather(*claims))
    outcomes = [job for job in ends if job is not None] + [job for each in runs for job in each]
    assert Counter(job.id for job in outcomes) == Counter(job.id for job in jobs)
    by_id = {job.id: job for job in outcomes}
    assert await read(first, *jobs) == [by_id[job.id] for job in jobs]


async def test_a_job_is_killed_once(stores: Stores) -> None:
    """Five kill one waiting job: one of them is told that it did."""
    everyone = await stores.several(5)
    job = simple()
    await everyone[0].intake.insert([job])
    kills = [store.kills.kill_waiting(job.id, NOW + i * SECOND) for i, store in enumerate(everyone)]
    (killed,) = [each for each in await asyncio.gather(*kills) if each is not None]
    assert await read(everyone[0], job) == [killed]


async def test_a_run_moves_or_is_settled(stores: Stores) -> None:
    """While runs move to a new id their old worker settles them: each is one or the other."""
    mover, settler = await stores.several(2)
    jobs = await run(mover, *(simple() for _ in range(10)))
    settle = asyncio.gather(*(settler.runs.settle([end(job)]) for job in jobs))
    moved, verdicts = await asyncio.gather(mover.runs.move(WORKER, OTHER_WORKER), settle)
    won = {job_id for verdict in verdicts for job_id in verdict.won}
    assert moved.isdisjoint(won)
    assert moved | won == {job.id for job in jobs}
    assert {job.id for job in await mover.runs.of_worker(OTHER_WORKER, 20)} == moved


async def test_a_dead_worker_is_removed_once(stores: Stores) -> None:
    """Five rescuers find the same dead worker: one of them removes it."""
    everyone = await stores.several(5)
    await everyone[0].workers.register(worker())
    (dead,) = (await everyone[0].workers.registrations()).workers
    removed = await asyncio.gather(*(store.workers.remove_dead(dead) for store in everyone))
    assert removed.count(True) == 1


async def test_a_cron_is_created_and_moved_once(stores: Stores) -> None:
    """Ten schedulers create a cron, then move its pointer: each time one of them does."""
    everyone = await stores.several(10)
    created = await asyncio.gather(*(store.crons.create(cron()) for store in everyone))
    assert created.count(True) == 1
    for round in range(3):
        (before,) = await everyone[0].crons.all()
        moved = await asyncio.gather(
            *(
                store.crons.update(
                    before, f"{i} * * * *", NOW + timedelta(hours=round + 1), NOW + i * SECOND
                )
                for i, store in enumerate(everyone)
            )
        )
        assert moved.count(True) == 1
        (after,) = await everyone[0].crons.all()
        assert after.cron_string == f"{moved.index(True)} * * * *"


async def test_kill_requests_from_many_are_acknowledged_together(stores: Stores) -> None:
    """Five ask at the same moment to kill a job: none fails, and one answer is enough."""
    everyone = await stores.several(5)
    job_id = ObjectId()
    await asyncio.gather(*(store.kills.request(job_id, WORKER, NOW) for store in everyone))
    assert await everyone[0].kills.requested([job_id]) == {job_id}
    await everyone[1].kills.acknowledge([job_id])
    assert await everyone[0].kills.requested([job_id]) == set()


@pytest.mark.slow
async def test_each_key_is_held_by_one_job(store: Store, others: OtherProcesses) -> None:
    """Five processes ask for the same ten keys at once: one job a key, the same for all."""
    everyone = await asyncio.gather(*(others.start() for _ in range(5)))
    keys = [f"k{n}" for n in range(10)]
    answers = await asyncio.gather(
        *(each.ask("schedule_unique", "resize", keys) for each in everyone)
    )
    made = [str(job.id) for job in await store.history.find(JobQuery(limit=100))]
    assert len(made) == len(keys)
    assert all(sorted(answer) == sorted(made) for answer in answers)
