"""A fork waits until no thread is inside SQLite.

SQLite's own locks, such as those of its allocator and of its list of files, belong to the process
and not to a connection. A child that is forked while another thread holds one of them has it held
by a thread that it does not have: whatever it does with SQLite then, with connections of its own,
waits for ever.
"""

from __future__ import annotations

import os
import threading
import time
import weakref

PATIENCE = 2.0
"""Seconds that a fork waits at the most, for all of them: a disk may hang."""


class _Door:
    """The locks of all connections; while a process is forked, it has them."""

    def __init__(self) -> None:
        self._connections = weakref.WeakKeyDictionary[object, threading.Lock]()
        self._adding = threading.Lock()
        self._held: list[threading.Lock] = []

    def add(self, connection: object, in_use: threading.Lock) -> None:
        with self._adding:
            self._connections[connection] = in_use

    def shut(self) -> None:
        """Let those who are inside come out, and nobody in."""
        self._adding.acquire()
        until = time.monotonic() + PATIENCE
        for in_use in list(self._connections.values()):
            if in_use.acquire(timeout=max(0.0, until - time.monotonic())):
                self._held.append(in_use)

    def open(self) -> None:
        """Let them in again; in the child, too, where nobody is left who could want to."""
        held, self._held = self._held, []
        for in_use in held:
            in_use.release()
        self._adding.release()


_door = _Door()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_door.shut, after_in_parent=_door.open, after_in_child=_door.open)


def waits_for(connection: object, in_use: threading.Lock) -> None:
    """Have forks wait for a connection while this lock of it is held, as long as it is there."""
    _door.add(connection, in_use)
