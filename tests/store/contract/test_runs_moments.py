"""`updated_at` of a run is the moment of its claim: its own, and nothing but the end changes it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import pytest
from bson import ObjectId

from job_processor.clock import LAST_MOMENT
from job_processor.models import Job, JobStatus, Message, Notes, Progress, SimpleJob, Step
from job_processor.store import Store
from job_processor.store.groups import GroupRecord
from job_processor.store.lanes import LaneClaim
from job_processor.store.rates import Pace, Reservation
from job_processor.store.requests import Outcome
from job_processor.store.rollups import Rollup
from job_processor.store.waits import End, job_tag
from tests.desks import verbs
from tests.samples import (
    MS,
    NOW,
    OTHER_WORKER,
    WORKER,
    claim,
    cron,
    end,
    read,
    retry,
    run,
    run_one,
    simple,
    worker,
)
from tests.store.contract.test_schedules import schedule

Call: TypeAlias = Callable[[Store, SimpleJob], Awaitable[Any]]
LATER = NOW + timedelta(hours=1)
PACE = Pace.of(1, 60.0, 1)
OPENED: dict[str, Any] = {"created_at": NOW, "touched_at": NOW}
RESERVED = Reservation(granted=1, wait=0.0, tat=0.0, interval=60_000.0)
NOTES = Notes(Progress(0.5, "half", NOW))

MESSAGE = Message("paid:42", 1, ObjectId(), NOW, LATER)
WAIT = Outcome(JobStatus.PENDING, NOW, scheduled_for=LATER, topics=("paid:42",))

WRITES: dict[str, Call] = {
    "intake.insert": lambda store, job: store.intake.insert([job]),
    "intake.put": lambda store, job: store.intake.put(job),
    "intake.find_holder": lambda store, job: store.intake.find_holder(job.name, "key"),
    "intake.release_key": lambda store, job: store.intake.release_key(job),
    "intake.replace": lambda store, job: store.intake.replace(
        job, simple(unique_key="key", updated_at=LATER)
    ),
    "queue.claim": lambda store, job: store.queue.claim(claim(10, now=LATER)),
    "runs.save_notes": lambda store, job: store.runs.save_notes([(job, NOTES)]),
    "runs.save_state": lambda store, job: store.runs.save_state(job, {"row": 7}),
    "runs.save_step": lambda store, job: store.runs.save_step(job, Step("a", LATER, LATER)),
    "history.requeue": lambda store, job: store.history.requeue(job.id, LATER),
    "runs.move": lambda store, job: store.runs.move(WORKER, OTHER_WORKER),
    "waits.follow": lambda store, job: store.waits.follow([job.id]),
    "waits.release": lambda store, job: store.waits.release([End(job_tag(job.id), True)]),
    "waits.waited_for": lambda store, job: store.waits.waited_for("", 10),
    "waits.parents": lambda store, job: store.waits.parents([job.id]),
    "waits.followers": lambda store, job: store.waits.followers(job_tag(job.id), 10),
    "waits.bring_back": lambda store, job: store.waits.bring_back(job_tag(job.id), LATER, 10),
    "kills.kill_waiting": lambda store, job: store.kills.kill_waiting(job.id, LATER),
    "kills.request": lambda store, job: store.kills.request(job.id, WORKER, LATER),
    "kills.acknowledge": lambda store, job: store.kills.acknowledge([job.id]),
    "workers.register": lambda store, job: store.workers.register(worker(id=WORKER)),
    "workers.beat": lambda store, job: store.workers.beat(WORKER, 4096),
    "workers.unregister": lambda store, job: store.workers.unregister(WORKER),
    "workers.remove_dead": lambda store, job: store.workers.remove_dead(worker(id=WORKER)),
    "crons.create": lambda store, job: store.crons.create(cron(job.name)),
    "crons.update": lambda store, job: store.crons.update(
        cron(job.name), "* * * * *", LATER, LATER
    ),
    "crons.remove": lambda store, job: store.crons.remove(job.name),
    "crons.remove_occurrences": lambda store, job: store.crons.remove_occurrences(
        job.name, NOW, ()
    ),
    "crons.skip_waiting": lambda store, job: store.crons.skip_waiting(job.name, LATER),
    "settings.put": lambda store, job: store.settings.put("kind", job.name, {"a": 1}, None),
    "settings.remove": lambda store, job: store.settings.remove("kind", job.name),
    "settings.remove_before": lambda store, job: store.settings.remove_before("kind", job.name),
    "history.delete": lambda store, job: store.history.delete([job.id]),
    "rollups.add": lambda store, job: store.rollups.add([Rollup(60, NOW, {"killed": 1})]),
    "rates.reserve": lambda store, job: store.rates.reserve(job.name, PACE, 1),
    "rates.give_back": lambda store, job: store.rates.give_back(job.name, RESERVED, 1),
    "rates.hold": lambda store, job: store.rates.hold(job.name, 60.0),
    "history.prune": lambda store, job: store.history.prune(LATER, 10),
    "setup": lambda store, job: store.setup(),
    "lanes.claim": lambda store, job: store.lanes.claim(
        LaneClaim(OTHER_WORKER, (job.name,), 10, LATER)
    ),
    "lanes.hand_over": lambda store, job: store.lanes.hand_over([job.name]),
    "lanes.park": lambda store, job: store.lanes.park([job.id], "token", LATER),
    "lanes.release": lambda store, job: store.lanes.release([job.id], LATER),
    "lanes.withdraw": lambda store, job: store.lanes.withdraw([job.name], LATER, ()),
    "lanes.expire": lambda store, job: store.lanes.expire(LATER, 10),
    "lanes.retract": lambda store, job: store.lanes.retract([job.name]),
    "lanes.dissolve": lambda store, job: store.lanes.dissolve([job.name], [job.name], 10),
    "schedules.put": lambda store, job: store.schedules.put(schedule(job.name), None),
    "schedules.remove": lambda store, job: store.schedules.remove(job.name),
    "schedules.advance": lambda store, job: store.schedules.advance(
        [(schedule(job.name), schedule(job.name))]
    ),
    "schedules.prune": lambda store, job: store.schedules.prune(LATER, 10),
    "messages.put": lambda store, job: store.messages.put(MESSAGE),
    "messages.deliver": lambda store, job: store.messages.deliver([MESSAGE.topic], LATER),
    "messages.wake": lambda store, job: store.messages.wake([job.id], LATER),
    "messages.waited": lambda store, job: store.messages.waited([WAIT]),
    "tokens.admit": lambda store, job: store.tokens.admit([job.name]),
    "tokens.recall": lambda store, job: store.tokens.recall(job.name, NOW, LATER),
    "tokens.hasten": lambda store, job: store.tokens.hasten(job.name, NOW),
    "tokens.withdraw": lambda store, job: store.tokens.withdraw([job.name], LATER, ()),
    "tokens.dissolve": lambda store, job: store.tokens.dissolve([job.name], [job.name], 10),
    "groups.open": lambda store, job: store.groups.open(GroupRecord(**OPENED, id=job.id)),
    "groups.touch": lambda store, job: store.groups.touch(job.id, LATER),
    "groups.seal": lambda store, job: store.groups.seal(job.id),
    "groups.abandon": lambda store, job: store.groups.abandon(job.id, LATER, "left"),
    "groups.break_off": lambda store, job: store.groups.break_off(job.id, "killed"),
    "groups.reopen": lambda store, job: store.groups.reopen(job.id, LATER),
    "groups.look": lambda store, job: store.groups.look([job.id]),
    "groups.complete": lambda store, job: store.groups.complete(job.id),
    "groups.serve": lambda store, job: store.groups.serve(GroupRecord(**OPENED, id=job.id)),
    "groups.release_waiters": lambda store, job: store.groups.release_waiters(
        GroupRecord(**OPENED, id=job.id)
    ),
    "groups.note_served": lambda store, job: store.groups.note_served(job.id, 1),
    "groups.mend": lambda store, job: store.groups.mend([job.id]),
}
"""Each verb that might write, aimed at a running job."""

READS = frozenset(
    {
        "groups.counts",
        "groups.get",
        "groups.get_many",
        "groups.newest",
        "groups.open_of",
        "groups.unfinished",
        "waits.flows",
        "waits.graph",
        "waits.counts_of_flow",
        "lanes.waiting",
        "lanes.in_use",
        "lanes.look_at",
        "lanes.members",
        "lanes.parked",
        "lanes.holding",
        "lanes.next_ready",
        "tokens.waiting",
        "tokens.lanes_of",
        "history.count",
        "workers.count_alive",
        "history.count_matching",
        "history.reach",
        "crons.all",
        "history.find",
        "history.find_active",
        "rates.states",
        "history.summaries",
        "history.get",
        "history.get_many",
        "kills.requested",
        "settings.last",
        "history.latest",
        "history.summaries_of",
        "history.names",
        "queue.next_due",
        "describe",
        "exists",
        "ping",
        "crons.standing_at",
        "queue.count_due",
        "queue.due",
        "workers.registrations",
        "rollups.since",
        "history.count_states",
        "settings.several",
        "rollups.of",
        "rollups.sums",
        "rollups.errors",
        "runs.workers",
        "runs.of_worker",
        "settings.all",
        "runs.state",
        "history.states_of",
        "runs.summaries",
        "workers.vitals",
        "messages.find",
        "schedules.get",
        "schedules.page",
        "schedules.due",
        "schedules.next_due",
        "schedules.moved_after",
        "messages.waiting",
        "messages.waiting_for",
    }
)
NOT_OF_A_RUN = frozenset(
    {
        *("close", "intake.insert_in", "waits.follow_in", "messages.put_in"),
        *("runs.settle", "runs.settle_together"),
    }
)
"""`settle` ends the run, alone or with others; a transaction of the caller only inserts, and marks
what it follows."""


def test_every_verb_is_known_here() -> None:
    """A verb that is added to the store has to say whether it writes to a run."""
    life = {name for name, _ in inspect.getmembers(Store, inspect.iscoroutinefunction)}
    assert verbs() | life == WRITES.keys() | READS | NOT_OF_A_RUN


@pytest.mark.parametrize("verb", WRITES)
async def test_no_verb_but_the_settlement_moves_it(store: Store, verb: str) -> None:
    """Running → whatever is written to it, the moment of its claim stays, and its fence holds."""
    (job,) = await run(store, simple(unique_key="key"))
    assert isinstance(job, SimpleJob)
    await WRITES[verb](store, job)
    (stored,) = await read(store, job)
    assert stored is not None
    assert (stored.status, stored.updated_at) == ("running", job.updated_at)
    assert (await store.runs.settle([end(replace(job, worker_id=stored.worker_id))])).won == {
        job.id
    }


async def test_each_claim_has_a_moment_of_its_own(store: Store) -> None:
    """In the same millisecond, or an earlier one, a claim writes one more than was there."""
    long_ago = NOW - timedelta(days=3650)
    await store.intake.insert([simple(scheduled_for=long_ago, updated_at=NOW)])
    moments = [NOW]
    for clock in (NOW, NOW, long_ago, NOW, NOW + 2 * MS, LATER):
        (claimed,) = await store.queue.claim(claim(now=clock))
        assert claimed.updated_at == max(clock, moments[-1] + MS)
        assert claimed.updated_at > moments[-1]
        moments.append(claimed.updated_at)
        await store.runs.settle([end(claimed, JobStatus.PAUSED, at=clock, output=None)])


@pytest.mark.parametrize("limit", [1, 5])
async def test_a_claim_of_one_and_of_many_write_the_same(store: Store, limit: int) -> None:
    """What was made by a clock ahead is claimed all the same, and begins at its moment."""
    ahead = NOW + timedelta(days=3650)
    jobs = [simple(created_at=ahead, updated_at=ahead) for _ in range(limit)]
    await store.intake.insert(jobs)
    claimed = await store.queue.claim(claim(limit, now=NOW))
    assert [(job.updated_at, job.started_at) for job in claimed] == [(ahead + MS,) * 2] * limit
    assert not any(job.ran_before for job in claimed)
    assert (await store.runs.settle([end(job) for job in claimed])).won == {job.id for job in jobs}


async def test_a_run_of_the_same_worker_and_attempt_is_fenced_from_the_one_before(
    store: Store,
) -> None:
    """A resumed run has worker and attempt of the first; whatever the first writes is refused."""
    first = await run_one(store)
    await store.runs.settle([end(first, JobStatus.PAUSED, at=first.updated_at, output=None)])
    (second,) = await store.queue.claim(claim(now=NOW))
    assert (second.worker_id, second.attempt) == (first.worker_id, first.attempt)
    for settlement in (end(first), retry(first), end(first, JobStatus.PAUSED, output=None)):
        assert (await store.runs.settle([settlement])).won == set()
    assert not await store.runs.save_state(first, {"row": 7})
    await store.runs.save_notes([(first, NOTES)])
    assert await read(store, second) == [second]
    assert (await store.runs.settle([end(second)])).won == {second.id}


async def test_a_lost_reply_of_an_earlier_run_is_not_recognized_in_a_later_one(
    store: Store,
) -> None:
    """Two runs may end in the same way and the same millisecond; each knows only its own end."""
    first = await run_one(store)
    pause = end(first, JobStatus.PAUSED, at=NOW, output=None)
    assert (await store.runs.settle([pause])).won == {first.id}
    assert (await store.runs.settle([pause])).won == {first.id}
    (second,) = await store.queue.claim(claim(now=NOW))
    again = end(second, JobStatus.PAUSED, at=NOW, output=None)
    assert (await store.runs.settle([again])).won == {first.id}
    assert (await store.runs.settle([pause])).won == set()
    assert (await store.runs.settle([again])).won == {first.id}


async def _paused_and_killed(store: Store, job: Job, at: datetime) -> None:
    await store.runs.settle([end(job, JobStatus.PAUSED, output=None)])
    assert await store.kills.kill_waiting(job.id, at) is not None


async def _requeued(store: Store, job: Job, at: datetime) -> None:
    await store.runs.settle([end(job)])
    assert await store.history.requeue(job.id, at) is not None


async def _replaced(store: Store, job: Job, at: datetime) -> None:
    await store.runs.settle([end(job, JobStatus.PENDING, output=None, started=False)])
    holder = await store.intake.find_holder(job.name, "key")
    assert holder is not None
    new = simple(unique_key="key", updated_at=at, created_at=at)
    assert await store.intake.replace(holder, new) is not None


BACKWARDS: dict[str, Callable[[Store, Job, datetime], Awaitable[Any]]] = {
    "runs.settle": lambda store, job, at: store.runs.settle([end(job, at=at)]),
    "retry": lambda store, job, at: store.runs.settle([retry(job, at=at)]),
    "pause and kill": _paused_and_killed,
    "send round again": _requeued,
    "intake.replace": _replaced,
}


@pytest.mark.parametrize("write", BACKWARDS)
async def test_it_never_goes_back(store: Store, write: str) -> None:
    """A clock that has stepped back ten years moves no job's `updated_at` back with it."""
    (job,) = await run(store, simple(unique_key="key"))
    await BACKWARDS[write](store, job, NOW - timedelta(days=3650))
    (stored,) = await read(store, job)
    assert stored is not None
    assert stored.status is not JobStatus.RUNNING
    assert stored.updated_at >= job.updated_at


