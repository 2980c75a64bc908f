"""The change stream: what other clients write is told at once, by one stream a store."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from bson import ObjectId

from job_processor import JobDef, JobProcessor
from job_processor import tasks as background
from job_processor.errors import StoreUnavailableError
from job_processor.models import JobStatus
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.mongo import MongoStore, open_mongo, watch
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.stream import ChangeStream
from tests.mongo_server import MongoServer, database_url
from tests.processors import QUICK, WAIT, eventually, working
from tests.proxy import Proxy
from tests.samples import NOW, WORKER, claim, end, simple, worker
from tests.store.mongo.conftest import Commands, Database
from tests.store.mongo.listening import Listener

pytestmark = pytest.mark.mongo

SELECTION = "serverSelectionTimeoutMS"
SLACK = 30.0
"""Seconds that a busy machine may add to something measured."""


@pytest.fixture
async def other(mongo_db_url: str) -> AsyncIterator[MongoStore]:
    """Another client of the same database."""
    other = open_mongo(mongo_db_url)
    yield other
    await other.close()


@pytest.fixture
async def listener(store: MongoStore) -> Listener:
    """Listens to `store`, whose stream is open."""
    listener = Listener()
    store.subscribe(listener)
    await listener.until(ANYTHING)
    return listener


async def insist(call: Callable[[], Awaitable[object]]) -> None:
    """Make a call until the database answers."""
    while True:
        try:
            await call()
        except StoreUnavailableError:
            continue  # it has looked for the server for a while
        return


def streams_opened(commands: Commands) -> int:
    """Return how many change streams were opened."""
    return sum("$changeStream" in str(sent.get("pipeline")) for _, sent in commands.sent)


# --- what is told -------------------------------------------------------------------------------


async def test_writes_of_another_client_are_told(other: MongoStore, listener: Listener) -> None:
    """An insert, a settlement, a kill of a waiting job and a kill request each give their hint."""
    jobs = [simple() for _ in range(4)]
    await other.intake.insert(jobs[:1])
    assert await listener.until(Hint.WORK) == Hint.WORK
    await other.intake.insert(jobs[1:])
    assert await listener.until(Hint.WORK) == Hint.WORK
    first, second, third = await other.queue.claim(claim(3))
    await other.runs.settle([end(first)])
    assert await listener.until(Hint.SETTLED) == Hint.SETTLED
    await other.runs.settle([end(second, JobStatus.PAUSED, output=None)])
    assert await listener.until(Hint.WORK) == Hint.WORK
    await other.kills.request(third.id, WORKER, NOW)
    assert await listener.until(Hint.KILL) == Hint.KILL
    (waiting,) = {job.id for job in jobs} - {first.id, second.id, third.id}
    await other.kills.kill_waiting(waiting, NOW)
    assert await listener.until(Hint.SETTLED) == Hint.SETTLED


async def test_a_worker_of_the_node_package_is_told(
    other: MongoStore, listener: Listener, database: Database
) -> None:
    """It rearranges crons and validator when it begins; a worker of ours does not."""
    await other.workers.register(worker())
    node = {"_id": ObjectId(), "hostname": "node", "lastSeen": NOW, "tags": None}
    await database["job_processor.workers"].insert_one(node)
    assert await listener.until(Hint.NODE) == Hint.NODE
    await other.intake.insert([simple()])
    assert await listener.until(Hint.WORK) == Hint.WORK


async def test_what_nobody_waits_for_is_not_told(
    other: MongoStore, listener: Listener, mongo_db_url: str
) -> None:
    """Claims, acknowledgements, and whatever another prefix does, give no hint."""
    await other.intake.insert([simple()])
    await listener.until(Hint.WORK)
    elsewhere = open_mongo(mongo_db_url, prefix="elsewhere")
    await elsewhere.intake.insert([simple()])
    await elsewhere.close()
    (job,) = await other.queue.claim(claim())
    await other.kills.request(job.id, WORKER, NOW)
    assert await listener.until(Hint.KILL) == Hint.KILL
    await other.kills.acknowledge([job.id])
    await other.runs.settle([end(job)])
    assert await listener.until(Hint.SETTLED) == Hint.SETTLED


async def test_a_listener_that_raises_harms_no_other(
    store: MongoStore, other: MongoStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Its error is logged; the others hear the hint, and the stream goes on."""

    def broken(_: Hint) -> None:
        raise RuntimeError("broken listener")

    before, after = Listener(), Listener()
    for each in (before, broken, after):
        store.subscribe(each)
    for listener in (before, after):
        await listener.until(ANYTHING)
    for _ in range(2):
        await other.intake.insert([simple()])
        for listener in (before, after):
            await listener.until(Hint.WORK)
    assert "broken listener" in caplog.text


