"""Under the strict validator that the Node package installs at each of its starts."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor.errors import StoreRefusedError
from job_processor.models import JobStatus, Output, SkipMetadata
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.mongo import MongoStore, open_mongo
from job_processor.store.mongo.errors import VALIDATOR_ADVICE
from job_processor.store.requests import JobQuery, Verdict
from tests.node.databases import fixture
from tests.samples import NOW, SECOND, SOON, WORKER, claim, cron, end, occurrence, simple
from tests.store.mongo.conftest import Database

pytestmark = pytest.mark.mongo


@pytest.fixture(autouse=True)
async def node_validator(store: MongoStore, database: Database) -> None:
    """The Node package's validator is in force."""
    await database.command("collMod", "job_processor.jobs", **fixture("node_validator.json"))


async def test_a_plain_job_lives_its_whole_life(store: MongoStore) -> None:
    """Insert, claim, pause, resume, move and finish write nothing that Node refuses."""
    await store.intake.insert([simple(payload={"a": [1, None, NOW, b"x"]}), occurrence()])
    first = await store.queue.claim(claim(10))
    assert (await store.runs.settle([end(run, JobStatus.PAUSED, output=None) for run in first])).won
    second = await store.queue.claim(claim(10, now=NOW + 3 * SECOND))
    other = ObjectId()
    assert len(await store.runs.move(WORKER, other)) == 2
    moved = [replace(run, worker_id=other) for run in second]
    assert len((await store.runs.settle([end(run) for run in moved])).won) == 2


async def test_every_other_end_of_a_plain_job_is_accepted(store: MongoStore) -> None:
    """Errored, killed and skipped ends, a waiting kill, and a run given back are accepted."""
    metadata = SkipMetadata("other", None, NOW)
    ends = [
        (JobStatus.ERRORED, Output("1ms", None, "ValueError: 1"), True),
        (JobStatus.KILLED, Output("1ms", None, "Killed"), True),
        (JobStatus.SKIPPED, Output("--", None, None, metadata), True),
        (JobStatus.PENDING, None, False),
    ]
    await store.intake.insert([simple() for _ in ends])
    runs = await store.queue.claim(claim(10))
    settlements = [
        end(run, status, output=output, started=started)
        for run, (status, output, started) in zip(runs, ends, strict=True)
    ]
    assert len((await store.runs.settle(settlements)).won) == len(ends)
    (waiting,) = await store.history.find(JobQuery(status=JobStatus.PENDING))
    assert waiting.started_at is None
    assert await store.kills.kill_waiting(waiting.id, SOON)


async def test_it_is_recognized(store: MongoStore, database: Database) -> None:
    """Node's refuses what a plain job does not have; ours, and none at all, do not."""
    refuses = [store.node_side().refuses_own_fields]
    await store.node_side().look()
    refuses.append(store.node_side().refuses_own_fields)
    await database.command("collMod", "job_processor.jobs", validator={})
    await store.setup()
    assert [*refuses, store.node_side().refuses_own_fields] == [False, True, False]


async def test_occurrences_of_node_are_told_from_ours(store: MongoStore) -> None:
    """By their ids, whatever became of them; those of other names and times do not count."""
    theirs = occurrence(id=ObjectId(), scheduled_for=SOON)
    await store.intake.insert([occurrence(), theirs, occurrence(at=SOON, name="other")])
    await store.kills.kill_waiting(theirs.id, SOON)
    assert await store.node_side().planned("nightly", [NOW, SOON]) == {SOON}
    assert await store.node_side().planned("nightly", [NOW]) == set()