async def test_the_end_is_told_by_the_clock_whatever_the_moment(store: Store) -> None:
    """`ended_at` is the time at which it ended, by which history is bounded."""
    (job,) = await run(store, simple(created_at=LATER, updated_at=LATER))
    assert (await store.runs.settle([end(job, at=NOW)])).won == {job.id}
    (stored,) = await read(store, job)
    assert stored is not None
    assert (stored.ended_at, stored.updated_at) == (NOW, job.updated_at)


async def test_a_run_that_was_inserted_running_settles(store: Store) -> None:
    """`run_job` and older versions: the fence has whatever moment was read."""
    job = simple(status=JobStatus.RUNNING, worker_id=WORKER, started_at=NOW)
    await store.intake.insert([job])
    (run_here,) = await store.runs.of_worker(WORKER, 10)
    assert (await store.runs.settle([end(run_here)])).won == {job.id}


async def test_the_last_moment_that_there_is(store: Store) -> None:
    """A clock as far ahead as dates go leaves a job that can be claimed and settled, still."""
    job = simple(updated_at=LAST_MOMENT - MS)
    await store.intake.insert([job])
    (claimed,) = await store.queue.claim(claim())
    assert claimed.updated_at > NOW
    assert (await store.runs.settle([end(claimed)])).won == {job.id}


async def test_a_saved_state_has_the_moment_of_its_run(store: Store) -> None:
    """So who reads a run knows whether this very run has saved one; a fresh start has none."""
    (job,) = await run(store, simple())
    assert job.state_saved is None
    assert await store.runs.save_state(job, {"row": 7})
    (saved,) = await store.runs.of_worker(WORKER, 10)
    assert saved.state_saved == saved.updated_at == job.updated_at
    await store.runs.settle([end(job, JobStatus.PAUSED, output=None)])
    (again,) = await store.queue.claim(claim(now=LATER))
    assert again.state_saved != again.updated_at
    await store.runs.settle([end(again)])
    fresh = await store.history.requeue(job.id, LATER)
    assert fresh is not None
    assert fresh.state_saved is None