async def test_who_has_forgotten_hears_no_more(
    store: MongoStore, other: MongoStore, listener: Listener
) -> None:
    """A subscription that was ended gets no hint; ending it twice is harmless."""
    ended = Listener()
    forget = store.subscribe(ended)
    forget()
    forget()
    await other.intake.insert([simple()])
    await listener.until(Hint.WORK)
    assert ended.calls == 0


# --- one stream ---------------------------------------------------------------------------------


async def test_a_store_has_one_stream(watched_store: MongoStore, commands: Commands) -> None:
    """However many listen, and however often they come and go, one stream is open."""
    listeners = [Listener() for _ in range(20)]
    forget = [watched_store.subscribe(each) for each in listeners]
    await asyncio.gather(*(each.until(ANYTHING) for each in listeners))
    for each in forget:
        each()
    late = Listener()
    watched_store.subscribe(late)
    await watched_store.intake.insert([simple()])
    await late.until(Hint.WORK)
    assert streams_opened(commands) == 1


@pytest.mark.slow
async def test_many_changes_come_with_few_requests(
    watched_store: MongoStore, other: MongoStore, commands: Commands
) -> None:
    """Under load the stream is asked so many times a second at most, and not for each change."""
    listener = Listener()
    watched_store.subscribe(listener)
    await listener.until(ANYTHING)
    asked = commands.names.count("getMore")
    began = time.monotonic()
    for _ in range(300):
        await other.intake.insert([simple()])
    pauses = (time.monotonic() - began) / watch._LONGEST_PAUSE
    assert 1 < commands.names.count("getMore") - asked < pauses + 10
    await listener.until(Hint.WORK)


