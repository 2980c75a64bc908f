"""Hints may all be missing: the sweep behind them finds work, kills and ends all the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

import pytest

from job_processor import JobDef, JobProcessor, JobStatus
from job_processor.models import Job
from job_processor.store.hints import HintListener
from job_processor.store.requests import Claim
from tests.insides import store_of
from tests.processors import WAIT, Processors, eventually
from tests.worker.probe import Probe

POLL = 0.5  # seconds


def deafen(processor: JobProcessor) -> None:
    """Cut a processor off from every hint, its own writes' included."""

    def subscribe(listener: HintListener, *, ends: bool = True) -> Callable[[], None]:
        del listener, ends
        return lambda: None

    store_of(processor).subscribe = subscribe  # type: ignore[method-assign]  # the fault


async def test_the_sweep_finds_everything_without_a_single_hint(
    processors: Processors, probe: Probe
) -> None:
    """New work, a kill and an end are found by looking: without the sweep none of it would be."""
    producer = await processors.make(jobs={"a": JobDef(probe.held)}, poll_interval=POLL)
    processor = await processors.make(jobs={"a": JobDef(probe.held)}, poll_interval=POLL)
    deafen(producer)
    deafen(processor)
    await processors.worker(processor)

    async def registered() -> bool:
        return bool((await producer.get_healthcheck())["workers"])

    await eventually(registered)
    job = await producer.schedule_job("a")
    await asyncio.wait_for(probe.began.wait(), WAIT)
    waiting = asyncio.create_task(producer.wait_for_job(job.id))
    await producer.kill_job(job.id)
    assert (await waiting).status is JobStatus.KILLED


async def test_an_idle_worker_asks_once_in_a_poll_interval(processors: Processors) -> None:
    """It does not spin while nothing is due, nor while what is due belongs to others."""

    async def handler() -> None: ...

    stranger = await processors.make(jobs={"theirs": JobDef(handler)})
    await stranger.schedule_jobs(["theirs"] * 5)
    processor = await processors.make(jobs={"ours": JobDef(handler)}, poll_interval=0.1)
    store, claims = store_of(processor), 0
    claim = store.queue.claim

    async def counted(asked: object) -> object:
        nonlocal claims
        claims += 1
        return await claim(asked)  # type: ignore[arg-type]  # passed on as it came

    store.queue.claim = counted  # type: ignore[method-assign,assignment]  # the probe
    await processors.worker(processor)

    async def some() -> bool:
        return claims >= 3

    await eventually(some)
    before, began = claims, time.monotonic()
    await asyncio.sleep(2)
    assert claims - before <= (time.monotonic() - began) / 0.1 + 2


async def test_one_that_is_told_of_is_claimed_in_the_cheapest_way(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One job first, where a claim of one takes fewer round trips; else for all free slots."""

    async def handler() -> None: ...

    processor = await processors.make(jobs={"a": JobDef(handler)}, concurrency=7)
    store, limits = store_of(processor), list[int]()
    claim = store.queue.claim

    async def noted(asked: Claim) -> Sequence[Job]:
        claimed = await claim(asked)
        limits.append(asked.limit)
        return claimed

    monkeypatch.setattr(store.queue, "claim", noted)
    await processors.worker(processor)

    async def has_looked() -> bool:
        return bool(limits)

    await eventually(has_looked)
    before = len(limits)
    job = await processor.schedule_job("a")
    await processor.wait_for_job(job.id, timeout=WAIT)
    assert (1 in limits[before:]) is store.abilities.claims_one_sooner