async def test_an_occurrence_of_node_stands_where_the_pointer_is(store: MongoStore) -> None:
    """Its id tells nothing, its time does; one of another time, and ours twice, do not count."""
    await store.crons.create(cron())
    await store.crons.create(cron("other"))
    theirs = occurrence(id=ObjectId())
    later = occurrence(name="other", id=ObjectId(), scheduled_for=SOON)
    await store.intake.insert([theirs, later, simple()])
    assert await store.crons.standing_at([theirs.id]) == []  # nobody has seen Node yet
    await store.node_side().look()
    asked = [theirs.id, later.id, occurrence().id]
    assert await store.crons.standing_at(asked) == [cron()]
    assert await store.crons.standing_at(asked[:2]) == [cron()]


async def test_a_cron_is_given_to_node_as_it_stands(store: MongoStore) -> None:
    """Under another id and with its occurrences; one that has moved meanwhile stays ours."""
    await store.crons.create(cron())
    await store.intake.insert([occurrence()])
    assert not await store.node_side().give_cron(cron(scheduled_for=SOON))
    assert await store.node_side().give_cron(cron())
    (given,) = await store.crons.all()
    assert given == cron(id=given.id)
    assert given.id != cron().id
    assert await store.history.find_active("cron_task", "nightly") is not None
    assert not await store.node_side().give_cron(cron())  # it is ours no more


@pytest.mark.parametrize("feature", [{"priority": 1}, {"expires_at": SOON}])
async def test_what_node_does_not_know_is_refused(store: MongoStore, feature: Any) -> None:
    """With an error that names the job, and nothing is stored."""
    job = simple(**feature)
    with pytest.raises(StoreRefusedError, match=str(job.id)):
        await store.intake.insert([job])
    assert await store.history.get(job.id) is None


async def test_a_plain_job_is_sent_round_again(store: MongoStore) -> None:
    """By hand, which leaves it as plain as it was."""
    await store.intake.insert([simple()])
    (run,) = await store.queue.claim(claim())
    await store.runs.settle([end(run)])
    by_hand = SOON + timedelta(minutes=1)
    assert await store.history.requeue(run.id, by_hand) == replace(
        simple(id=run.id), scheduled_for=by_hand, updated_at=by_hand
    )


async def test_a_cron_and_a_skipped_insert_are_accepted(store: MongoStore) -> None:
    """A cron, its moved pointer, and a job stored as skipped pass Node's validator."""
    assert await store.crons.create(cron())
    assert await store.crons.update(cron(), "0 * * * *", SOON, SOON)
    metadata = SkipMetadata("noConcurrent_conflict", ObjectId(), NOW)
    skipped = simple(
        status=JobStatus.SKIPPED, ended_at=NOW, output=Output("--", None, None, metadata)
    )
    assert await store.intake.insert([skipped, simple(exclusive=True)]) == []


