"""What tests of the worker share."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from job_processor.worker import stopping
from tests.insides import store_of
from tests.mongo_server import database_of
from tests.processors import Processors, eventually
from tests.proxy import Proxy
from tests.worker.diary import Diary
from tests.worker.frozen import GRACES, Frozen


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stop have half a second beyond its graces."""
    monkeypatch.setattr(stopping, "_RUNS", 0.2)
    monkeypatch.setattr(stopping, "_WRITES", 0.4)
    monkeypatch.setattr(stopping, "_LEAVING", 0.5)


@pytest.fixture
async def frozen(
    request: pytest.FixtureRequest, processors: Processors
) -> AsyncIterator[Callable[..., Awaitable[Frozen]]]:
    """Makes a processor whose database hangs on demand: no reply comes, nothing is refused."""
    async with AsyncExitStack() as stack:

        async def of_mongo(**options: Any) -> Frozen:
            url = request.getfixturevalue("mongo_server_url")
            proxy = await stack.enter_async_context(Proxy(url))
            name = database_of(processors.db_url)
            processor = await processors.make(db=proxy.url(name), **GRACES, **options)

            async def hang() -> None:
                proxy.hang()

            stack.callback(proxy.restore)
            return Frozen(processor, hang)

        async def of_sqlite(**options: Any) -> Frozen:
            processor = await processors.make(**GRACES, **options)
            store: Any = store_of(processor)
            release = threading.Event()
            stack.callback(release.set)

            async def hang() -> None:
                begun = threading.Event()

                def stand(_: object) -> None:
                    begun.set()
                    release.wait()

                store._connections.writer.call(stand)
                await eventually(_is_set(begun))

            return Frozen(processor, hang)

        yield of_sqlite if processors.db_url.startswith("sqlite") else of_mongo


def _is_set(event: threading.Event) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return event.is_set()

    return look


@pytest.fixture
def diary() -> Diary:
    """A fresh diary."""
    return Diary()
