"""What is asked of schedules is answered by an index, however many there are and are not due."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from job_processor.store.sqlite import SqliteStore
from tests.samples import LATER, NOW
from tests.store.contract.test_schedules import schedule
from tests.store.sqlite.recording import Recorder, plan_of

BY_NAME = "sqlite_autoindex_job_processor_schedules_1"
DUE, MOVED, ENDED = (f"job_processor_schedules_{name}" for name in ("due", "moved", "ended"))


async def advance(store: SqliteStore) -> None:
    """Move one on."""
    (found,) = await store.schedules.due(["digest"], NOW, 1)
    Recorder.statements.clear()
    await store.schedules.advance([(found, found)])


VERBS: dict[str, tuple[Callable[[SqliteStore], Awaitable[Any]], set[str]]] = {
    "get": (lambda store: store.schedules.get("s1"), {BY_NAME}),
    "page": (lambda store: store.schedules.page("s1", 10), {BY_NAME}),
    "page of a job": (lambda store: store.schedules.page("s1", 10, "digest"), {BY_NAME}),
    "due": (lambda store: store.schedules.due(["digest", "mail"], NOW, 10), {DUE}),
    "next_due": (lambda store: store.schedules.next_due(["digest", "mail"]), {DUE}),
    "moved_after": (lambda store: store.schedules.moved_after(NOW, 10), {MOVED}),
    "advance": (advance, {BY_NAME}),
    "prune": (lambda store: store.schedules.prune(NOW, 10), {ENDED}),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_verb_uses_an_index(
    verb: str, monkeypatch: pytest.MonkeyPatch, open_store: Callable[..., Any], path: Path
) -> None:
    """No statement walks through all schedules, also where statistics tell that they are few."""
    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Recorder))
    store: SqliteStore = await open_store()
    for number in range(20):
        moment = NOW if number % 2 else LATER
        await store.schedules.put(schedule(f"s{number}", next=moment), None)
    call, wanted = VERBS[verb]
    Recorder.statements.clear()
    await call(store)
    statements = list(Recorder.statements)
    with closing(sqlite3.connect(path)) as connection:
        for _ in range(2):
            steps = [step for each in statements for step in plan_of(connection, *each)]
            found = re.findall(r"INDEX (\S*job_processor_schedules\S*)", " ".join(steps))
            assert {*found} == wanted, steps
            steps = [step for step in steps if "json_each" not in step and "VIRTUAL" not in step]
            assert [
                step for step in steps if re.match(r"SCAN (each|job_processor_schedules)\b", step)
            ] == []
            connection.execute("ANALYZE")
