"""job-processor on an SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from benchmarks.systems.ours import OurProducer, OurSystem

LEFT = """
    SELECT EXISTS (SELECT 1 FROM job_processor_jobs WHERE status IN ('pending','paused'))
        OR EXISTS (SELECT 1 FROM job_processor_jobs WHERE status='running')"""


class OursOnSqlite(OurSystem):
    """Ours, on a file."""

    key = "sqlite"
    title = "job-processor, SQLite"

    def settled(self, environment: Mapping[str, str]) -> bool:
        """Ask the file."""
        file = environment["BENCH_FILE"]
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        try:
            return not connection.execute(LEFT).fetchone()[0]
        finally:
            connection.close()

    def locked(self, environment: Mapping[str, str]) -> bool:
        """Ask for the lock of a writer."""
        connection = sqlite3.connect(environment["BENCH_FILE"], timeout=0, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()
        return False


SYSTEMS = (OursOnSqlite(),)
PRODUCERS = {"sqlite": OurProducer}
