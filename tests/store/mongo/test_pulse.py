"""The heartbeat's own client: the same servers by the same options, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from pymongo import AsyncMongoClient, MongoClient

from job_processor import JobProcessor
from job_processor.errors import StoreUnavailableError
from job_processor.store.mongo import MongoStore
from job_processor.store.mongo import pulse as pulse_module
from job_processor.store.mongo.connection import beside, client_options
from tests.processors import QUICK, eventually, working
from tests.proxy import Proxy
from tests.samples import NOW, worker
from tests.store.mongo.conftest import Commands, Database

pytestmark = pytest.mark.mongo

WARNING = "heartbeats go through the event loop"


async def test_the_options_of_a_client_are_those_it_was_made_with() -> None:
    """Hosts, credentials and TLS, given by URL or by argument, reach a second client alike."""
    given: dict[str, Any] = {
        "username": "user",
        "password": "secret",
        "authSource": "admin",
        "authMechanism": "SCRAM-SHA-256",
        "tls": True,
        "tlsAllowInvalidCertificates": True,
        "replicaSet": "rs0",
        "appname": "application",
        "compressors": "zlib",
    }
    hosts = "mongodb://one:1,two:2/?retryReads=false"
    client = AsyncMongoClient[dict[str, Any]](hosts, connect=False, tz_aware=True, **given)
    options = client_options(client)
    assert options is not None
    assert options.items() >= given.items()
    second = MongoClient[dict[str, Any]](**options, connect=False)
    assert second.topology_description.server_descriptions().keys() == {("one", 1), ("two", 2)}
    assert second.options.pool_options.appname == "application"
    assert second.options.replica_set_name == "rs0"
    assert second.options.retry_reads is False
    assert second.codec_options.tz_aware is False  # what a heartbeat needs not, it does not get
    await client.close()
    second.close()


async def test_what_concerns_the_application_alone_is_left_out(commands: Commands) -> None:
    """The application's listeners hear of no heartbeat."""
    client = AsyncMongoClient[dict[str, Any]](event_listeners=[commands], document_class=dict)
    options = client_options(client)
    assert options is not None
    assert not options.keys() & {"document_class", "type_registry", "connect"}
    assert beside(options, **pulse_module._OPTIONS)["event_listeners"] == []


def test_ours_stand_in_for_what_was_given() -> None:
    """However an option is written, a second client has ours, and all else as it was given."""
    given = {"host": "h", "TIMEOUTms": 2000, "maxpoolsize": 1, "tls": True}
    ours = {"timeoutMS": None, "maxPoolSize": 3}
    assert beside(given, **ours) == {"host": "h", "tls": True, **ours}


async def test_a_heartbeat_has_a_connection_of_its_own(
    database: Database, mongo_server_url: str, commands: Commands
) -> None:
    """It goes where the passed client goes, under its own name, and sets the database's time."""
    async with Proxy(mongo_server_url) as proxy:
        url = proxy.url(database.name, w=0)
        async with AsyncMongoClient[dict[str, Any]](url, event_listeners=[commands]) as client:
            store = MongoStore.from_database(client.get_default_database())
            await store.setup()
            ours = worker()
            await store.workers.register(ours)
            registered = (await store.workers.registrations()).workers[0].last_seen
            before, sent = len(proxy.requests), len(commands.sent)
            pulse = await asyncio.to_thread(store.open_pulse)
            assert await asyncio.to_thread(pulse.beat, ours.id)
            assert not await asyncio.to_thread(pulse.beat, worker().id)
            await asyncio.to_thread(pulse.close)
            requests = proxy.requests[before:]
            assert any(b"job-processor heartbeat" in each for each in requests)
            beats = [each for each in requests if b"\x02update\x00" in each]
            assert len(beats) == 2
            assert all(b"majority" in each for each in beats)
            assert len(commands.sent) == sent
            seen = (await store.workers.registrations()).workers[0].last_seen
            assert seen >= registered > NOW
            await store.close()


async def test_a_heartbeat_that_gets_no_answer_says_so(
    database: Database, mongo_server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lost reply is repeated; without a server it fails with the address, and beats later."""
    for name in ("timeoutMS", "serverSelectionTimeoutMS"):
        monkeypatch.setitem(pulse_module._OPTIONS, name, 700)
    async with (
        Proxy(mongo_server_url) as proxy,
        AsyncMongoClient[dict[str, Any]](proxy.url(database.name)) as client,
    ):
        store = MongoStore.from_database(client.get_default_database())
        await store.setup()
        ours = worker()
        await store.workers.register(ours)
        pulse = await asyncio.to_thread(store.open_pulse)
        proxy.swallow_reply("\x02update\x00")
        assert await asyncio.to_thread(pulse.beat, ours.id)
        assert proxy.swallowed == 1
        await proxy.cut()
        with pytest.raises(StoreUnavailableError, match=f"^{store.address} does not answer"):
            await asyncio.to_thread(pulse.beat, ours.id)
        proxy.restore()

        async def beats() -> bool:
            try:
                return await asyncio.to_thread(pulse.beat, ours.id)
            except StoreUnavailableError:
                return False

        await eventually(beats, "a heartbeat after the cut")
        await asyncio.to_thread(pulse.close)
        await store.close()


async def test_unknown_options_make_it_beat_in_the_loop(
    watched_database: Database, commands: Commands, caplog: pytest.LogCaptureFixture
) -> None:
    """Where pymongo does not tell how a client was made: one warning, and a worker that beats."""
    caplog.set_level(logging.INFO, "job_processor")
    del watched_database.client._init_kwargs  # as a later pymongo may
    async with JobProcessor(watched_database, **QUICK) as processor, working(processor):

        async def beaten() -> bool:
            beats = [str(sent["updates"]) for name, sent in commands.sent if name == "update"]
            return sum("lastSeen" in each and "replaceWith" not in each for each in beats) >= 3

        await eventually(beaten, "a heartbeat through the loop")
    assert caplog.text.count(WARNING) == 1
