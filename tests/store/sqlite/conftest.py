"""Fixtures: a file, and stores on it that are closed at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from job_processor.store.sqlite import SqliteStore
from tests.processors import Processors
from tests.store.sqlite.peer import Peer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a database may be made."""
    return tmp_path / "jobs.db"


@pytest.fixture
async def closing() -> AsyncIterator[AsyncExitStack]:
    """Closes at the end what is pushed on it."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def open_store(path: Path, closing: AsyncExitStack) -> Callable[..., Any]:
    """Makes stores that are set up, on the file at `path` or where a test says."""

    async def make(at: Path | None = path, **options: Any) -> SqliteStore:
        store = SqliteStore(at, **options)
        closing.push_async_callback(store.close)
        await store.setup()
        return store

    return make


@pytest.fixture
async def store(open_store: Callable[..., Any]) -> SqliteStore:
    """A store on the file at `path`."""
    made: SqliteStore = await open_store()
    return made


@pytest.fixture
async def peer(store: SqliteStore, path: Path, closing: AsyncExitStack) -> Peer:
    """Another process with a store on the same file."""
    return await closing.enter_async_context(Peer(path))


@pytest.fixture
async def processors(path: Path) -> AsyncIterator[Processors]:
    """Makes processors on the file at `path`; they are stopped and closed at the end."""
    async with Processors(f"sqlite:///{path}") as made:
        yield made


@pytest.fixture
async def told(store: SqliteStore) -> asyncio.Queue[Any]:
    """The hints that a listener of `store` gets, from the first look on."""
    hints: asyncio.Queue[Any] = asyncio.Queue()
    store.subscribe(hints.put_nowait)
    return hints
