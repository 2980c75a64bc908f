"""The stream's own client: nothing that the application chose for its client gets in its way."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pymongo
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure
from pymongo.hello import Hello
from pymongo.monitoring import CommandListener, CommandStartedEvent
from pymongo.server_description import ServerDescription

from job_processor import JobDef, JobProcessor
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.mongo import MongoStore, open_mongo, stream, watch
from job_processor.store.mongo.errors import is_unauthorized
from job_processor.store.mongo.stream import OneServer
from tests.mongo_server import MongoServer, database_url
from tests.processors import QUICK, WAIT, eventually, working
from tests.samples import simple
from tests.store.mongo.conftest import Commands, Database
from tests.store.mongo.faults import Faults
from tests.store.mongo.listening import Listener

pytestmark = pytest.mark.mongo

JOB = {"work": JobDef(lambda: None)}


def with_options(url: str, **options: object) -> str:
    """Return an address with some more options."""
    given = "&".join(f"{name}={value}" for name, value in options.items())
    return f"{url}{'&' if '?' in url else '?'}{given}"


def opened(commands: Commands) -> int:
    """Return how many streams were opened."""
    return sum("$changeStream" in str(sent.get("pipeline")) for _, sent in commands.sent)


# --- small pools ----------------------------------------------------------------------------------


async def test_a_pool_of_one_connection_serves_calls_beside_the_stream(
    database: Database, mongo_db_url: str
) -> None:
    """A request for changes, which the server holds, keeps no call waiting."""
    store = open_mongo(with_options(mongo_db_url, maxPoolSize=1))
    await store.setup()
    listener = Listener()
    store.subscribe(listener)
    await listener.until(ANYTHING)
    async with asyncio.timeout(stream.AWAIT_MS / 1000):  # less than that for all of them
        for _ in range(5):
            await store.runs.of_worker(ObjectId(), 5)
    await store.close()


@pytest.mark.parametrize("size", [1, 2])
async def test_two_processors_share_a_small_client(
    database: Database, mongo_db_url: str, size: int
) -> None:
    """Two workers on one client with a small pool run jobs, and a caller waits for them."""
    async with (
        AsyncMongoClient[dict[str, Any]](mongo_db_url, maxPoolSize=size) as client,
        contextlib.AsyncExitStack() as stack,
    ):
        ours = client.get_default_database()
        made = [
            await stack.enter_async_context(
                JobProcessor(ours, collection_prefix=prefix, jobs=JOB, **QUICK)
            )
            for prefix in ("one", "two")
        ]
        for processor in made:
            await stack.enter_async_context(working(processor))
        async with asyncio.timeout(WAIT):
            for processor in made:
                job = await processor.schedule_job("work")
                await processor.wait_for_job(job.id)


# --- time limits ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option", ["timeoutMS", "timeoutms", "socketTimeoutMS", "waitQueueTimeoutMS"]
)
@pytest.mark.parametrize("passed", [False, True], ids=["in the address", "as an argument"])
async def test_an_idle_stream_outlasts_the_limits_of_the_application(
    database: Database,
    mongo_db_url: str,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    *,
    passed: bool,
) -> None:
    """Requests that are held for longer than the application allows its own go on and on."""
    monkeypatch.setattr(stream, "AWAIT_MS", 600)
    limit = {option: 300}
    url = mongo_db_url if passed else with_options(mongo_db_url, **limit)
    options: dict[str, Any] = limit if passed else {}
    async with AsyncMongoClient[dict[str, Any]](
        url, event_listeners=[commands], **options
    ) as client:
        store = MongoStore.from_database(client.get_default_database())
        listener = Listener()
        store.subscribe(listener)
        await listener.until(ANYTHING)

        async def held_twice() -> bool:
            return commands.names.count("getMore") >= 3

        await eventually(held_twice, "two requests that were held")
        assert opened(commands) == 1
        await store.close()


async def test_a_deadline_of_whoever_subscribes_is_not_the_streams(
    database: Database,
    mongo_db_url: str,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`with pymongo.timeout(…)` round a call ends with the call, and breaks no stream after it."""
    monkeypatch.setattr(stream, "AWAIT_MS", 1200)
    async with AsyncMongoClient[dict[str, Any]](mongo_db_url, event_listeners=[commands]) as client:
        store = MongoStore.from_database(client.get_default_database())
        listener = Listener()
        with pymongo.timeout(0.9):
            store.subscribe(listener)
        await listener.until(ANYTHING)

        async def held_twice() -> bool:
            return commands.names.count("getMore") >= 3

        await eventually(held_twice, "two requests that were held")
        assert opened(commands) == 1
        await store.close()


# --- several servers ------------------------------------------------------------------------------


def server(port: int, round_trip: float = 0.001) -> ServerDescription:
    """Return a router as a client sees it."""
    hello = Hello({"ok": 1, "msg": "isdbgrid", "maxWireVersion": 21})
    return ServerDescription(("host", port), hello, round_trip)