async def test_the_stream_ends_a_while_after_its_last_listener(
    watched_store: MongoStore, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is let off; the next listener opens a stream again."""
    monkeypatch.setattr(watch, "_LINGER", 0.01)
    for opened in (1, 2):
        listener = Listener()
        forget = watched_store.subscribe(listener)
        await listener.until(ANYTHING)
        assert streams_opened(commands) == opened
        forget()

        async def closed(times: int = opened) -> bool:
            return commands.names.count("killCursors") == times

        await eventually(closed, "the end of the stream")


async def test_a_stream_that_loses_its_cancellation_keeps_nobody_from_closing(
    store: MongoStore, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As PyMongo on Python 3.11 does now and then: it is asked again soon."""
    monkeypatch.setattr(background, "_AGAIN_AFTER", 10 * WAIT)
    monkeypatch.setattr(watch, "CLOSE_TIMEOUT", 10 * WAIT)
    asked, lost = asyncio.Event(), 0

    async def lose(_: ChangeStream) -> list[Document]:
        nonlocal lost
        while True:
            asked.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if lost:
                    raise
                lost += 1

    monkeypatch.setattr(ChangeStream, "next_batch", lose)
    await store.intake.insert([simple()])
    await asked.wait()
    async with asyncio.timeout(WAIT):
        await store.close()
    assert lost == 1


async def test_a_processor_has_one_stream(watched_database: Database, commands: Commands) -> None:
    """A worker, its kill listener and ten waiters share one, which the first waiter opens anew.

    What others settle is most of what changes, and a worker alone asks nothing of it.
    """
    async with JobProcessor(watched_database, **QUICK) as processor:

        @processor.job()
        async def work() -> None:
            pass

        async with working(processor):

            async def opened() -> bool:
                return streams_opened(commands) == 1

            await eventually(opened, "the stream of a worker")
            assert "finished" not in _told(commands)
            for _ in range(2):
                jobs = await processor.schedule_jobs([("work", None)] * 10)
                settled = await asyncio.gather(*(processor.wait_for_job(job.id) for job in jobs))
                assert {job.status for job in settled} == {JobStatus.FINISHED}
            assert streams_opened(commands) == 2
            assert "finished" in _told(commands)


def _told(commands: Commands) -> list[str]:
    """Return the states of which the stream that was opened last tells."""
    *_, pipeline = (
        command["pipeline"]
        for name, command in commands.sent
        if name == "aggregate" and "$changeStream" in command["pipeline"][0]
    )
    states: list[list[str]] = [
        each["fullDocument.status"]["$in"]
        for each in pipeline[1]["$match"]["$or"]
        if "fullDocument.status" in each
    ]
    return states[0]


async def test_a_listener_for_ends_has_the_stream_bring_them(
    store: MongoStore, other: MongoStore
) -> None:
    """Whoever asks for less at first hears of them all the same, once somebody has asked."""
    listener, second = Listener(), Listener()
    store.subscribe(listener, ends=False)
    await listener.until(ANYTHING)
    store.subscribe(second)
    await second.until(ANYTHING)
    await other.intake.insert([simple()])
    (job,) = await other.queue.claim(claim())
    await other.runs.settle([end(job)])
    await second.until(Hint.SETTLED)


# --- healing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "selection",
    [pytest.param(300, marks=pytest.mark.slow), 5000],
    ids=["long", "short"],
)
async def test_the_stream_heals_after_a_crash_of_the_server(
    server: MongoServer, selection: int
) -> None:
    """After an outage longer or shorter than the search for a server, hints come again."""
    url = database_url(server.url, "crash") + f"?{SELECTION}={selection}"
    store, other = open_mongo(url), open_mongo(url)
    await store.setup()
    listener = Listener()
    store.subscribe(listener)
    await listener.until(ANYTHING)
    server.kill()
    await asyncio.to_thread(server.start)
    listener.forget()
    await insist(lambda: other.intake.insert([simple()]))
    await listener.until(Hint.WORK)
    await insist(lambda: other.kills.request(ObjectId(), WORKER, NOW))
    await listener.until(Hint.KILL)
    for each in (store, other):
        await each.close()


async def test_what_happened_during_a_cut_is_told_afterwards(
    other: MongoStore, store: MongoStore, mongo_server_url: str
) -> None:
    """Whoever was cut off is told to look once the stream is open again."""
    async with Proxy(mongo_server_url) as proxy:
        cut_off = open_mongo(proxy.url(store.address.rpartition("/")[2], **{SELECTION: 300}))
        listener = Listener()
        cut_off.subscribe(listener)
        await listener.until(ANYTHING)
        await proxy.cut()
        await other.intake.insert([simple()])
        assert Hint.WORK not in listener.heard
        proxy.restore()
        await listener.until(Hint.WORK)
        await cut_off.close()


# --- no stream to be had ------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_standalone_server_is_polled(caplog: pytest.LogCaptureFixture) -> None:
    """Without a change stream a worker finds jobs and kills of others within `poll_interval`."""
    caplog.set_level(logging.INFO, "job_processor")
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    definitions = {"work": JobDef(work)}
    with MongoServer(standalone=True) as server:
        url = database_url(server.url, "alone")
        async with (
            JobProcessor(url, jobs=definitions, **QUICK) as processor,
            JobProcessor(url, jobs=definitions, **QUICK) as other,
            working(processor),
            asyncio.timeout(WAIT),
        ):
            asked = time.monotonic()
            job = await other.schedule_job("work")
            await started.wait()
            assert time.monotonic() - asked < QUICK["poll_interval"] + SLACK
            await other.kill_job(job.id)
            killed = await other.wait_for_job(job.id)
            assert killed.status is JobStatus.KILLED
    told = [each.getMessage() for each in caplog.records if "polling" in each.getMessage()]
    once = (
        "alone: no change stream, so changes of other processes are found by polling: "
        "this is a standalone server; make it a replica set"
    )
    assert told == [once, once]  # one for each processor
