"""The table that finds jobs by their labels holds those of the jobs there are, and no others."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from job_processor.store.sqlite import SqliteStore
from tests.samples import NOW, SECOND, settled, simple


def noted(path: Path) -> list[tuple[str, bytes]]:
    """Return what the table holds."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT label, job FROM job_processor_labels").fetchall()


async def test_labels_are_forgotten_with_their_jobs(
    open_store: Callable[..., Any], path: Path
) -> None:
    """When a job is deleted, pruned, or has others in place of its own."""
    store: SqliteStore = await open_store()
    old = settled("load", at=NOW - SECOND, labels=("a", "b"))
    gone, holder = simple(labels=("a",)), simple(unique_key="k", labels=("a", "c"))
    await store.intake.insert([old, gone, holder, simple()])
    assert len(noted(path)) == 5
    await store.history.prune(NOW, 10)
    assert len(noted(path)) == 3
    await store.history.delete([gone.id])
    assert sorted(noted(path)) == [("a", holder.id.binary), ("c", holder.id.binary)]
    await store.intake.replace(holder, simple(unique_key="k", labels=("d",)))
    assert noted(path) == [("d", holder.id.binary)]


async def test_a_repeated_insert_notes_nothing_more(
    open_store: Callable[..., Any], path: Path
) -> None:
    """Neither its own labels once more, nor others than those that the job has."""
    store: SqliteStore = await open_store()
    job = simple(labels=("a",))
    for each in (job, job, replace(job, labels=("b",))):
        await store.intake.insert([each])
    assert noted(path) == [("a", job.id.binary)]
    await store.intake.insert([simple()])
    assert len(noted(path)) == 1
