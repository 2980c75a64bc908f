"""The embedded store: one SQLite file for several processes of one machine, or memory for one."""

from __future__ import annotations

import sqlite3
import time
import weakref
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from job_processor.clock import from_ms
from job_processor.errors import StoreError
from job_processor.store.base import Abilities, Description, Pulse, Remark, Store
from job_processor.store.desks.desk import Desk
from job_processor.store.desks.lazily import Lazily, kind_of
from job_processor.store.hints import (
    ANYTHING,
    EndListener,
    HintListener,
    HintListeners,
    Tell,
    of_ends,
    of_hints,
)
from job_processor.store.sqlite import schema
from job_processor.store.sqlite.connections import Connections, Plumbing
from job_processor.store.sqlite.errors import explain_setup
from job_processor.store.sqlite.location import Location
from job_processor.store.sqlite.revision import Revision
from job_processor.store.sqlite.tables import NOW_MS, Tables
from job_processor.tasks import in_thread

if TYPE_CHECKING:  # what a process loads that has it to do
    from job_processor.store.sqlite.watch import Watch
    from job_processor.store.sqlite.workers import SqliteWorkers


class SqliteStore(Store):
    """Keeps everything in an SQLite file, or in memory when `path` is None.

    synchronous: `normal` survives the death of any process, `full` and `extra` a power cut too.
    prefix: of the names of our tables; the file may hold those of an application, too.
    """

    _workers: Lazily[SqliteWorkers] = Lazily("workers")

    def __init__(
        self,
        path: str | Path | None,
        *,
        synchronous: str = "normal",
        prefix: str = "job_processor",
    ) -> None:
        self._location = Location(None if path is None else Path(path).absolute(), synchronous)
        self.address = self._location.address
        self._tables = Tables(prefix)
        self._revision = Revision(self._tables)
        self._connections = Connections(self._location)
        self._listeners = HintListeners()
        self._watch: Watch | None = None
        self._plumbing = Plumbing(
            self._listeners.tell,
            weakref.proxy(self),
            self._connections,
            self._tables,
            self._revision,
        )
        self._abilities = Abilities(needs_heartbeat=path is not None, lanes_bring_all=True)

    def _make(self, name: str) -> Desk:
        return kind_of("job_processor.store.sqlite", "Sqlite", name)(self._plumbing)

    @property
    def abilities(self) -> Abilities:
        """What this database can do."""
        return self._abilities

    async def setup(self) -> None:
        """Make the file and its tables where they are missing, and verify them."""
        self._location.check_folder()
        is_file = self._location.path is not None
        try:
            await self._connections.writer.call(schema.setup, self._tables, self.address, is_file)
        except StoreError as error:
            raise explain_setup(error) from error
        self._connections.keep_the_file()

    async def exists(self) -> bool:
        """Return whether the file is there; one in memory is a new one each time."""
        path = self._location.path
        return path is not None and await in_thread(path.exists, "job-processor-check")

    async def describe(self) -> Description:
        """Return how the file stands; one that is there is opened, and verified by that."""
        path = self._location.path
        if path is None:
            text = f"{self.address} is in memory: no other process sees its jobs"
            return _missing(text, "name a file or a server: sqlite:///jobs.db, mongodb://host/name")
        if not await self.exists():
            text = f"there is no file {path} yet; the first worker or client makes it"
            return _missing(text, "start a worker: job-processor worker")
        began = time.perf_counter()
        await self.setup()
        await self.ping()
        took = (time.perf_counter() - began) * 1000
        verified = "tables and indexes are verified whenever the file is opened"
        return Description(
            (
                Remark("connection", "ok", f"{self.address}, SQLite, opened in {took:.0f} ms"),
                Remark("indexes", "ok", verified),
            ),
            has_own_clock=False,
        )

    async def close(self) -> None:
        """Finish what was asked for, then close the connections."""
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.stop()
        await self._connections.close()

    async def ping(self) -> datetime:
        """Return the database's present time."""
        return await self._connections.writer.call(_present_time)

    def subscribe(self, listener: HintListener, *, ends: bool = True) -> Callable[[], None]:
        """Tell `listener` of our own writes at once, and of those of others once they are seen."""
        del ends  # no change is told by itself here, so there is none to leave out
        return self._listen(of_hints(listener))

    def on_ended(self, listener: EndListener) -> Callable[[], None]:
        """Tell `listener` which jobs we settle; what others write may be any."""
        return self._listen(of_ends(listener))

    def _listen(self, listener: Tell) -> Callable[[], None]:
        forget = self._listeners.add(listener)
        wal = self._location.wal
        if self._watch is None and wal is not None:
            from job_processor.store.sqlite.watch import Watch

            has_changed = partial(self._connections.writer.call, self._revision.has_changed)
            self._watch = Watch(wal, has_changed, lambda: self._listeners.tell(ANYTHING))

        def end() -> None:
            forget()
            if not self._listeners.all and self._watch is not None:
                self._watch.cancel()
                self._watch = None

        return end

    def open_pulse(self, patience: float | None = None) -> Pulse:
        """Open a connection for the heartbeat; it waits for a busy file as long as all do."""
        from job_processor.store.sqlite.pulse import FilePulse, MemoryPulse

        del patience
        if self._location.path is None:
            return MemoryPulse(self._connections.writer, self._workers)
        return FilePulse(self._location, self._workers)


def _missing(text: str, advice: str) -> Description:
    return Description((Remark("connection", "warning", text, advice),), is_there=False)


def _present_time(connection: sqlite3.Connection) -> datetime:
    return from_ms(connection.execute(f"SELECT {NOW_MS}").fetchone()[0])
