"""A worker process as its supervisor sees it: started, ready, told to stop, ended."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from collections.abc import Sequence


class Child:
    """A worker process, which ends with us, whatever becomes of us."""

    def __init__(self, process: asyncio.subprocess.Process, tie: socket.socket) -> None:
        self._process = process
        self._tie = tie
        self.ready = False
        """True once it has said that it works."""

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
            self.ready = bool(await asyncio.get_running_loop().sock_recv(self._tie, 1))
        return self.ready

    async def until_ended(self) -> int:
        """Return its exit code: that of a signal is negative."""
        code = await self._process.wait()
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
