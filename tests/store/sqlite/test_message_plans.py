"""What jobs cost that wait for a message: nothing, until it comes or their time is over."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from job_processor.clock import FAR, to_ms
from job_processor.models import Message
from job_processor.store.messages import Wait
from job_processor.store.sqlite import SqliteStore
from tests.samples import LATER, NOW, claim, end, simple
from tests.store.sqlite.recording import Recorder, plan_of

COUNT = 10_000

_PARK = """
    UPDATE job_processor_jobs SET parked='message', due=?, scheduled_for=?,
        topics=CASE WHEN rowid%100 THEN '=paid:'||rowid ELSE '["paid:'||rowid||'","x"]' END"""


@pytest.fixture
async def crowded(
    monkeypatch: pytest.MonkeyPatch, open_store: Callable[..., Any], path: Path
) -> SqliteStore:
    """A store in which 10,000 jobs wait, each for a message of its own, and one is plain."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Recorder))
    store: SqliteStore = await open_store()
    await store.intake.insert([simple() for _ in range(COUNT)])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(_PARK, (to_ms(LATER), to_ms(FAR)))
        connection.commit()
    await store.intake.insert([simple()])
    Recorder.statements.clear()
    return store


def message(topic: str) -> Message:
    """Return a message."""
    return Message(topic, 1, ObjectId(), NOW, LATER)


VERBS: dict[str, tuple[Callable[[SqliteStore], Awaitable[Any]], set[str]]] = {
    "deliver": (lambda s: s.messages.deliver(["paid:7"], NOW), {"topics"}),
    "deliver to nobody": (lambda s: s.messages.deliver(["none"], NOW), {"topics"}),
    "waiting": (lambda s: s.messages.waiting(1), {"timeouts"}),
    "waiting behind": (
        lambda s: s.messages.waiting(10, Wait(LATER, ObjectId(), ())),
        {"timeouts"},
    ),
    "find": (lambda s: s.messages.find(["paid:7"], NOW), set()),
    "put": (lambda s: s.messages.put(message("paid:7")), set()),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_an_index_answers(crowded: SqliteStore, path: Path, verb: str) -> None:
    """No statement walks through the jobs, or sorts them."""
    call, wanted = VERBS[verb]
    await call(crowded)
    statements = list(Recorder.statements)
    with closing(sqlite3.connect(path)) as connection:
        steps = [step for sql, values in statements for step in plan_of(connection, sql, values)]
    used = {name for step in steps for name in re.findall(r"INDEX job_processor_jobs_(\w+)", step)}
    assert used == wanted
    assert [step for step in steps if re.match(r"SCAN job_processor_jobs\b", step)] == []
    assert not any("TEMP B-TREE FOR ORDER" in step for step in steps)


async def test_no_look_meets_those_who_wait(crowded: SqliteStore) -> None:
    """A claim, its settlement and the look ahead are the statements that they are without them."""
    (run,) = await crowded.queue.claim(claim(10))
    await crowded.runs.settle([end(run)])
    assert await crowded.queue.next_due(["resize"]) is None
    assert not any("topics=?" in sql or "messages" in sql for sql, _ in Recorder.statements)
    assert len(Recorder.statements) <= 6
    assert len(await crowded.messages.waiting(COUNT + 1)) == COUNT
