"""A database of dictionaries: in this process, shared by all stores of one address and prefix."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import defaultdict
from collections.abc import Callable, Collection
from datetime import datetime

from bson import ObjectId

from job_processor.settings import Settings
from job_processor.store.base import Abilities, Description, Pulse, Remark, Store
from job_processor.store.desks.desk import Desk
from job_processor.store.desks.lazily import kind_of
from job_processor.store.hints import (
    ANYTHING,
    EndListener,
    Hint,
    HintListener,
    Tell,
    of_ends,
    of_hints,
)
from job_processor.store.opening import Opener
from tests.store.dictionaries.tables import Connection, Tables
from tests.store.dictionaries.workers import DictionaryPulse


def opener() -> Opener:
    """Return what opens databases that nobody else knows, each by its address and prefix."""
    databases: defaultdict[tuple[str, str], Tables] = defaultdict(Tables)

    def open_dictionaries(url: str, settings: Settings) -> Store:
        return DictionaryStore(url, databases[url, settings.collection_prefix])

    return open_dictionaries


class DictionaryStore(Store):
    """Desks on one connection."""

    def __init__(self, address: str, tables: Tables) -> None:
        self.address = address
        self._listeners = tables.listeners
        self._endings: list[Callable[[], None]] = []
        """What ends each of our subscriptions."""
        self._connection = Connection(tables, address)
        self._given = self._connection, tables.listeners.tell, weakref.proxy(self)

    def _make(self, name: str) -> Desk:
        return kind_of("tests.store.dictionaries", "Dictionary", name)(*self._given)

    @property
    def abilities(self) -> Abilities:
        """What is so unless a database says otherwise."""
        return Abilities()

    async def setup(self) -> None:
        """Note that the dictionaries are in use; there is nothing to make."""
        async with self._connection as tables:
            tables.are_made = True

    async def describe(self) -> Description:
        """Tell whether anybody uses the dictionaries."""
        async with self._connection as tables:
            if not tables.are_made:
                text = f"{self.address} is empty yet; the first worker or client makes it"
                remark = Remark(
                    "connection", "warning", text, "start a worker: job-processor worker"
                )
                return Description((remark,), is_there=False)
        remarks = (
            Remark("connection", "ok", f"{self.address}, dictionaries of this process"),
            Remark("indexes", "ok", "both unique ones are there"),
        )
        return Description(remarks, has_own_clock=False)

    async def close(self) -> None:
        """Ask and hear nothing more."""
        self._connection.closed = True
        for end in self._endings:
            end()

    async def ping(self) -> datetime:
        """Return the present time."""
        async with self._connection:
            return self._connection.now()

    def subscribe(self, listener: HintListener, *, ends: bool = True) -> Callable[[], None]:
        """Tell `listener` of what any store of this database changes."""
        del ends  # no change is told by itself here, so there is none to leave out
        return self._listen(of_hints(listener))

    def on_ended(self, listener: EndListener) -> Callable[[], None]:
        """Tell `listener` which jobs any store of this database settles."""
        return self._listen(of_ends(listener))

    def open_pulse(self, patience: float | None = None) -> Pulse:
        """Let the heartbeat take the tables from its own thread."""
        return DictionaryPulse(self._connection)

    def _listen(self, tell: Tell) -> Callable[[], None]:
        loop = asyncio.get_running_loop()
        forget = self._listeners.add(_in_its_loop(tell, loop))
        first = loop.call_soon(tell, ANYTHING, None)  # what was written before it listened

        def end() -> None:
            first.cancel()
            forget()

        self._endings.append(end)
        return end


def _in_its_loop(tell: Tell, loop: asyncio.AbstractEventLoop) -> Tell:
    """Return what tells a listener in its own event loop, whose ever the write was."""

    def forward(hint: Hint, ended: Collection[ObjectId] | None) -> None:
        if asyncio.get_running_loop() is loop:
            tell(hint, ended)
        else:
            with contextlib.suppress(RuntimeError):  # it is closed: nobody listens any more
                loop.call_soon_threadsafe(tell, hint, ended)

    return forward
