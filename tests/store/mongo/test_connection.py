"""What may be given as `db`, who closes it, and how a server is told of that cannot be reached."""

from __future__ import annotations

import asyncio
import gc
import secrets
import time
import traceback
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, MongoClient
from pymongo.errors import InvalidOperation

from job_processor import JobProcessor
from job_processor.errors import InvalidArgumentError, StoreError, StoreUnavailableError
from job_processor.models import JobStatus
from job_processor.settings import WRITE_TIMEOUT
from job_processor.store.mongo import MongoStore, open_mongo
from job_processor.store.mongo.connection import calm, connect
from job_processor.store.requests import JobQuery
from tests.mongo_server import MongoServer, database_url, free_port
from tests.processors import QUICK, WAIT, working
from tests.samples import NOW, claim, end, simple
from tests.store.mongo.conftest import Commands, Database
from tests.store.mongo.verbs import READS, WRITES

pytestmark = pytest.mark.mongo

PASSWORD = "s3cr" + secrets.token_hex(4)
"""In no line of this file, so that a traceback which shows it has it from elsewhere."""

PRIMARY = {"primary", "primaryPreferred"}
"""The second is pymongo's own addition where a client is bound to one server."""


class AsyncIOMotorDatabase:
    """Looks like Motor's, which is not installed."""

    __module__ = "motor.motor_asyncio"


# --- what may be passed -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("db", "advice"),
    [
        (MongoClient(connect=False)["name"], "this is a synchronous database; pass an AsyncDatab"),
        (MongoClient(connect=False), "this is a synchronous client; pass an AsyncDatabase"),
        (MongoClient(connect=False)["name"]["jobs"], "this is a collection; pass an AsyncDatabase"),
        (AsyncMongoClient(connect=False), "this is a client; pass one of its databases"),
        (AsyncMongoClient(connect=False)["name"]["jobs"], "this is a collection; pass an Async"),
        (AsyncIOMotorDatabase(), "this is a database of Motor, which pymongo's own asyncio API"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_async_database_is_refused(db: Any, advice: str) -> None:
    """The error says what was passed and what to pass instead."""
    with pytest.raises(InvalidArgumentError, match=advice) as caught:
        JobProcessor(db)
    assert "client['name']" in str(caught.value) or "AsyncMongoClient(url)" in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://host",
        "mongodb://host/",
        "mongodb://{}host/?replicaSet=rs0",
        "mongodb://{}one:27017,two:27017",
        "mongodb+srv://{}host",
    ],
)
def test_a_url_must_name_a_database(url: str) -> None:
    """Jobs never land in a database that nobody chose."""
    with pytest.raises(InvalidArgumentError, match="a URL that names a database") as caught:
        JobProcessor(url.format(f"user:{PASSWORD}@"))
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url",
    [
        "mongodb://{}host:port/name",
        "mongodb://{}/name",
        "mongodb://{}host/a.b",
        "mongodb://user@{}host/name",
        "mongodb://user:a?{}host/name",
        "mongodb://user:a/{}host/name",
        "mongodb://user:a/b?{}host/name",
        "mongodb://user:%zz{}host/name",
    ],
)
def test_a_malformed_url_is_refused_without_its_password(url: str) -> None:
    """What cannot be a URL of MongoDB is shown without what may be a secret."""
    with pytest.raises(InvalidArgumentError, match="a URL that names a database") as caught:
        JobProcessor(url.format(f"{PASSWORD}:{PASSWORD}@"))
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))
    assert "user" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mongodb://user:p@ss@db/app", "must be escaped"),
        ("mongodb://user:p%ss@db/app", "must be escaped"),
        ("mongodb://user:p/ss@db/app", "must be escaped"),
        ("mongodb://user:p?ss@db/app", "must be escaped"),
        ("mongodb://user:p:ss@db/app", "must be escaped"),
        ("mongodb://user:pass@db:port/app", "a port is a number"),
        ("mongodb://user:pass@[::1]:99999999/app", "a port is a number"),
        ("mongodb://user:pass@,/app", "one of its hosts or options"),
    ],
)
def test_what_is_wrong_with_credentials_is_said(url: str, reason: str) -> None:
    """In words of ours, which repeat nothing of them."""
    with pytest.raises(InvalidArgumentError, match=reason) as caught:
        JobProcessor(url)
    told = "".join(traceback.format_exception(caught.value))
    assert not any(part in told for part in ("user:", "p@ss", "p%ss", "p/ss", "p?ss", ":pass"))


