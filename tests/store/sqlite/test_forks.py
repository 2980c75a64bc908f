"""A process that is forked while other threads work with SQLite."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Connection

import pytest

from job_processor.store.sqlite import forks
from job_processor.store.sqlite.link import Link
from job_processor.store.sqlite.location import Location
from tests.processors import WAIT

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning"),
]


class Busy:
    """A thread that is inside SQLite until it is let out."""

    def __init__(self, link: Link) -> None:
        self.inside = threading.Event()
        self.out = threading.Event()
        self.thread = threading.Thread(target=link.run, args=(self._wait,))
        self.thread.start()
        assert self.inside.wait(WAIT)

    def _wait(self, connection: Connection) -> None:
        connection.create_function("inside", 0, self._stay)
        connection.execute("SELECT inside()").fetchone()

    def _stay(self) -> None:
        self.inside.set()
        self.out.wait(WAIT)


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[Busy]:
    """A thread that is inside."""
    link = Link(Location(tmp_path / "jobs.db"), create=True)
    busy = Busy(link)
    yield busy
    busy.out.set()
    busy.thread.join(WAIT)
    link.close()


def fork() -> int:
    """Fork; return how the child, which does nothing, ended."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_fork_waits_for_who_is_inside(busy: Busy) -> None:
    """The child would have SQLite's locks held by a thread that it does not have."""
    forked = threading.Event()

    def fork_and_tell() -> None:
        assert fork() == 0
        assert busy.out.is_set()
        forked.set()

    forking = threading.Thread(target=fork_and_tell)
    forking.start()
    assert not forked.wait(0.2)
    busy.out.set()
    assert forked.wait(WAIT)
    forking.join()


def test_a_fork_does_not_wait_for_ever(busy: Busy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for a disk that hangs; and who comes out later finds everything as it was."""
    monkeypatch.setattr(forks, "PATIENCE", 0.05)
    assert fork() == 0
    assert busy.thread.is_alive()


def test_nobody_is_kept_out_afterwards(tmp_path: Path) -> None:
    """After a fork connections are made and used as before it, in the parent and in the child."""
    link = Link(Location(tmp_path / "jobs.db"), create=True)
    link.run(lambda connection: connection.execute("SELECT 1"))
    pid = os.fork()
    if pid == 0:
        own = Link(Location(tmp_path / "jobs.db"))
        found = own.run(lambda connection: connection.execute("SELECT 7").fetchone()[0])
        os._exit(found)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert link.run_here(lambda connection: connection.execute("SELECT 2").fetchone()) == (2,)
    link.close()
