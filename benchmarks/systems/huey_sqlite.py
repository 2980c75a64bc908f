"""Huey on an SQLite file."""

from __future__ import annotations

import os

from huey import SqliteHuey

from benchmarks.systems import hueys

# WAL and no fsync are its defaults, and promise what ours does: the death of a process is
# survived. Results are not kept.
huey = SqliteHuey(
    "benchmark",
    filename=f"{os.environ.get('BENCH_FILE', ':memory:')}",
    results=False,
    timeout=30,
)
TASKS = hueys.tasks(huey)


class HueyOnSqlite(hueys.HueySystem):
    """Huey, on SQLite."""

    key = "huey-sqlite"
    title = "Huey, SQLite"
    packages = ("huey",)
    module = "huey_sqlite"


class HueySqliteProducer(hueys.HueyProducer):
    """Enqueues into the file."""

    tasks = TASKS


SYSTEMS = (HueyOnSqlite(),)
PRODUCERS = {"huey-sqlite": HueySqliteProducer}