@pytest.mark.parametrize(
    "address",
    [
        *("mongodb:user:{}@h", "mongodb:/user:{}@h", "mongodb//user:{}@h", "user:{}@h/db"),
        *("postgres:user:{}@h", "sqlite://user:{}@h", " mongodb://user:{}@h/db", "MONGODB:/u:{}@h"),
        *("mongo://user:{}@h/db", "mongodb://user:{}@h", "sqlite:///a.db?key={}@h"),
    ],
)
def test_a_misspelt_address_is_refused_without_its_password(address: str) -> None:
    """Whatever its scheme looks like."""
    with pytest.raises(InvalidArgumentError, match="db: ") as caught:
        JobProcessor(address.format(PASSWORD))
    assert PASSWORD not in "".join(traceback.format_exception(caught.value))


# --- what the client's own options change: nothing ----------------------------------------------


@pytest.fixture(
    params=[
        {},
        {"w": 0},
        {"w": 1, "journal": False, "readPreference": "secondaryPreferred", "tz_aware": False},
        {"document_class": RawBSONDocument, "readConcernLevel": "local"},
    ],
    ids=["default", "w0", "w1 from secondaries", "raw"],
)
async def passed(
    request: pytest.FixtureRequest, database: Database, mongo_db_url: str, commands: Commands
) -> AsyncIterator[Database]:
    """A database of a client of the application's own, whose commands are recorded."""
    options: dict[str, Any] = request.param
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        mongo_db_url, event_listeners=[commands], **options
    )
    async with client:
        yield client.get_default_database()


async def test_a_passed_database_serves_whatever_its_options(passed: Database) -> None:
    """Codec, time zone and concerns of the client change no job; the client stays open."""
    store = MongoStore.from_database(passed)
    await store.setup()
    job = simple(payload={"deep": {"list": [1, {"at": NOW}]}})
    await store.intake.insert([job])
    assert await store.history.get(job.id) == job
    (claimed,) = await store.queue.claim(claim())
    await store.runs.settle([end(claimed)])
    (found,) = await store.history.find(JobQuery(status=JobStatus.FINISHED))
    assert found == end(claimed).written()
    assert found.scheduled_for.tzinfo is not None
    await store.close()
    assert await passed.client.admin.command("ping")


WRITTEN = {"w": "majority", "j": True, "wtimeout": WRITE_TIMEOUT * 1000}


async def test_every_write_is_acknowledged_by_the_majority(
    passed: Database, commands: Commands
) -> None:
    """Each write names majority, journal and how long it waits; each read primary and concern."""
    store = MongoStore.from_database(passed)
    await store.setup()
    commands.sent.clear()
    await store.intake.insert([simple(), simple(), simple()])
    await store.intake.insert([simple()])
    (job,) = await store.queue.claim(claim())
    await store.queue.claim(claim(2))
    await store.runs.settle([end(job)])
    for call in (*WRITES.values(), *READS.values()):
        await call(store)
    await store.settings.put("kind", "name", {"a": 2}, {"a": 1})
    await store.close()
    written = {"insert", "update", "findAndModify", "delete"}
    read = {"find", "aggregate"}
    assert written | read <= set(commands.names)
    for name, sent in commands.sent:
        if name in written:
            assert sent.get("writeConcern") == WRITTEN, sent
        if name in read:
            assert sent.get("readConcern", {}).get("level") in {"majority", "local"}, sent
            assert sent.get("$readPreference", {}).get("mode", "primary") in PRIMARY, sent


