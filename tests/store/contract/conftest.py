"""Fixtures of the contract suite: stores on one database, and other processes on it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.store.hints import Hint
from job_processor.store.opening import open_store
from tests.conftest import DICTIONARIES, STORES
from tests.processors import WAIT

ROOT = Path(__file__).parents[3]


class Stores:
    """Opens stores on one database; they are closed at the end."""

    def __init__(self, db_url: str) -> None:
        self.db_url = db_url
        self._stack = AsyncExitStack()

    async def open(self, **settings: Any) -> Store:
        """Return a store of its own that is set up."""
        store = open_store(self.db_url, Settings(**settings))
        self._stack.push_async_callback(store.close)
        await store.setup()
        return store

    async def several(self, count: int) -> list[Store]:
        """Return so many stores."""
        return [await self.open() for _ in range(count)]

    async def close(self) -> None:
        """Close them all."""
        await self._stack.aclose()


class OtherProcess:
    """A store in another process, see `actor.py`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def ask(self, verb: str, *arguments: Any) -> Any:
        """Let the other process do something; return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([verb, *arguments]).encode() + b"\n")
        async with asyncio.timeout(WAIT):
            line = await self._process.stdout.readline()
        assert line, "the other process has failed, see its standard error"
        return json.loads(line)

    async def close(self) -> None:
        """Let it end, and wait for that."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        async with asyncio.timeout(WAIT):
            assert await self._process.wait() == 0


class OtherProcesses:
    """Starts other processes on one database; they are ended at the end."""

    def __init__(self, db_url: str) -> None:
        self._db_url = db_url
        self._stack = AsyncExitStack()

    async def start(self, *, set_up: bool = True) -> OtherProcess:
        """Return a process whose store is opened and, if asked for, set up."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.store.contract.actor",
            self._db_url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
        )
        other = OtherProcess(process)
        self._stack.push_async_callback(other.close)
        if set_up:
            await other.ask("setup")
        return other

    async def close(self) -> None:
        """End them all."""
        await self._stack.aclose()


class Listener:
    """Collects hints, and lets a test wait for them."""

    def __init__(self) -> None:
        self.heard = Hint(0)
        self._event = asyncio.Event()

    def __call__(self, hint: Hint) -> None:
        """Take a hint."""
        self.heard |= hint
        self._event.set()

    def forget(self) -> None:
        """Start anew."""
        self.heard = Hint(0)

    async def hears(self, hint: Hint) -> None:
        """Return once all of `hint` was heard since the last `forget()`."""
        async with asyncio.timeout(WAIT):
            while hint not in self.heard:
                self._event.clear()
                await self._event.wait()


@pytest.fixture(params=[*STORES, DICTIONARIES])
def db_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database, on each store in turn."""
    return str(request.getfixturevalue(f"{request.param}_db_url"))


@pytest.fixture
async def stores(db_url: str) -> AsyncIterator[Stores]:
    """Opens further stores on the database of the test."""
    stores = Stores(db_url)
    yield stores
    await stores.close()


@pytest.fixture
async def store(stores: Stores) -> Store:
    """A store that is set up, on a fresh database, of each kind in turn."""
    return await stores.open()


@pytest.fixture
async def others(db_url: str) -> AsyncIterator[OtherProcesses]:
    """Starts other processes on the database of the test."""
    if db_url.startswith("dictionaries"):
        pytest.skip("dictionaries are in one process")
    others = OtherProcesses(db_url)
    yield others
    await others.close()