@given(orders=st.lists(st.permutations([1, 2, 3]), min_size=1))
def test_a_stream_stays_with_one_router(orders: list[list[int]]) -> None:
    """Whichever the client has to choose from, in whatever order: the same as the first time."""
    choose = OneServer(None)
    chosen = [choose([server(port) for port in order]) for order in orders]
    assert len({each[0].address for each in chosen}) == 1
    assert all(len(each) == 1 for each in chosen)


def test_a_router_that_is_gone_is_replaced() -> None:
    """It chooses another one, and stays with that; where there is none, none."""
    choose = OneServer(None)
    (first,) = choose([server(1)])
    assert list(choose([])) == []
    (second,) = choose([server(2), server(3)])
    assert first.address != second.address
    assert list(choose([server(1), server(2), server(3)])) == [second]


def test_a_router_that_is_near_is_chosen() -> None:
    """One of another region is not, and what the application excludes is none of both."""
    far, near = server(1, 0.2), server(2, 0.001)
    assert list(OneServer(None)([far, near])) == [near]
    assert list(OneServer(lambda servers: servers[:1])([far, near])) == [far]


class Addresses(CommandListener):
    """Records to which server each request for changes is sent."""

    def __init__(self) -> None:
        self.of_getmore: list[Any] = []

    def started(self, event: CommandStartedEvent) -> None:
        """Record it."""
        if event.command_name == "getMore":
            self.of_getmore.append(event.connection_id)

    def succeeded(self, event: object) -> None:
        """Nothing to record."""

    def failed(self, event: object) -> None:
        """Nothing to record."""


async def test_every_request_goes_to_the_same_server(
    database: Database, mongo_db_url: str, store: MongoStore
) -> None:
    """On a cluster with several routers, too: name one in JOB_PROCESSOR_TEST_MONGODB to see it."""
    addresses = Addresses()
    async with AsyncMongoClient[dict[str, Any]](
        mongo_db_url, event_listeners=[addresses]
    ) as client:
        watching = MongoStore.from_database(client.get_default_database())
        listener = Listener()
        watching.subscribe(listener)
        await listener.until(ANYTHING)
        for _ in range(10):
            await store.intake.insert([simple()])
            await listener.until(Hint.WORK)
        assert len(set(addresses.of_getmore)) == 1
        await watching.close()


# --- none to be had -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "text", "forbidden"),
    [
        (13, "not authorized on a to execute command", True),
        (8000, "user is not allowed to do action [changeStream] on [a.]", True),
        (8000, "you are over your space quota, using 513 MB of 512 MB", False),
        (26, "ns does not exist", False),
    ],
)
def test_a_missing_privilege_is_known_by_code_or_text(
    code: int, text: str, *, forbidden: bool
) -> None:
    """Atlas has one code for what its user may not do and for a disk that is full."""
    error = OperationFailure(text, code, {"ok": 0.0, "code": code, "errmsg": text})
    assert is_unauthorized(error) is forbidden
    assert (watch._why_unsupported(error) is not None) is forbidden


async def test_a_forbidden_stream_is_tried_again_now_and_then(
    faulty_url: str, faults: Faults, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile workers know that they must poll; once it is allowed, they are told again."""
    store = open_mongo(faulty_url)
    await store.setup()
    assert store.abilities.hints_of_others
    assert store.abilities.hints_are_prompt
    monkeypatch.setattr(watch, "_UNSUPPORTED_PAUSE", 0.05)
    await faults.fail("aggregate", 13, times=None)
    listener = Listener()
    store.subscribe(listener)

    async def polls() -> bool:
        return not store.abilities.hints_of_others and not store.abilities.hints_are_prompt

    await eventually(polls, "the end of the stream")
    await listener.until(ANYTHING)  # everybody is to look, and sooner from now on
    await faults.stop()

    async def told() -> bool:
        return store.abilities.hints_of_others and store.abilities.hints_are_prompt

    await eventually(told, "a stream")
    await store.close()


async def test_options_that_nobody_tells_mean_polling(
    watched_database: Database, commands: Commands
) -> None:
    """Without a client of its own there is no stream: it would hold up the application's."""
    del watched_database.client._init_kwargs  # as a later pymongo may
    store = MongoStore.from_database(watched_database)
    await store.setup()
    store.subscribe(Listener())

    async def polls() -> bool:
        return not store.abilities.hints_of_others

    await eventually(polls, "the end of the stream")
    assert opened(commands) == 0
    await store.close()


@pytest.mark.slow
async def test_work_that_follows_work_on_a_standalone_server() -> None:
    """What another process schedules soon after a job is found long before `poll_interval`."""
    with MongoServer(standalone=True) as alone:
        url = database_url(alone.url, "alone")
        settings = {**QUICK, "poll_interval": 600.0}
        async with (
            JobProcessor(url, jobs=JOB, **settings) as processor,
            JobProcessor(url, jobs=JOB, **QUICK) as other,
        ):
            first = await other.schedule_job("work")
            async with working(processor), asyncio.timeout(WAIT):
                await other.wait_for_job(first.id)
                second = await other.schedule_job("work")
                await other.wait_for_job(second.id)
