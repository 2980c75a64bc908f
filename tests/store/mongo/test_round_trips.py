"""What each verb costs: the commands that it sends, however many jobs it is about."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from bson import ObjectId

from job_processor import JobProcessor
from job_processor.models import Job
from job_processor.store.groups import Callback, GroupRecord
from job_processor.store.mongo import MongoStore
from tests.processors import eventually, working
from tests.samples import NOW, claim, end, simple
from tests.store.contract.test_waits import after
from tests.store.mongo.conftest import Commands, Database
from tests.store.mongo.verbs import READS, VERBS

pytestmark = pytest.mark.mongo

MANY = 50
CLAIM_OF_MANY = ["find", "update", "find"]
"""Candidates, the claim itself, and which of them it took."""

PRUNE = ["delete", *["find"] * 4, "update", "delete", "delete", "find"]

COSTS: dict[str, list[str]] = {
    "queue.claim": ["findAndModify"],
    "intake.insert": ["insert"],
    "intake.put": ["insert"],
    "runs.settle": ["update", "find"],  # nothing matched
    "runs.settle_together": ["update", "find"],  # as above
    "runs.move": ["update", "find"],
    "intake.release_key": ["update"],
    "intake.replace": ["update"],
    "runs.save_notes": ["update"],
    "runs.save_state": ["update"],
    "runs.save_step": ["update"],
    "history.requeue": ["update"],
    "kills.kill_waiting": ["update"],
    "kills.request": ["update", "insert"],
    "kills.acknowledge": ["find", "find"],
    "workers.register": ["update"],
    "workers.beat": ["update"],
    "workers.unregister": ["delete"],
    "workers.remove_dead": ["delete"],
    "crons.create": ["update"],
    "crons.update": ["update"],
    "crons.remove": ["find", "delete"],
    "crons.remove_occurrences": ["find"],
    "crons.skip_waiting": ["update"],
    "settings.put": ["insert"],
    "settings.remove": ["delete"],
    "settings.remove_before": ["delete"],
    "history.delete": ["find"],
    "rollups.add": ["update"],
    "rates.reserve": ["findAndModify", "insert", "findAndModify"],  # the first of a lane
    "rates.give_back": ["update", "find"],  # others have reserved since; else the first one
    "rates.hold": ["findAndModify"],
    "history.prune": PRUNE,
    "ping": ["hello"],
    "queue.next_due": ["find"],
    "runs.of_worker": ["find"],
    "kills.requested": ["find", "find"],
    "workers.registrations": ["aggregate"],
    "runs.workers": ["aggregate"],
    "crons.all": ["find"],
    "crons.standing_at": ["find"],
    "settings.all": ["find"],
    "settings.last": ["find"],
    "history.get": ["find"],
    "history.get_many": ["find"],
    "history.states_of": ["find"],
    "history.find": ["find"],
    "history.find_active": ["find", "find"],
    "intake.find_holder": ["find", "find"],
    "runs.state": ["find"],
    "history.count_matching": ["aggregate"],
    "history.reach": ["aggregate"],
    "rollups.since": ["find"],
    "history.count_states": ["aggregate"],
    "settings.several": ["find"],
    "rollups.of": ["find"],
    "rollups.sums": ["find"],
    "rollups.errors": ["find"],
    "rates.states": ["aggregate"],
    "history.summaries": ["find"],
    "runs.summaries": ["find"],
    "history.summaries_of": ["find"],
    "history.latest": ["aggregate"],
    "workers.vitals": ["aggregate", "find", "find"],
    "workers.count_alive": ["aggregate"],
    "queue.count_due": ["aggregate"],
    "queue.due": ["find", "find"],
    "lanes.claim": ["find"],
    "lanes.hand_over": ["find"],
    "lanes.park": ["update"],
    "lanes.release": ["update"],
    "lanes.withdraw": ["update"],
    "lanes.retract": ["update"],
    "lanes.dissolve": ["find"],
    "lanes.expire": ["find"],
    "lanes.waiting": ["find"],
    "lanes.in_use": ["aggregate", "aggregate"],
    "lanes.look_at": ["aggregate"],
    "lanes.members": ["aggregate"],
    "lanes.parked": ["find"],
    "lanes.holding": ["find"],
    "lanes.next_ready": ["find"],
    "waits.follow": ["update", "find"],
    "waits.release": ["find"],
    "waits.bring_back": ["find"],
    "waits.waited_for": ["find"],
    "waits.followers": ["find"],
    "waits.parents": ["find"],
    "waits.flows": ["find"],
    "waits.graph": ["find"],
    "waits.counts_of_flow": ["aggregate"],
    "tokens.admit": ["find"],
    "tokens.recall": ["update"],
    "tokens.hasten": ["update"],
    "tokens.withdraw": ["update"],
    "tokens.dissolve": ["find"],
    "tokens.waiting": ["find"],
    "tokens.lanes_of": ["find"],
    "messages.put": ["insert"],
    "messages.deliver": ["find"],
    "messages.wake": ["update"],
    "messages.waited": ["find", "find"],
    "messages.find": ["find"],
    "messages.waiting": ["find"],
    "messages.waiting_for": ["find"],
    "schedules.put": ["insert"],
    "schedules.remove": ["delete"],
    "schedules.advance": ["update", "find"],
    "schedules.prune": ["find"],
    "schedules.get": ["find"],
    "schedules.page": ["find"],
    "schedules.due": ["find"],
    "schedules.next_due": ["find"],
    "schedules.moved_after": ["find"],
    "groups.open": ["insert"],
    "groups.touch": ["update"],
    "groups.seal": ["update"],
    "groups.abandon": ["update"],
    "groups.break_off": ["update"],
    "groups.reopen": ["update"],
    "groups.look": ["find", "find"],
    "groups.complete": ["find"],
    "groups.serve": ["find", "update"],
    "groups.release_waiters": ["find"],
    "groups.note_served": ["update"],
    "groups.mend": ["find", "find"],
    "groups.get": ["find"],
    "groups.get_many": ["find"],
    "groups.newest": ["find"],
    "groups.unfinished": ["find"],
    "groups.open_of": ["find"],
    "groups.counts": ["aggregate"],
    "history.names": ["aggregate", "aggregate"],
    "history.count": ["aggregate"],
}

WINDOW = 2.0
"""Seconds over which the commands of an idle worker are counted."""

POLL = 0.2
MOST_IDLE = 15
"""A look for work each `poll_interval`, and a few others."""


async def running(store: MongoStore, count: int) -> Sequence[Job]:
    """Insert and claim jobs."""
    await store.intake.insert([simple() for _ in range(count)])
    return await store.queue.claim(claim(count))


async def test_each_verb_has_its_cost(watched_store: MongoStore, commands: Commands) -> None:
    """A verb that finds nothing to do costs one or two commands."""
    sent = {}
    for verb in COSTS:
        commands.sent.clear()
        await VERBS[verb](watched_store)
        sent[verb] = commands.names
    assert sent == COSTS


@pytest.mark.parametrize("count", [2, MANY])
async def test_many_cost_no_more_than_few(
    watched_store: MongoStore, commands: Commands, count: int
) -> None:
    """An insert is one command, a claim three, a settlement one, for two jobs or for hundreds."""
    await watched_store.intake.insert([simple() for _ in range(count)])
    assert commands.names == ["insert"]
    commands.sent.clear()
    jobs = await watched_store.queue.claim(claim(count))
    assert len(jobs) == count
    assert commands.names == CLAIM_OF_MANY
    commands.sent.clear()
    verdict = await watched_store.runs.settle([end(job) for job in jobs])
    assert verdict.won == {job.id for job in jobs}
    assert commands.names == ["update"]
    commands.sent.clear()
    assert await watched_store.queue.claim(claim(count)) == []
    assert commands.names == ["find"]


async def test_a_release_costs_a_look_and_a_write(
    watched_store: MongoStore, commands: Commands
) -> None:
    """However many jobs end in a batch, and however many come after them."""
    parents = [simple("parent", followed=True) for _ in range(MANY)]
    await watched_store.intake.insert([*parents, *(after(parent) for parent in parents)])
    jobs = await watched_store.queue.claim(claim(MANY, "parent"))
    commands.sent.clear()
    await watched_store.runs.settle([end(job) for job in jobs])
    assert commands.names == ["update", "find", "update"]


async def test_a_run_that_is_followed_meanwhile_costs_one_look_more(
    watched_store: MongoStore, commands: Commands
) -> None:
    """Its settlement misses, is read, and is written again."""
    (job,) = await running(watched_store, 1)
    await watched_store.intake.insert([after(job)])
    await watched_store.waits.follow([job.id])
    commands.sent.clear()
    await watched_store.runs.settle([end(job)])
    assert commands.names == ["update", "find", "update", "find", "update"]


async def test_one_job_costs_three_commands(watched_store: MongoStore, commands: Commands) -> None:
    """Insert, claim and settlement of a lone job are one command each."""
    (job,) = await running(watched_store, 1)
    await watched_store.runs.settle([end(job)])
    assert commands.names == ["insert", "findAndModify", "update"]


async def test_the_last_job_of_a_batch_costs_no_update_of_many(
    watched_store: MongoStore, commands: Commands
) -> None:
    """A worker with free slots that finds one job claims it in two commands."""
    await watched_store.intake.insert([simple()])
    commands.sent.clear()
    assert len(await watched_store.queue.claim(claim(10))) == 1
    assert commands.names == ["find", "findAndModify"]


@pytest.mark.parametrize("count", [2, MANY])
async def test_a_settlement_reads_only_what_did_not_match(
    watched_store: MongoStore, commands: Commands, count: int
) -> None:
    """One read more, of the whole batch, where a run was taken away; and none where none was."""
    jobs = await running(watched_store, count)
    foreign = [replace(jobs[0], worker_id=ObjectId()), *jobs[1:]]
    commands.sent.clear()
    verdict = await watched_store.runs.settle([end(job) for job in foreign])
    assert verdict.won == {job.id for job in jobs[1:]}
    assert commands.names == ["update", "find"]


async def test_an_idle_worker_is_cheap(watched_database: Database, commands: Commands) -> None:
    """It looks for work each `poll_interval`, waits on its one stream, and writes nothing."""
    async with JobProcessor(watched_database, poll_interval=POLL) as processor:

        @processor.job()
        async def work() -> None:
            pass

        async with working(processor):
            await processor.wait_for_job((await processor.schedule_job("work")).id)

            commands.sent.clear()

            async def looks() -> bool:
                return commands.names.count("find") > 3

            await eventually(looks, "an idle worker")
            commands.sent.clear()
            began = time.monotonic()
            await asyncio.sleep(WINDOW)  # the rate is what is tested
            sent: Sequence[str] = list(commands.names)
            windows = (time.monotonic() - began) / WINDOW
            await eventually(looks, "one that goes on")
    # Of other kinds: heartbeats, and what the wait above has left.
    assert not {"findAndModify", "insert", "createIndexes"} & set(sent), Counter(sent)
    assert len(sent) <= MOST_IDLE * windows, Counter(sent)


def test_every_verb_has_a_cost() -> None:
    """A new verb states its cost here."""
    assert COSTS.keys() == VERBS.keys()
    assert READS.keys() <= COSTS.keys()


async def test_the_end_of_a_group_costs_a_question_a_batch(
    watched_store: MongoStore, commands: Commands
) -> None:
    """A batch that ends members asks one question more, the last one ends the group."""
    group = GroupRecord(id=ObjectId(), created_at=NOW, touched_at=NOW, then=Callback(name="zip"))
    await watched_store.groups.open(group)
    await watched_store.intake.insert([simple(group=group.id) for _ in range(MANY)])
    assert await watched_store.groups.seal(group.id)
    jobs = await watched_store.queue.claim(claim(MANY))
    commands.sent.clear()
    await watched_store.runs.settle([end(job) for job in jobs[1:]])
    assert commands.names == ["update", "find"]
    commands.sent.clear()
    await watched_store.runs.settle([end(jobs[0])])
    asked = ["find"] * 4  # is anything open, the group, has any failed, is anything open
    assert commands.names == ["update", *asked, "update", "insert", "find", "update"]
