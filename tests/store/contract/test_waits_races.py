"""Attaching and ending at the same time, each write at the worst moment; deaths at each point."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest

from job_processor.clock import Clock
from job_processor.jobs.after import attach, look_again, release_ended, waiting
from job_processor.models import Job, JobStatus, OnParentFailure, SimpleJob
from job_processor.store import Store
from tests.desks import dead
from tests.samples import end, run, simple
from tests.store.contract.test_waits import there

Steps: TypeAlias = list[Callable[[], Awaitable[object]]]


class Attaching:
    """Attaches a child, a step at a time."""

    def __init__(self, store: Store, parent: Job, rule: OnParentFailure | None = None) -> None:
        self._store = store
        self._parts: Any = SimpleNamespace(store=store, clock=Clock())
        self.child: SimpleJob = waiting(simple("child"), [parent], rule)

    @property
    def steps(self) -> Steps:
        """Mark and look, insert, look again."""
        return [self._attach, self._insert, self._look_again]

    async def _attach(self) -> None:
        (self.child,) = await attach(self._parts, [self.child])

    async def _insert(self) -> None:
        await self._store.intake.insert([self.child])

    async def _look_again(self) -> None:
        await look_again(self._parts, [self.child])


async def sweep(store: Store) -> None:
    """Do what the sweep does."""
    parts: Any = SimpleNamespace(store=store, clock=Clock())
    await release_ended(parts, await store.waits.waited_for("", 100))


def settling(store: Store, parent: Job) -> Callable[[], Awaitable[object]]:
    """Return what settles a run by the copy of its claim."""

    async def settle() -> None:
        assert (await store.runs.settle([end(parent)])).won == {parent.id}

    return settle


@pytest.mark.parametrize("moment", range(4))
async def test_a_parent_that_ends_at_any_moment_of_attaching(store: Store, moment: int) -> None:
    """Before the mark, before the insert, before the look, after it: the child is released."""
    (parent,) = await run(store, simple("parent"))
    attaching = Attaching(store, parent)
    steps = attaching.steps
    steps.insert(moment, settling(store, parent))
    for step in steps:
        await step()
    assert (await there(store, attaching.child)).parked is None


@pytest.mark.parametrize("moment", range(3))
async def test_a_child_that_comes_at_any_moment_of_ending(
    store: Store, monkeypatch: pytest.MonkeyPatch, moment: int
) -> None:
    """Before the write of the end, between that and the release, after it."""
    (parent,) = await run(store, simple("parent"))
    attaching = Attaching(store, parent)
    settle = store.runs._settle  # between the two writes of an end

    async def attach_once() -> None:
        while attaching.steps and not done:
            done.append(True)
            for step in attaching.steps:
                await step()

    done: list[bool] = []

    async def settled(settlements: Any) -> Any:
        if moment == 0:
            await attach_once()
        verdict = await settle(settlements)
        if moment == 1:
            await attach_once()
        return verdict

    monkeypatch.setattr(store.runs, "_settle", settled)
    await settling(store, parent)()
    if moment == 2:
        await attach_once()
    assert (await there(store, attaching.child)).parked is None


@pytest.mark.parametrize("dies_after", range(1, 4))
@pytest.mark.parametrize("ends_first", [False, True])
async def test_whoever_dies_owes_nothing_after_a_sweep(
    store: Store, dies_after: int, ends_first: bool
) -> None:
    """The attacher after each of its writes, the settler before its release."""
    (parent,) = await run(store, simple("parent"))
    attaching = Attaching(store, parent)
    store.runs.waits = dead()  # its process dies before it can release
    if ends_first:
        await settling(store, parent)()
    for step in attaching.steps[:dies_after]:
        await step()
    if not ends_first:
        await settling(store, parent)()
    store.runs.waits = store.waits
    if dies_after < 2:
        assert await store.history.get(attaching.child.id) is None
        return
    await sweep(store)
    child = await there(store, attaching.child)
    assert (child.parked, child.status) == (None, JobStatus.PENDING)


async def test_both_sides_at_once(store: Store) -> None:
    """Two that begin at the same moment, many times over: in no order does a child stand."""
    chance = random.Random(7)
    for _ in range(10):
        (parent,) = await run(store, simple("parent"))
        attaching = Attaching(store, parent)
        barrier = asyncio.Barrier(2)

        async def attach_it(steps: Steps, barrier: asyncio.Barrier, pauses: int) -> None:
            await barrier.wait()
            for step in steps:
                for _ in range(pauses):
                    await asyncio.sleep(0)
                await step()

        async def settle_it(parent: Job, barrier: asyncio.Barrier, pauses: int) -> None:
            await barrier.wait()
            for _ in range(pauses):
                await asyncio.sleep(0)
            await settling(store, parent)()

        await asyncio.gather(
            attach_it(attaching.steps, barrier, chance.randrange(4)),
            settle_it(parent, barrier, chance.randrange(8)),
        )
        assert (await there(store, attaching.child)).parked is None
