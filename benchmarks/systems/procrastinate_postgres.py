"""Procrastinate on PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from procrastinate import App, PsycopgConnector

from benchmarks import loops, probe
from benchmarks.programs import PYTHON
from benchmarks.systems.base import Producer, System, Task, Variant, concurrencies

CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "10"))
# Connections for as many jobs as one can settle at a time; more only wait for the server.
CONNECTIONS = max(4, min(CONCURRENCY + 2, 20))
URL = os.environ.get("BENCH_POSTGRES_URL", "")
app = App(connector=PsycopgConnector(conninfo=URL, max_size=CONNECTIONS))


async def noop(n: int) -> None:
    """Count itself."""
    probe.hit()


async def work(n: int) -> None:
    """Wait."""
    probe.counter().begin()
    await asyncio.sleep(n / 1000)
    probe.hit()


TASKS = {"noop": app.task(noop, name="noop"), "work": app.task(work, name="work")}


class ProcrastinateOnPostgres(System):
    """Procrastinate, woken by LISTEN/NOTIFY, on uvloop. Its history is kept, as ours is."""

    key = "procrastinate"
    title = "Procrastinate, PostgreSQL"
    server = "postgres"
    packages = ("procrastinate", "psycopg", "uvloop")
    variants = concurrencies(10, 1, 100)
    bulk = "batch_defer"
    share = 0.25

    def worker(self, variant: Variant) -> list[str]:
        """Return this module as a program: its command line would not take uvloop."""
        return [PYTHON, "-m", "benchmarks.systems.procrastinate_postgres"]


class ProcrastinateProducer(Producer):
    """Defers."""

    async def open(self) -> None:
        """Connect and make the tables."""
        await app.open_async()
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()

    async def one(self, task: Task, value: int) -> None:
        """Defer one."""
        await TASKS[task].defer_async(n=value)

    async def many(self, task: Task, values: Sequence[int]) -> None:
        """Defer many in one statement."""
        await TASKS[task].batch_defer_async(*({"n": value} for value in values))

    async def close(self) -> None:
        """Disconnect."""
        await app.close_async()


async def _run_worker() -> None:
    async with app.open_async():
        await app.run_worker_async(concurrency=CONCURRENCY)


SYSTEMS = (ProcrastinateOnPostgres(),)
PRODUCERS = {"procrastinate": ProcrastinateProducer}

if __name__ == "__main__":
    loops.install()
    asyncio.run(_run_worker())