async def test_the_client_of_a_url_is_closed_with_the_store(mongo_db_url: str) -> None:
    """A store that made its client takes it away again."""
    store = open_mongo(mongo_db_url)
    await store.ping()
    await store.close()
    with pytest.raises(StoreError, match="after close") as caught:
        await store.ping()
    assert isinstance(caught.value.__cause__, InvalidOperation)


@pytest.mark.parametrize(("bypass", "refused"), [(False, True), (True, False)])
async def test_a_client_that_encrypts_by_itself_is_refused(
    monkeypatch: pytest.MonkeyPatch, *, bypass: bool, refused: bool
) -> None:
    """It would refuse streams and counts; one that only decrypts sends all as it is."""
    client = AsyncMongoClient[dict[str, Any]]("mongodb://host", connect=False)
    options = SimpleNamespace(_bypass_auto_encryption=bypass)  # what AutoEncryptionOpts keeps
    monkeypatch.setattr(type(client.options), "auto_encryption_opts", property(lambda _: options))
    if refused:
        with pytest.raises(InvalidArgumentError, match=r"auto_encryption_opts.*ClientEncryption"):
            MongoStore.from_database(client["name"])
    else:
        MongoStore.from_database(client["name"])
    await client.close()


# --- a server that is away ----------------------------------------------------------------------


@pytest.fixture
def nobody() -> str:
    """Where no server is, with a password."""
    return f"mongodb://user:{PASSWORD}@127.0.0.1:{free_port()}/name"


async def test_an_unreachable_server_is_named_without_the_password(
    nobody: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error comes in bounded time, and tells the address and no secret."""
    started = time.monotonic()
    processor = JobProcessor(f"{nobody}?serverSelectionTimeoutMS=300")
    with pytest.raises(StoreUnavailableError) as caught:
        await processor.setup()
    assert time.monotonic() - started < 25  # pymongo's own default is 30
    address = nobody.replace(f"user:{PASSWORD}@", "")
    assert str(caught.value).startswith(f"{address} does not answer: ")
    assert len(str(caught.value)) < 300
    await processor.close()
    told = "".join(traceback.format_exception(caught.value)) + caplog.text
    assert PASSWORD not in told + repr(connect(nobody))


def test_one_looks_for_a_server_for_five_seconds(nobody: str) -> None:
    """A call of a few seconds is better than pymongo's half minute; the URL may say otherwise."""
    for options, seconds in (("", 5), ("?serverSelectionTimeoutMS=30000", 30)):
        found = connect(nobody + options).database.client.options.server_selection_timeout
        assert found == seconds


# pymongo leaves the socket of a connect that was cancelled to the garbage collector.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*socket.socket:pytest.PytestUnraisableExceptionWarning")
async def test_a_worker_begins_when_the_server_comes(server: MongoServer) -> None:
    """A worker that was started while the server was away runs what it finds there later."""
    ran = asyncio.Event()
    url = database_url(server.url, "later") + "?serverSelectionTimeoutMS=300"
    async with JobProcessor(url, **QUICK) as processor:

        @processor.job()
        async def work() -> None:
            ran.set()

        await processor.schedule_job("work")
        server.kill()
        async with working(processor, registers=False) as worker, asyncio.timeout(WAIT):
            with pytest.raises(StoreUnavailableError):
                await processor.get_healthcheck()
            assert not worker.task.done()
            await asyncio.to_thread(server.start)
            await ran.wait()
    gc.collect()


async def test_a_client_of_our_own_that_has_begun_is_calm(mongo_server_url: str) -> None:
    """It looks for no cursors that were left open, and answers all the same."""
    async with AsyncMongoClient[dict[str, Any]](mongo_server_url) as client:
        await client.admin.command("ping")
        calm(client)
        running = {task.get_name() for task in asyncio.all_tasks() if not task.cancelling()}
        assert "pymongo_kill_cursors_thread" not in running
        await client.admin.command("ping")


def test_where_a_later_driver_has_no_such_task_nothing_is_done() -> None:
    """Its name is not public."""
    calm(cast("AsyncMongoClient[Any]", object()))
