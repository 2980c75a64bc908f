"""A worker process as its supervisor sees it: started, ready, told to stop, ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Sequence

_BEYOND = 15.0
"""Seconds beyond the time of its stop after which a process is killed. Where its event loop stands
still, or its database does, it leaves before that by itself."""
_UNREADY = 30.0
"""Seconds that one has which has not told the time of its stop yet."""


class Child:
    """A worker process, which ends with us, whatever becomes of us."""

    def __init__(self, process: asyncio.subprocess.Process, tie: socket.socket) -> None:
        self._process = process
        self._tie = tie
        self.ready = False
        """True once it has said that it works."""
        self.killed = False
        """True once it was killed because it did not stop."""
        self._patience = _UNREADY

    @classmethod
    async def start(cls, arguments: Sequence[str]) -> Child:
        """Start `job-processor worker` with these arguments, in a process group of its own.

        Ctrl-C is for the supervisor alone, which passes it on.
        """
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "job_processor", "worker"),
                *(*arguments, f"--supervised={theirs.fileno()}"),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        return cls(process, ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def until_ready(self) -> bool:
        """Return True once it works, False when it has ended before."""
        with contextlib.suppress(OSError):
            told = await asyncio.get_running_loop().sock_recv(self._tie, 64)
            self.ready = bool(told)
            if told:  # how long its stop may take
                self._patience = float(told) + _BEYOND
        return self.ready

    async def until_ended(self, told: asyncio.Event) -> int:
        """Return its exit code: that of a signal is negative.

        told: set once it was told to stop. One that does not within its own time is killed: a
            handler may hold Python's lock, and then it does not hear of any signal.
        """
        ending = asyncio.create_task(self._process.wait())
        await first_of(ending, told)
        await asyncio.wait([ending], timeout=self._patience)
        if not ending.done():
            self.killed = True
            self.send(signal.SIGKILL)
        code = await ending
        self._tie.close()
        return code

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; before it listens to signals, any one simply ends it."""
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            gentle = number is signal.SIGINT and not self.ready  # no traceback of an interrupt
            self._process.send_signal(signal.SIGTERM if gentle else number)


def how(code: int) -> str:
    """Return how a process ended, for people."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"left with exit code {code}"


async def first_of(task: asyncio.Task[int], event: asyncio.Event) -> None:
    """Return when the task has ended, or the event is set."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
