"""A change stream that breaks: it is opened anew from now on, everybody looks, nobody spins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from job_processor import tasks
from job_processor.settings import RETRY_DELAY_MIN
from job_processor.store.hints import ANYTHING, Hint
from job_processor.store.mongo import MongoStore, open_mongo
from tests.processors import eventually
from tests.samples import simple
from tests.store.mongo.conftest import Commands
from tests.store.mongo.faults import Faults
from tests.store.mongo.listening import Listener

pytestmark = pytest.mark.mongo

HISTORY_LOST = 286
CURSOR_NOT_FOUND = 43
"""After this one pymongo's own change stream would go on from its token."""

WINDOW = 2.0
"""Seconds over which the tries of a stream that always fails are counted."""

MOST_OPENED = 8
"""How often it may be opened meanwhile, with pauses that double from 0.1 s on."""


@pytest.fixture
async def faulty(faulty_url: str, commands: Commands) -> AsyncIterator[MongoStore]:
    """A store on the server of faults, whose commands are recorded."""
    async with AsyncMongoClient[dict[str, Any]](faulty_url, event_listeners=[commands]) as client:
        store = MongoStore.from_database(client.get_default_database())
        await store.setup()
        commands.sent.clear()
        yield store
        await store.close()


@pytest.fixture
async def other(faulty_url: str) -> AsyncIterator[MongoStore]:
    """Another client of the same database."""
    other = open_mongo(faulty_url)
    yield other
    await other.close()


@pytest.fixture
def listener() -> Listener:
    """What is hinted at."""
    return Listener()


def streams(commands: Commands) -> list[dict[str, Any]]:
    """Return with which options change streams were opened."""
    return [
        stage["$changeStream"]
        for name, sent in commands.sent
        if name == "aggregate"
        for stage in sent["pipeline"][:1]
        if "$changeStream" in stage
    ]


@pytest.mark.parametrize(
    "code",
    [
        HISTORY_LOST,
        280,  # ChangeStreamFatalError
        CURSOR_NOT_FOUND,
        136,  # CappedPositionLost
        234,  # RetryChangeStream
        260,  # InvalidResumeToken
        8000,  # AtlasError
        11601,  # Interrupted
    ],
)
async def test_a_stream_that_broke_is_opened_anew(
    faulty: MongoStore,
    other: MongoStore,
    faults: Faults,
    listener: Listener,
    commands: Commands,
    caplog: pytest.LogCaptureFixture,
    code: int,
) -> None:
    """Its token is dropped, everybody is told to look, and what comes then is told as before."""
    faulty.subscribe(listener)
    await listener.until(ANYTHING)
    await faults.fail("getMore", code)
    await other.intake.insert([simple()])  # answers the request that waits; the next one fails
    await listener.until(ANYTHING)
    assert [stream.keys() & {"resumeAfter", "startAfter"} for stream in streams(commands)] == [
        set(),
        set(),
    ]
    assert [each.levelname for each in caplog.records if "broke" in each.message] == ["WARNING"]
    await other.intake.insert([simple()])
    assert await listener.until(Hint.WORK) == Hint.WORK


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("aggregate", HISTORY_LOST),
        ("getMore", HISTORY_LOST),
        ("getMore", CURSOR_NOT_FOUND),
    ],
)
async def test_a_stream_that_always_breaks_does_not_spin(
    faulty: MongoStore,
    faults: Faults,
    listener: Listener,
    commands: Commands,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    code: int,
) -> None:
    """The tries are few, at whatever speed the server fails; one warning, then hints again."""
    monkeypatch.setattr(tasks, "RETRY_DELAY_MIN", RETRY_DELAY_MIN)  # shorter in other tests
    await faults.fail(command, code, times=None, after_ms=15)
    faulty.subscribe(listener)
    await asyncio.sleep(WINDOW)  # the rate is what is tested
    opened = len(streams(commands))

    async def is_tried_again() -> bool:
        return len(streams(commands)) >= 2

    await eventually(is_tried_again)
    assert opened <= MOST_OPENED
    assert len([each for each in caplog.records if "broke" in each.message]) <= 1
    await faults.stop()
    listener.forget()
    await listener.until(ANYTHING)
    await faulty.intake.insert([simple()])
    await listener.until(Hint.WORK)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (13, "the user may not open one (the role read on the database allows it)"),
        (40573, "this is a standalone server; make it a replica set"),
        (40324, "this server has none"),
    ],
)
async def test_a_server_without_streams_is_asked_once(
    faulty: MongoStore,
    faults: Faults,
    listener: Listener,
    commands: Commands,
    caplog: pytest.LogCaptureFixture,
    code: int,
    reason: str,
) -> None:
    """One clear info, no further try; our own writes are told as before."""
    caplog.set_level(logging.INFO, "job_processor")

    async def told() -> bool:
        return "no change stream" in caplog.text

    await faults.fail("aggregate", code, times=None)
    faulty.subscribe(listener)
    await eventually(told, "the end of the stream")
    assert await listener.until(ANYTHING) == ANYTHING  # hints are late from now on
    faulty.subscribe(Listener())
    await faulty.intake.insert([simple()])
    assert await listener.until(Hint.WORK) == Hint.WORK
    assert len(streams(commands)) == 1
    (record,) = [each for each in caplog.records if "no change stream" in each.getMessage()]
    assert record.levelno == logging.INFO
    assert record.getMessage().endswith(f"found by polling: {reason}")
