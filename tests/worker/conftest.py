"""What tests of the worker share, and on which databases they run."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from job_processor.worker import stopping
from tests.conftest import DICTIONARIES, STORES
from tests.insides import store_of
from tests.mongo_server import database_of
from tests.processors import Processors, eventually
from tests.proxy import Proxy
from tests.worker.diary import Diary
from tests.worker.frozen import GRACES, Frozen

LONG = frozenset(
    {
        *("test_adoption", "test_crashes", "test_faults", "test_lease", "test_processes"),
        *("test_sightings", "test_stops_end", "test_upkeep_faults"),
    }
)
"""Files whose tests take their time: on dictionaries, `make test-all` runs them."""

_HERE = Path(__file__).parent


@pytest.fixture(params=[*STORES, DICTIONARIES])
def db_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database, on each store in turn."""
    return str(request.getfixturevalue(f"{request.param}_db_url"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave what takes long on dictionaries to the run of all tests."""
    for item in items:
        is_ours = item.path.parent == _HERE and item.get_closest_marker("dictionaries") is not None
        if is_ours and item.path.stem in LONG:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a stop have half a second beyond its graces."""
    monkeypatch.setattr(stopping, "_RUNS", 0.2)
    monkeypatch.setattr(stopping, "_WRITES", 0.4)
    monkeypatch.setattr(stopping, "_LEAVING", 0.5)
    monkeypatch.setattr(stopping, "_LIFESPAN", 0.6)


@pytest.fixture
async def frozen(
    request: pytest.FixtureRequest, processors: Processors
) -> AsyncIterator[Callable[..., Awaitable[Frozen]]]:
    """Makes a processor whose database hangs on demand: no reply comes, nothing is refused."""
    if processors.db_url.startswith("dictionaries"):
        pytest.skip("what is in this process always answers")
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