async def test_a_crash_is_settled_without_its_count(
    store: MongoStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the validator refuses `crashes`, a crash is settled all the same, with one warning."""
    await store.intake.insert([simple() for _ in range(3)])
    *crashed, fine = await store.queue.claim(claim(3))
    settlements = [end(run, JobStatus.ERRORED, crashes=1) for run in crashed] + [end(fine)]
    with caplog.at_level(logging.WARNING, "job_processor"):
        assert len((await store.runs.settle(settlements)).won) == 3
        assert len((await store.runs.settle(settlements)).won) == 3
    assert [record.message for record in caplog.records if "'crashes'" in record.message] == [
        (
            "the validator of job_processor.jobs refuses the fields 'crash' and 'crashes': jobs do "
            "not keep which worker died, and those that take theirs down again and again are not "
            "recognized"
        )
    ]
    assert await store.history.get(crashed[0].id) == replace(settlements[0].written(), crashes=0)


async def test_a_retry_is_refused_with_the_reason(store: MongoStore) -> None:
    """A retry needs `attempt`, which Node's validator refuses: the error says what to do."""
    await store.intake.insert([simple()])
    (run,) = await store.queue.claim(claim())
    retry = end(run, JobStatus.PENDING, attempt=2, scheduled_for=SOON)
    verdict = await store.runs.settle([retry])
    assert verdict == Verdict(set(), {run.id: VALIDATOR_ADVICE})
    assert await store.runs.of_worker(WORKER, 10) == [run]
    assert (await store.runs.settle([end(run, JobStatus.ERRORED)])).won == {run.id}


async def test_one_that_is_refused_does_not_keep_the_others_of_its_batch(
    store: MongoStore,
) -> None:
    """In a batch with a refused settlement the others are written, and a repetition says so."""
    await store.intake.insert([simple(), simple()])
    refused, fine = await store.queue.claim(claim(2))
    batch = [end(refused, JobStatus.PENDING, attempt=2), end(fine)]
    for _ in range(2):
        verdict = await store.runs.settle(batch)
        assert verdict == Verdict({fine.id}, {refused.id: VALIDATOR_ADVICE})


@pytest.mark.parametrize("others", [0, 1])
async def test_an_insert_with_fields_of_ours_is_refused_with_the_reason(
    store: MongoStore, others: int
) -> None:
    """One job or many: the refused one is named, the others are there."""
    job = simple(attempt=2)
    plain = [simple() for _ in range(others)]
    with pytest.raises(StoreRefusedError, match=rf"{job.id}.*validator"):
        await store.intake.insert([job, *plain])
    assert len(await store.history.find(JobQuery())) == others


async def put_refused(store: MongoStore, database: Database, count: int) -> list[ObjectId]:
    """Store the most urgent jobs, with a field that Node's validator refuses on each update."""
    refused = [simple(scheduled_for=NOW - SECOND) for _ in range(count)]
    await store.intake.insert(refused)
    await database["job_processor.jobs"].update_many(
        {"_id": {"$in": [job.id for job in refused]}},
        {"$set": {"of_another": 1}},
        bypass_document_validation=True,
    )
    return [job.id for job in refused]


@pytest.mark.parametrize("limit", [1, 10])
async def test_a_claim_sets_aside_what_the_validator_refuses(
    store: MongoStore, database: Database, caplog: pytest.LogCaptureFixture, limit: int
) -> None:
    """A claim that meets error 121 leaves those jobs alone, says so once, and takes the others."""
    refused = await put_refused(store, database, 2)
    jobs = [simple() for _ in range(2)]
    await store.intake.insert(jobs)
    taken = [run.id for _ in range(3) for run in await store.queue.claim(claim(limit))]
    assert set(taken) == {job.id for job in jobs}
    assert len(taken) == 2
    told = [record.message for record in caplog.records if "left alone" in record.message]
    assert sorted(told) == sorted(
        f"job {job_id} is left alone for 10 minutes: the validator of job_processor.jobs refuses "
        "it as it is"
        for job_id in refused
    )


async def test_what_is_set_aside_is_not_due(store: MongoStore, database: Database) -> None:
    """A job that was set aside does not make the worker look again and again."""
    await put_refused(store, database, 1)
    assert await store.queue.next_due(["resize"]) == NOW - SECOND
    assert await store.queue.claim(claim()) == []
    assert await store.queue.next_due(["resize"]) is None


async def test_a_job_that_left_its_lane_is_not_set_aside_any_more(
    store: MongoStore, database: Database, mongo_db_url: str
) -> None:
    """What a claim of lanes set aside is claimed at once as any other, whoever took it out."""
    await database.command("collMod", "job_processor.jobs", validator={})
    await store.intake.insert([simple(lane="resize:a")])
    await database.command("collMod", "job_processor.jobs", **fixture("node_validator.json"))
    store.lanes.book = LimitBook(lambda: {"resize": 1}, lambda: ["resize"])
    of_lanes = LaneClaim(WORKER, ("resize",), 10, SOON)
    assert (await store.lanes.claim(of_lanes)).jobs == []
    other = open_mongo(mongo_db_url)
    await other.setup()
    assert await other.lanes.dissolve(["resize:a"], ["resize"], 10) == 1
    await other.close()
    assert len(await store.queue.claim(claim(10, now=SOON))) == 1
