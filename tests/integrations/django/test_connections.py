"""Handlers and hooks use the ORM, and leave no connection behind."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

from job_processor import JobDef, JobProcessor, JobStatus
from job_processor.integrations.django.connections import Connections
from tests.integrations.django.conftest import Shop
from tests.processors import WAIT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts the files of /proc")


def open_connections(data: Path) -> int:
    """Return how often this process has the shop's database open."""
    names = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            names.append(str(link.readlink()))
        except FileNotFoundError:  # that of the listing itself
            continue
    return names.count(str(data / "shop.sqlite3"))


def burst(shop: Shop, definition: JobDef, count: int = 1) -> set[JobStatus]:
    """Run jobs of a definition to their end; return how they ended.

    The processor looks after Django's connections as that of the project does.
    """
    connections.close_all()  # those of the test itself
    db = f"sqlite:///{shop.data / 'jobs.sqlite3'}"

    async def run() -> set[JobStatus]:
        async with JobProcessor(db, jobs={"a": definition}, integrations=[Connections()]) as jobs:
            await jobs.schedule_jobs(["a"] * count)
            await jobs.run_worker(burst=True)
            return {job.status for job in (await jobs.find_jobs()).jobs}

    return asyncio.run(run())


def test_plain_handlers(shop: Shop) -> None:
    """Each in a thread with a connection: while all run there are some, and then none."""
    together, seen = threading.Barrier(5), []

    def handler() -> None:
        shop.orders.create(customer="Ada")
        together.wait(WAIT)
        seen.append(open_connections(shop.data))
        together.wait(WAIT)

    assert burst(shop, JobDef(handler), 5) == {JobStatus.FINISHED}
    assert min(seen) == 5
    assert open_connections(shop.data) == 0


def test_a_lifespan(shop: Shop) -> None:
    """It has a thread of its own for the ORM, as long as it lives, and leaves no connection."""
    connections.close_all()
    threads: list[Any] = []

    async def ask() -> None:
        await shop.orders.acount()
        threads.append(await sync_to_async(threading.current_thread)())

    @asynccontextmanager
    async def lifespan(processor: JobProcessor) -> AsyncIterator[int]:
        await ask()
        yield open_connections(shop.data)
        await ask()

    async def run() -> Any:
        with_one = JobProcessor("sqlite://", lifespan=lifespan, integrations=[Connections()])

        @with_one.job
        async def work(resources: Any) -> list[int]:
            return [resources, await shop.orders.acount()]

        async with with_one:
            job = await work.schedule()
            await with_one.run_worker(burst=True)
            return (await work.wait(job)).result()

    assert asyncio.run(run()) == [1, 0]
    assert threads[0] is threads[1]
    threads[0].join(WAIT)
    assert not threads[0].is_alive()
    assert open_connections(shop.data) == 0


def test_async_handlers(shop: Shop) -> None:
    """Each with a thread of its own for the ORM, that ends with it; also where it fails."""
    together, seen = asyncio.Barrier(3), []

    async def handler() -> None:
        await shop.orders.acreate(customer="Ada")
        await together.wait()
        seen.append(open_connections(shop.data))
        await together.wait()
        raise ValueError("as told")

    assert burst(shop, JobDef(handler), 3) == {JobStatus.ERRORED}
    assert min(seen) == 3
    assert open_connections(shop.data) == 0


def test_hooks(shop: Shop) -> None:
    """`on_job_exited` too, plain or async."""

    def hook(job: Any) -> None:
        shop.orders.create(customer="plain")

    async def later(job: Any) -> None:
        await shop.orders.acreate(customer="async")

    burst(shop, JobDef(lambda: None, on_job_exited=hook))
    burst(shop, JobDef(lambda: None, on_job_exited=later))
    assert sorted(order.customer for order in shop.orders.all()) == ["async", "plain"]

    connections.close_all()
    assert open_connections(shop.data) == 0


def test_a_broken_connection_is_not_used_again(shop: Shop) -> None:
    """What CONN_MAX_AGE keeps is looked at before the next run, as before a request."""

    def handler() -> None:
        shop.orders.count()
        connection.close_at = 0.0  # its time has come
        connection.errors_occurred = True

    assert burst(shop, JobDef(handler), 3) == {JobStatus.FINISHED}
    assert open_connections(shop.data) == 0
