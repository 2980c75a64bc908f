"""Notices what other connections write, while somebody wants to know.

Every commit changes the write-ahead log, so on Linux the kernel tells, at no cost while nothing
happens. Elsewhere, or when it gives out no more watches, the log's time and size are looked at.
Only then is the database asked whether it was more than a heartbeat or a commit of our own.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from job_processor.errors import StoreError
from job_processor.settings import CLOSE_TIMEOUT
from job_processor.store.sqlite.inotify import Inotify

SHORTEST_PAUSE = 0.002
LONGEST_PAUSE = 0.05
"""Seconds between two looks while the log changes all the time; the pause grows while those changes
are our own, and starts short again after a quiet moment."""

POLL_INTERVAL = 0.05
"""Seconds between two looks at the log where the kernel does not tell."""


class Watch:
    """Calls `notify` when `has_changed` says that others have written.

    It begins at once, in the running event loop, and goes on until it is cancelled or stopped.
    """

    def __init__(
        self, wal: Path, has_changed: Callable[[], Awaitable[bool]], notify: Callable[[], object]
    ) -> None:
        self._wal = wal
        self._has_changed = has_changed
        self._notify = notify
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name="job-processor-sqlite-watch"
        )

    def cancel(self) -> None:
        """End the watch soon."""
        self._task.cancel()

    async def stop(self) -> None:
        """End the watch and wait for its end."""
        if not self._task.done():  # a task that ended with its loop cannot be waited for
            self._task.cancel()
            await asyncio.wait([self._task], timeout=CLOSE_TIMEOUT)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause = SHORTEST_PAUSE
        with _opened_log(self._wal) as log:
            # The first look tells our listeners to look, too: whatever happened before we watched
            # is then known. It may have been noticed by a watch that ended before it could tell.
            changed = await self._look(tells=True)
            while True:
                pause = SHORTEST_PAUSE if changed else min(2 * pause, LONGEST_PAUSE)
                await asyncio.sleep(pause)
                waiting_since = loop.time()
                await log.changed()
                if loop.time() - waiting_since > LONGEST_PAUSE:
                    pause = SHORTEST_PAUSE
                changed = await self._look()

    async def _look(self, *, tells: bool = False) -> bool:
        """Tell our listeners of a change, or in any case; return whether there was one."""
        try:
            changed = await self._has_changed()
        except StoreError:
            changed = True  # let whoever listens meet the error itself
        if changed or tells:
            self._notify()
        return changed


@contextlib.contextmanager
def _opened_log(wal: Path) -> Iterator[_Log]:
    log = _Log(wal)
    try:
        yield log
    finally:
        log.close()


class _Log:
    """The write-ahead log, which may be deleted and made anew."""

    def __init__(self, wal: Path) -> None:
        self._wal = wal
        self._inotify = _open_inotify()
        self._watched: int | None = None
        """Inode of the file that inotify watches."""
        self._state = self._stat()
        if self._inotify is not None:
            self._watch(self._inotify)

    async def changed(self) -> None:
        """Return when the log may have changed since the last call."""
        if self._inotify is not None:
            if self._is_watched():
                await _readable(self._inotify.fd)
                self._inotify.drain()
                self._watch(self._inotify)  # a log made anew may have the number of the old one
                return
            if self._watch(self._inotify):
                return  # it was made anew, and may have been written before we watched it
        state = self._stat()
        while state == self._state:
            await asyncio.sleep(POLL_INTERVAL)  # a file sets no event
            state = self._stat()
        self._state = state

    def close(self) -> None:
        """Stop watching."""
        if self._inotify is not None:
            self._inotify.close()

    def _is_watched(self) -> bool:
        state = self._stat()
        return state is not None and state[0] == self._watched

    def _watch(self, inotify: Inotify) -> bool:
        """Watch the file that is there now; False when there is none, or no watch is left."""
        state = self._stat()
        try:
            inotify.watch(self._wal)
        except OSError:
            state = None
        self._watched = None if state is None else state[0]
        return state is not None

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            stat = self._wal.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _open_inotify() -> Inotify | None:
    if sys.platform != "linux":
        return None
    try:
        return Inotify()
    except OSError:  # the user has no instance left
        return None


async def _readable(fd: int) -> None:
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(fd, _set, readable)
    try:
        await readable
    finally:
        loop.remove_reader(fd)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
