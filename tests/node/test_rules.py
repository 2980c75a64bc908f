"""Features that the validator of a shared database refuses are refused when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from job_processor import (
    Context,
    CronDef,
    JobDef,
    JobOptions,
    JobProcessor,
    JobRequest,
    Rate,
    RateLimited,
    Retry,
    SharedDatabaseError,
    SimpleJob,
    StoreUnavailableError,
)
from job_processor.hooks import Host
from job_processor.models import Registrations
from job_processor.node.crons import SharedCrons
from job_processor.store.base import Abilities
from job_processor.store.mongo.store import MongoStore
from job_processor.store.mongo.stream import ChangeStream, open_stream
from job_processor.store.mongo.workers import MongoWorkers
from job_processor.store.requests import JobQuery
from tests.definitions import nothing
from tests.insides import store_of
from tests.node.databases import fixture, install_node_validator
from tests.processors import QUICK, Processors, eventually

pytestmark = pytest.mark.mongo


async def tells(context: Context) -> None:
    """Take a context."""


@pytest.fixture
async def shared_url(mongo_db_url: str) -> str:
    """The URL of a database that Node has set up."""
    async with AsyncMongoClient[dict[str, object]](mongo_db_url) as client:
        database = client.get_default_database()
        await database.create_collection("job_processor.jobs", **fixture("node_validator.json"))
    return mongo_db_url


@pytest.mark.parametrize(
    ("definitions", "argument"),
    [
        ({"jobs": {"a": JobDef(nothing, retry=Retry())}}, "retry of 'a'"),
        ({"crons": {"a": CronDef("@daily", nothing, retry=3)}}, "retry of 'a'"),
        ({"jobs": {"a": JobDef(tells)}}, "handler of 'a'"),
        ({"jobs": {"a": JobDef(nothing, limit=3)}}, "limit of 'a'"),
        ({"jobs": {"a": JobDef(nothing, rate=Rate(5, per=1, key="x"))}}, "rate of 'a'"),
        ({"crons": {"a": CronDef("@daily", nothing, limit=1)}}, "limit of 'a'"),
        ({"jobs": {"a": JobDef(nothing, labels=["x"])}}, "labels of 'a'"),
        ({"crons": {"a": CronDef("@daily", nothing, labels=["x"])}}, "labels of 'a'"),
    ],
)
async def test_a_definition_is_refused_at_setup(
    shared_url: str, definitions: dict[str, Any], argument: str
) -> None:
    """The error names feature, job, fields and what to do; the processor can be closed."""
    processor = JobProcessor(shared_url, **QUICK, **definitions)
    with pytest.raises(
        SharedDatabaseError, match=r"needs a field.*Node.*migrate-from-node"
    ) as told:
        await processor.setup()
    await processor.close()
    assert told.value.argument == argument


async def test_an_interval_is_refused(shared_url: str) -> None:
    """Node's scheduler would stop at it; the error tells what to write."""
    processor = JobProcessor(shared_url, **QUICK)
    processor.cron(every=5, name="tick")(nothing)
    with pytest.raises(SharedDatabaseError, match=r"stops at an interval.*put_schedule") as told:
        await processor.setup()
    await processor.close()
    assert (told.value.argument, told.value.value) == ("every of 'tick'", 5)


async def test_a_definition_that_is_added_later_is_refused(shared_url: str) -> None:
    """At once, and it is not kept; one that needs no field is taken."""
    async with Processors(shared_url) as processors:
        processor = await processors.make()
        with pytest.raises(SharedDatabaseError, match="retry of 'nothing'"):
            processor.job(retry=2)(nothing)
        with pytest.raises(SharedDatabaseError, match="handler of 'tells'"):
            processor.cron("@daily")(tells)
        assert list(processor.registry) == []
        processor.job()(nothing)


async def test_a_default_is_refused_like_an_option(shared_url: str) -> None:
    """When it is set up, and for what is added later; a definition that says no to it is taken."""
    async with Processors(shared_url) as processors:
        with pytest.raises(SharedDatabaseError, match="retry of 'a'"):
            await processors.make(jobs={"a": JobDef(nothing)}, defaults=JobOptions(retry=2))
        processor = await processors.make(
            jobs={"a": JobDef(nothing, retry=None)}, defaults=JobOptions(retry=2)
        )
        with pytest.raises(SharedDatabaseError, match="retry of 'nothing'"):
            processor.job(nothing)
        processor.job(retry=None)(nothing)


