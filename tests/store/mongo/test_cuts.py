"""A server that cannot be reached for a while: every verb says so, and works again afterwards."""

from __future__ import annotations

import asyncio
import time

import pytest

from job_processor.errors import StoreUnavailableError
from job_processor.store.mongo import MongoStore, open_mongo
from tests.desks import verbs
from tests.mongo_server import MongoServer, database_url
from tests.proxy import Proxy
from tests.samples import worker
from tests.store.mongo.verbs import ELSEWHERE, SWEPT, VERBS, Call

pytestmark = pytest.mark.mongo

SELECTION = 0.5
"""Seconds that the stores here look for the server."""

HANGING = 18.0
"""Seconds within which everything must be closed though the server hangs; pymongo takes over 20,
and we a few, of which a busy machine makes more."""


async def failure(store: MongoStore, call: Call) -> str:
    """Return the message of the error with which a call fails."""
    with pytest.raises(StoreUnavailableError) as caught:
        await call(store)
    return str(caught.value)


async def insist(store: MongoStore, call: Call) -> None:
    """Make a call until the database answers."""
    while True:
        try:
            await call(store)
        except StoreUnavailableError:
            continue  # it has looked for the server for a while
        return


def test_the_verbs_are_complete() -> None:
    """What holds for every verb here holds for every verb of the interface."""
    assert VERBS.keys() == (verbs() - ELSEWHERE) | {"ping"}


async def test_every_verb_fails_with_the_address_and_works_afterwards(
    store: MongoStore, mongo_server_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """While connections are cut each verb raises StoreUnavailableError; then it is as before.

    What is left to the sweep is told in one line of the log instead.
    """
    name = store.address.rpartition("/")[2]
    async with Proxy(mongo_server_url) as proxy:
        distant = open_mongo(proxy.url(name, serverSelectionTimeoutMS=int(SELECTION * 1000)))
        await distant.ping()
        await proxy.cut()
        failing = [call for name, call in VERBS.items() if name not in SWEPT]
        # All are waited for: where its search for a server is cancelled, pymongo may wait for ever.
        told = (failure(distant, call) for call in failing)
        messages = await asyncio.gather(*told, return_exceptions=True)
        begin = f"{distant.address} does not answer: "
        assert [each for each in messages if not str(each).startswith(begin)] == []
        for verb in SWEPT:
            caplog.clear()
            await VERBS[verb](distant)
            assert [begin in text and "sweep" in text for text in caplog.messages] == [True]
        proxy.restore()
        await asyncio.gather(*(insist(distant, call) for call in VERBS.values()))
        await distant.close()


async def test_a_cut_of_the_connections_alone_is_healed(
    store: MongoStore, mongo_server_url: str
) -> None:
    """Connections that broke while idle cost at most one call, which can be made again."""
    async with Proxy(mongo_server_url) as proxy:
        distant = open_mongo(proxy.url(store.address.rpartition("/")[2]))
        await distant.ping()
        await proxy.cut()
        proxy.restore()
        for call in VERBS.values():
            await insist(distant, call)
        await distant.close()


async def test_a_server_that_hangs_holds_up_no_close(server: MongoServer) -> None:
    """Stream, client and heartbeat are closed within seconds, though the server answers nothing."""
    store = open_mongo(database_url(server.url, "hanging"))
    await store.setup()
    opened = asyncio.Event()
    store.subscribe(lambda _: opened.set())
    await opened.wait()
    registered = worker()
    await store.workers.register(registered)
    pulse = store.open_pulse()
    assert await asyncio.to_thread(pulse.beat, registered.id)
    server.freeze()
    started = time.monotonic()
    await asyncio.to_thread(pulse.close)
    await store.close()
    assert time.monotonic() - started < HANGING
    server.thaw()
