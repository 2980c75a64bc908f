"""What goes over the wire for the ends of many runs, and for their claims."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import bson
import pytest
from bson import ObjectId

from job_processor.models import Job, JobStatus, Output
from job_processor.store.lanes import LaneClaim, LimitBook
from job_processor.store.mongo import MongoStore
from job_processor.store.requests import Outcome, Settlement
from tests.samples import SOON, WORKER, claim, end, simple
from tests.store.mongo.conftest import Commands, Database

pytestmark = pytest.mark.mongo

MANY = 50


async def running(store: MongoStore, count: int) -> Sequence[Job]:
    """Insert and claim jobs."""
    await store.intake.insert([simple() for _ in range(count)])
    return await store.queue.claim(claim(count))


def finished(job: Job, result: Any = None, duration: str = "0ms") -> Settlement:
    """Return the end of a run that finished."""
    at = job.updated_at + timedelta(milliseconds=5)
    outcome = Outcome(status=JobStatus.FINISHED, at=at, output=Output(duration, result))
    return Settlement(job, outcome, WORKER)


async def test_ends_that_are_alike_share_a_statement(
    watched_store: MongoStore, commands: Commands
) -> None:
    """Those of one claim, one moment, one duration and one result; each other has its own."""
    jobs = await running(watched_store, MANY)
    commands.sent.clear()
    ends = [finished(job, None, "0ms" if n % 2 else "1ms") for n, job in enumerate(jobs[:-1])]
    ends.append(finished(jobs[-1], {"rows": 3}))
    assert (await watched_store.runs.settle(ends)).won == {job.id for job in jobs}
    ((_, command),) = commands.sent
    assert sorted(len(_ids(each)) for each in command["updates"]) == [1, 24, 25]


async def test_ends_of_a_limit_share_a_statement_too(
    watched_store: MongoStore, commands: Commands
) -> None:
    """Each gives its slot back, and no more than that is different."""
    book = LimitBook(lambda: {"sync": MANY}, lambda: ["sync"], lambda: SOON)
    watched_store.lanes.book = book
    await watched_store.intake.insert([simple("sync", lane="sync") for _ in range(MANY)])
    jobs = (await watched_store.lanes.claim(LaneClaim(WORKER, ("sync",), MANY, SOON))).jobs
    assert len({job.slot for job in jobs}) == MANY
    commands.sent.clear()
    assert len((await watched_store.runs.settle([finished(job) for job in jobs])).won) == MANY
    updates = [each for _, command in commands.sent for each in command.get("updates", ())]
    assert [len(_ids(each)) for each in updates] == [MANY]
    assert {job.slot for job in await watched_store.history.get_many([jobs[0].id])} == {None}


def _ids(update: dict[str, Any]) -> list[ObjectId]:
    found = update["q"]["_id"]
    return found["$in"] if isinstance(found, dict) else [found]


@pytest.mark.parametrize("results", [[True, 1, 1.0, "1"], [0, False, None, ""], [[1], [True]]])
async def test_each_result_is_stored_as_it_is(
    store: MongoStore, database: Database, results: list[Any]
) -> None:
    """Values that Python takes for equal are not alike."""
    jobs = await running(store, len(results))
    ends = [finished(*each) for each in zip(jobs, results, strict=True)]
    assert len((await store.runs.settle(ends)).won) == len(results)
    for job, result in zip(jobs, results, strict=True):
        document = await database["job_processor.jobs"].find_one({"_id": job.id})
        assert document is not None
        stored = document["output"]["result"]
        assert (type(stored), stored) == (type(result), result)
        if isinstance(result, list):
            assert type(stored[0]) is type(result[0])


async def test_the_guard_of_each_is_kept(store: MongoStore) -> None:
    """Of many alike, one that was claimed at another moment, or by another worker, is not ours."""
    jobs = await running(store, 4)
    later = replace(jobs[0], updated_at=jobs[0].updated_at + timedelta(milliseconds=1))
    foreign = replace(jobs[1], worker_id=ObjectId())
    verdict = await store.runs.settle([finished(job) for job in (later, foreign, *jobs[2:])])
    assert verdict.won == {job.id for job in jobs[2:]}


async def test_one_that_is_refused_keeps_none_of_its_like_back(
    store: MongoStore, database: Database
) -> None:
    """Nobody knows which of a statement it is, so each is written by itself then."""
    jobs = await running(store, 6)
    refused = jobs[2].id
    await database.command(
        "collMod",
        "job_processor.jobs",
        validator={"$or": [{"_id": {"$ne": refused}}, {"status": "running"}]},
        validationLevel="strict",
    )
    verdict = await store.runs.settle([finished(job) for job in jobs])
    assert verdict.won == {job.id for job in jobs} - {refused}
    assert verdict.refused.keys() == {refused}


async def test_a_repetition_wins_again(store: MongoStore) -> None:
    """After a reply that was lost: whoever holds exactly what was to be written has won."""
    jobs = await running(store, 6)
    ends = [finished(job) for job in jobs]
    for _ in range(2):
        assert (await store.runs.settle(ends)).won == {job.id for job in jobs}


async def test_ends_of_short_jobs_are_few_bytes(
    watched_store: MongoStore, commands: Commands
) -> None:
    """Mostly their ids: less than 60 bytes a job, however large its payload is."""
    jobs = await running(watched_store, MANY)
    commands.sent.clear()
    await watched_store.runs.settle([finished(job) for job in jobs])
    assert sum(len(bson.encode(sent)) for _, sent in commands.sent) < 60 * MANY


@pytest.mark.parametrize("count", [1, MANY])
async def test_a_claim_sends_no_payload_and_reads_no_saved_state(
    watched_store: MongoStore, commands: Commands, count: int
) -> None:
    """It sets a few small fields, and leaves unread what it wrote itself and what is large."""
    large = "x" * 10_000
    await watched_store.intake.insert([simple(payload={"large": large}) for _ in range(count)])
    jobs = await watched_store.queue.claim(claim(count))
    for job in jobs:
        await watched_store.runs.save_state(job, {"large": large})
    back = Outcome(status=JobStatus.PAUSED, at=SOON)
    await watched_store.runs.settle([Settlement(job, back, WORKER) for job in jobs])
    commands.sent.clear()
    again = await watched_store.queue.claim(claim(count, now=SOON + timedelta(seconds=1)))
    assert len(again) == count
    assert all(job.payload == {"large": large} for job in again if hasattr(job, "payload"))
    assert {job.status for job in again} == {JobStatus.RUNNING}
    assert {job.worker_id for job in again} == {WORKER}
    assert sum(len(bson.encode(_bare(sent))) for _, sent in commands.sent) < 2_000 + 40 * count
    for name, sent in commands.sent:
        if name == "findAndModify":
            (change,), shown = sent["update"], sent["fields"]
            assert "txnNumber" not in sent  # or the server keeps a copy of what it returns
        elif name == "update":
            (change,), shown = sent["updates"][0]["u"], None
        else:
            change, shown = None, sent["projection"]
        assert change is None or set(change["$set"]) == {
            "status",
            "worker_id",
            "updated_at",
            "started_at",
        }
        head = {"_id": 1, "priority": 1, "crashes": 1}
        assert shown in (None, head) or shown["state"] == 0


def _bare(sent: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in sent.items() if not key.startswith("$")}


async def test_an_end_echoes_no_payload(watched_store: MongoStore, commands: Commands) -> None:
    """What a settlement sends is the outcome alone."""
    await watched_store.intake.insert([simple(payload={"large": "x" * 10_000})])
    (job,) = await watched_store.queue.claim(claim())
    commands.sent.clear()
    await watched_store.runs.settle([end(job)])
    assert len(bson.encode(_bare(commands.sent[0][1]))) < 700
