"""Jobs that come after others, in a transaction of the caller's: all of it, or nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from job_processor.clock import Clock
from job_processor.errors import InvalidArgumentError
from job_processor.jobs.after import attach, waiting
from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.store import Store
from tests.samples import end, run, simple
from tests.store.contract.test_intake_transactions import Caller, RollBack, caller, other
from tests.store.contract.test_waits import there

__all__ = ["caller", "other"]


def parts_of(caller: Caller) -> Any:
    """Return what attaching needs of a processor."""
    return SimpleNamespace(store=caller.store, clock=Clock())


async def insert_after(caller: Caller, session: Any, *parents: Job) -> SimpleJob:
    """Insert a job that comes after others, in a transaction."""
    child = waiting(simple("child"), parents, None)
    (stored,) = await attach(parts_of(caller), [child], session)
    await caller.store.intake.insert_in(session, [stored])
    return stored


async def test_a_parent_of_the_same_transaction(caller: Caller, other: Store) -> None:
    """Both are there once it is committed, and the end of one releases the other."""
    parent = simple("parent")
    async with caller.transaction() as session:
        await caller.store.intake.insert_in(session, [parent])
        child = await insert_after(caller, session, parent)
    assert (await there(other, child)).waiting_for == (f"j:{parent.id}",)
    assert (await there(other, parent)).followed
    await other.kills.kill_waiting(parent.id, Clock().now())
    assert (await there(other, child)).status is JobStatus.SKIPPED


async def test_a_parent_that_is_there_already(caller: Caller, other: Store) -> None:
    """It runs, and its worker knows nothing: its settlement misses, and releases all the same."""
    (parent,) = await run(other, simple("parent"))
    async with caller.transaction() as session:
        child = await insert_after(caller, session, parent)
    assert (await other.runs.settle([end(parent)])).won == {parent.id}
    assert (await there(other, child)).parked is None


async def test_what_is_rolled_back_has_left_nothing(caller: Caller, other: Store) -> None:
    """Neither the child, nor the mark on its parent, nor anybody who waits."""
    (parent,) = await run(other, simple("parent"))

    async def roll_back() -> SimpleJob:
        async with caller.transaction() as session:
            await insert_after(caller, session, parent)
            raise RollBack

    with pytest.raises(RollBack):
        await roll_back()
    assert not (await there(other, parent)).followed
    assert await other.waits.waited_for("", 10) == []
    assert await other.waits.followers(f"j:{parent.id}", 10) == []


async def test_a_parent_that_is_not_there(caller: Caller) -> None:
    """It is refused before anything is written."""
    async with caller.transaction() as session:
        with pytest.raises(InvalidArgumentError, match="nothing of this id is in this database"):
            await insert_after(caller, session, simple("parent"))
