"""A connection that is made when it is needed, and anew when it is of no use any more."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from job_processor.errors import StoreRefusedError
from job_processor.store.sqlite import forks, location
from job_processor.store.sqlite.errors import explain, is_full, needs_reopening
from job_processor.store.sqlite.location import Location

T = TypeVar("T")
Args = TypeVarTuple("Args")


_STEPS = 2000
"""Instructions of SQLite between two looks whether what is read is wanted still; under a
millisecond."""


_LOG_FOLLOWS = 0.5
"""Seconds in which the log follows a file that is put in its place, by `mv` of the one and then of
the other. Opened in between, SQLite makes an empty log, and goes on with that for good."""


RUNS_HERE = 500
"""Runs in the caller's thread in a row. The one after them, in the thread, moves the log into the
file when that is due, which takes a while."""

SLOW = 0.02
"""Seconds. A disk that takes longer, twice in a row, for a run in the caller's thread gets a thread
for a while. Once may be a processor that had other work."""

SLOW_FOR = 10.0
"""Seconds without another run in the caller's thread."""


def _always() -> bool:
    return True


class Link:
    """Runs functions with a connection to the file that is at its path now, one at a time.

    SQLite itself does not notice that a file was moved, deleted or replaced: it would go on to
    write, and to acknowledge, what nobody ever reads.
    """

    def __init__(self, where: Location, *, create: bool = False, read_only: bool = False) -> None:
        self._location = where
        self._read_only = read_only
        self.create = create
        """Make the file where it is missing. One that vanished later is not made anew, empty."""
        self.wanted: Callable[[], bool] = _always
        """Tells whether what runs is wanted still; where it only reads it is interrupted if not."""
        self._in_use = threading.Lock()
        forks.waits_for(self, self._in_use)
        self._runs_here = 0
        self._was_slow = False
        self._not_here_until = 0.0
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._was_full = False
        self._log: Path | None = None
        self._longest_log = location.WAL_BYTES_KEPT

    def run(self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args) -> T:
        """Return `function(connection, *args)`.

        One that raises leaves no transaction behind; sqlite3's errors come out as StoreError.
        """
        with self._in_use:
            return self._run(function, *args)

    def run_here(
        self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args
    ) -> T | None:
        """Return `function(connection, *args)` in a thread that must not wait.

        None where that might take a while, and nothing was done: the connection is in use or has
        to be made, somebody else writes, a disk has to be waited for. Whatever goes wrong is undone
        and None as well, for whoever may wait to find out what it is.
        """
        if not self._in_use.acquire(blocking=False):
            return None
        try:
            connection, began = self._connection, time.monotonic()
            if connection is None or began < self._not_here_until or not self._is_quick():
                return None
            if not self._runs_here:
                self._be_patient(connection, patient=False)
            self._runs_here += 1
            result = function(connection, *args)
            slow, self._was_slow = self._was_slow, time.monotonic() - began > SLOW
            if slow and self._was_slow:
                self._not_here_until = began + SLOW_FOR
            return result
        except Exception:  # noqa: BLE001  # it is asked for again, and told by then
            self._roll_back()
            return None
        except BaseException:  # somebody interrupts the thread
            self._roll_back()
            raise
        finally:
            self._in_use.release()

    def _run(self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args) -> T:
        try:
            connection = self._connected()
            if self._runs_here:
                self._runs_here = 0
                self._be_patient(connection, patient=True)
            if self._was_full:
                self._reuse_log(connection)
            result = function(connection, *args)
            if not self._read_only:
                self._cut_log(connection)
            return result
        except sqlite3.Error as error:
            self._roll_back()
            self._was_full = self._was_full or is_full(error)
            if needs_reopening(error) and self._location.path is not None:
                self._close()
            raise explain(error, self._location.address) from error
        except (UnicodeEncodeError, OverflowError) as error:  # SQLite was not even asked
            self._roll_back()
            raise StoreRefusedError(
                f"{self._location.address} cannot store this: {type(error).__name__}: {error}"
            ) from error
        except BaseException:
            self._roll_back()
            raise

    @property
    def ran_here(self) -> bool:
        """True when what ran last was run in a thread that must not wait."""
        return self._runs_here > 0

    def close(self) -> None:
        """Close the connection, once nobody uses it; the next call makes another."""
        with self._in_use:
            self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _connected(self) -> sqlite3.Connection:
        if self._connection is not None and self._file != self._location.file():
            self._close()
        if self._connection is None:
            if not self.create:
                self._await_log()
            self._connection = self._location.connect(create=self.create, read_only=self._read_only)
            if self._read_only:
                self._connection.set_progress_handler(self._is_given_up, _STEPS)
            self._file = self._location.file()
            self._log = self._location.wal
        return self._connection

    def _is_quick(self) -> bool:
        """Tell whether a short write has nothing to wait for: no flush, no other file, no repair.

        In memory nothing has. With `synchronous=full` each write waits for the disk.
        """
        if self._location.path is None:
            return True
        return (
            self._runs_here < RUNS_HERE
            and self._location.synchronous == "normal"
            and not self._was_full
            and self._file == self._location.file()
        )

    def _be_patient(self, connection: sqlite3.Connection, *, patient: bool) -> None:
        """Wait for other writers, and flush a long log to the disk; or do neither."""
        if self._location.path is not None:
            seconds, pages = (location.BUSY_TIMEOUT, location.WAL_PAGES) if patient else (0, 0)
            connection.execute(f"PRAGMA busy_timeout={seconds * 1000:.0f}")
            connection.execute(f"PRAGMA wal_autocheckpoint={pages}")

    def _await_log(self) -> None:
        """Wait for a log that is on its way: no event tells of it. In the connection's thread."""
        while not self._location.has_log() and 0 <= self._location.age() < _LOG_FOLLOWS:
            time.sleep(0.01)

    def _is_given_up(self) -> bool:
        return not self.wanted()

    def _reuse_log(self, connection: sqlite3.Connection) -> None:
        """Move the log into the file, to write over it: what room there is now is not for a log."""
        with contextlib.suppress(sqlite3.Error):
            connection.execute("PRAGMA wal_checkpoint")
            self._was_full = False

    def _cut_log(self, connection: sqlite3.Connection) -> None:
        """Wait for the readers, shortly, when the log has become long.

        SQLite begins it anew only at a moment without any, and where several processes read all
        the time there is none.
        """
        size = _size(self._log)
        if size <= self._longest_log:
            return
        busy = True
        with contextlib.suppress(sqlite3.Error):
            connection.execute(f"PRAGMA busy_timeout={location.CUT_TIMEOUT * 1000:.0f}")
            busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        connection.execute(f"PRAGMA busy_timeout={location.BUSY_TIMEOUT * 1000:.0f}")
        # For one that takes longer nobody waits again soon.
        self._longest_log = 2 * size if busy else location.WAL_BYTES_KEPT

    def _roll_back(self) -> None:
        if self._connection is not None and self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()


def _size(file: Path | None) -> int:
    try:
        return 0 if file is None else os.stat(file).st_size  # noqa: PTH116  # at each call
    except OSError:
        return 0
