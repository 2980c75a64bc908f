"""Counts what our worker asks of its database, without a change to the package.

SQLite: a call is one use of the driver (`execute`, `executemany`), as a command is one use of
pymongo; a statement is what the trace callback sees, so `executemany` of 100 rows is one call and
100 statements. MongoDB: a call is a command.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from pymongo import monitoring

from benchmarks import probe


class CountingConnection(sqlite3.Connection):
    """A connection that counts the calls of its driver."""

    def execute(self, *args: Any, **kwargs: Any) -> sqlite3.Cursor:
        """Count and execute."""
        probe.counter().add(probe.CALLS)
        return super().execute(*args, **kwargs)

    def executemany(self, *args: Any, **kwargs: Any) -> sqlite3.Cursor:
        """Count and execute."""
        probe.counter().add(probe.CALLS)
        return super().executemany(*args, **kwargs)


class Listener(monitoring.CommandListener):
    """Counts commands."""

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count one."""
        probe.counter().add(probe.CALLS)
        probe.counter().add(probe.STATEMENTS)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Count nothing."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Count nothing."""


def install() -> None:
    """Count whatever is opened from now on."""
    connect = sqlite3.connect

    def counting(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        connection = connect(*args, factory=CountingConnection, **kwargs)
        connection.set_trace_callback(lambda _: probe.counter().add(probe.STATEMENTS))
        return connection

    sqlite3.connect = counting  # type: ignore[assignment]
    monitoring.register(Listener())