@pytest.mark.parametrize(
    "feature",
    [
        {"priority": 1},
        {"expires_at": timedelta(hours=1)},
        {"unique_key": "k"},
        {"after": "6b0c4ac55354ab563935f3e8"},
        {"labels": ["tenant:42"]},
    ],
)
async def test_a_job_with_a_field_of_ours_is_refused(
    shared_url: str, feature: dict[str, Any]
) -> None:
    """When it is scheduled, alone or among many, and nothing is stored."""
    async with Processors(shared_url) as processors:
        processor = await processors.make(jobs={"a": JobDef(nothing)})
        (argument,) = feature
        with pytest.raises(SharedDatabaseError, match="needs a field") as told:
            await processor.schedule_job("a", **feature)
        assert told.value.argument == argument
        with pytest.raises(SharedDatabaseError):
            await processor.schedule_jobs(["a", JobRequest("a", **feature)])
        assert (await processor.find_jobs()).jobs == ()


async def test_a_plain_definition_and_job_are_taken(shared_url: str) -> None:
    """Resumable, exclusive, tagged, limited and by name only: none of these needs a field."""
    definition = JobDef(nothing, resumable=True, exclusive=True, tag="a", max_runtime_in_minutes=1)
    jobs = {"a": definition, "elsewhere": JobDef(None, retry=3)}
    async with Processors(shared_url) as processors:
        processor = await processors.make(jobs=jobs, crons={"b": CronDef("@daily", nothing)})
        job = await processor.schedule_job("a", {}, timedelta(hours=1))
        assert await processor.get_job(job.id) == job


async def register_node_worker(url: str, tags: list[str] | None, age: int = 0) -> None:
    """Write what a Node worker, seen so many seconds ago, has written."""
    async with AsyncMongoClient[dict[str, object]](url) as client:
        workers = client.get_default_database()["job_processor.workers"]
        seen = datetime.now(UTC) - timedelta(seconds=age)
        await workers.insert_one({"hostname": "node", "lastSeen": seen, "tags": tags})


async def told(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Return once the log has a line with this text."""

    async def look() -> bool:
        return any(text in record.getMessage() for record in caplog.records)

    await eventually(look, f"{text!r} in the log")


@pytest.mark.parametrize("first", [True, False])
async def test_a_node_worker_without_tags_is_told_of(
    shared_url: str, caplog: pytest.LogCaptureFixture, first: bool
) -> None:
    """Whether it was there before ours or comes later, once each; not one with tags, nor a dead."""
    async with Processors(shared_url) as processors:
        await register_node_worker(shared_url, ["main"])
        await register_node_worker(shared_url, None, age=400)
        if first:
            await register_node_worker(shared_url, None)
        await processors.start(jobs={"a": JobDef(nothing)})
        if not first:
            await register_node_worker(shared_url, None)
        await told(caplog, "has no workerTags")
    assert sum("workerTags" in record.getMessage() for record in caplog.records) == 1


async def test_a_node_worker_that_comes_before_the_stream_is_open_is_told_of(
    shared_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first look of a worker without crons and its stream: no change tells of it."""
    looked = asyncio.Event()
    look = SharedCrons.look

    async def looks(self: SharedCrons) -> None:
        await look(self)
        looked.set()

    @asynccontextmanager
    async def opens_late(*options: Any) -> AsyncIterator[ChangeStream]:
        await looked.wait()
        await register_node_worker(shared_url, None)
        async with open_stream(*options) as stream:
            yield stream

    monkeypatch.setattr(SharedCrons, "look", looks)
    monkeypatch.setattr("job_processor.store.mongo.watch.open_stream", opens_late)
    async with Processors(shared_url) as processors:
        await processors.start(jobs={"a": JobDef(nothing)})
        await told(caplog, "has no workerTags")


@pytest.mark.parametrize("hints", [True, False])
async def test_a_node_worker_is_told_of_where_no_hint_tells(
    shared_url: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, hints: bool
) -> None:
    """A look that failed is made again; on a server without change streams it is made each time."""
    looked = asyncio.Event()
    failed = "scheduling crons: at first"

    async def registrations(self: MongoWorkers) -> Registrations:
        if failed not in caplog.text:  # whoever else looks meanwhile
            raise StoreUnavailableError("at first")
        found = await read(self)
        looked.set()
        return found

    read = MongoWorkers.registrations
    monkeypatch.setattr(MongoStore, "abilities", Abilities(hints_of_others=hints))
    monkeypatch.setattr(MongoWorkers, "registrations", registrations)
    monkeypatch.setattr(MongoStore, "subscribe", lambda *_, **__: lambda: None)
    monkeypatch.setattr("job_processor.crons.scheduler.SCHEDULER_INTERVAL", 0.1)
    async with Processors(shared_url) as processors:
        if hints:
            await register_node_worker(shared_url, None)
        await processors.start(jobs={"a": JobDef(nothing)})
        await told(caplog, failed)
        if not hints:
            await looked.wait()
            await register_node_worker(shared_url, None)
        await told(caplog, "has no workerTags")


async def test_a_node_worker_that_comes_later_is_noticed(
    mongo_db_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The worker says what its validator refuses, and what is scheduled from then on is refused."""
    async with Processors(mongo_db_url) as processors:
        processor, _ = await processors.start(jobs={"a": JobDef(nothing, retry=2)})
        await install_node_validator(mongo_db_url)
        await register_node_worker(mongo_db_url, ["node"])
        await told(caplog, "retry of 'a'")
        with pytest.raises(SharedDatabaseError):
            await processor.schedule_job("a", priority=1)
        assert await store_of(processor).history.find(JobQuery()) == []  # nothing was stored


async def test_a_node_worker_that_comes_later_finds_its_indexes(mongo_db_url: str) -> None:
    """A worker of ours that sees it makes what the Node package needs, as its own start does."""
    async with AsyncMongoClient[dict[str, Any]](mongo_db_url) as client:
        jobs = client.get_default_database()["job_processor.jobs"]

        async def made() -> bool:
            return "type_1_name_1" in await jobs.index_information()

        async with Processors(mongo_db_url) as processors:
            await processors.start(jobs={"a": JobDef(nothing)})
            assert not await made()
            await register_node_worker(mongo_db_url, ["node"])
            await eventually(made, "the indexes of the Node package")


class Traces:
    """An integration that notes a trace on each job, as that of OpenTelemetry does."""

    def install(self, host: Host) -> None:
        """Ask for each job."""
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        host.stamp(lambda job: {"traceparent": trace} if isinstance(job, SimpleJob) else None)


@pytest.mark.parametrize("known", [True, False])
async def test_a_trace_is_left_out(mongo_db_url: str, known: bool) -> None:
    """A plain job is stored without it, also where Node has come since this process looked."""
    async with Processors(mongo_db_url) as processors:
        options: dict[str, Any] = {"jobs": {"a": JobDef(nothing)}, "integrations": [Traces()]}
        first = await processors.make(**options)
        traced = await first.schedule_job("a", scheduled_for=timedelta(hours=1))
        assert traced.traceparent is not None
        await install_node_validator(mongo_db_url)
        processor = await processors.make(**options) if known else first
        jobs = [
            await processor.schedule_job("a"),
            *await processor.schedule_jobs(["a", "a"]),
            await processor.run_job("a"),
        ]
        for job in jobs:
            stored = await processor.get_job(job.id)
            assert isinstance(stored, SimpleJob)
            assert stored.traceparent is None
        assert (await processor.migrate_from_node()).survey.own_fields == ("traceparent",)


async def test_a_rate_is_had_beside_node(shared_url: str) -> None:
    """It stores nothing in a job: its document is that of any plain job, from schedule to end."""

    async def limited() -> None:
        raise RateLimited(after=3600)

    rate = Rate(1, per=3600, burst=2, group="api")
    jobs = {
        "plain": JobDef(nothing),
        "rated": JobDef(nothing, rate=rate),
        "limited": JobDef(limited, rate=Rate(5, per=1)),
    }
    async with JobProcessor(shared_url, **QUICK, jobs=jobs) as processor:
        await processor.schedule_jobs(["plain", "rated", "rated", "rated", "limited"])
        await processor.run_worker(burst=True)
        assert await processor.count_jobs(name="rated", status="finished") == 2
        waiting = [job.name for job in (await processor.find_jobs(status="pending")).jobs]
        assert sorted(waiting) == ["limited", "rated"]
    async with AsyncMongoClient[dict[str, object]](shared_url) as client:
        found = await client.get_default_database()["job_processor.jobs"].find().to_list()
    fields = {str(each["name"]): set(each) for each in found}
    assert fields["rated"] == fields["limited"] == fields["plain"]
