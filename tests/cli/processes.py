"""The command line as a process, on a pipe or on a terminal, whose output is awaited."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from tests.processors import WAIT

ROOT = Path(__file__).parents[2]
COLUMNS, ROWS = 80, 24
DROPPED = {
    *("COLUMNS", "LINES", "NO_COLOR", "JOB_PROCESSOR_DB"),
    *("PYTHONIOENCODING", "PYTHONDONTWRITEBYTECODE"),
}


@cache
def compiled() -> str:
    """Return a folder for what Python compiles: a process that need not compile starts sooner."""
    folder = tempfile.TemporaryDirectory(prefix="job-processor-pycache-")
    atexit.register(folder.cleanup)
    return folder.name


def environment(db: str | None) -> dict[str, str]:
    """Return variables for a process that finds these tests, on an ordinary terminal."""
    variables = {name: value for name, value in os.environ.items() if name not in DROPPED}
    variables |= {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    variables |= {"PYTHONPYCACHEPREFIX": compiled()}
    return variables | ({"JOB_PROCESSOR_DB": db} if db is not None else {})


class Process:
    """A command that runs; stdout and stderr come together, as on a terminal."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, env: Mapping[str, str], *, terminal: bool
    ) -> None:
        self._read, write = pty.openpty() if terminal else os.pipe()
        if terminal:
            size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
            fcntl.ioctl(write, termios.TIOCSWINSZ, size)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "job_processor", *arguments],
            cwd=folder,
            env=env,
            stdin=write if terminal else subprocess.DEVNULL,
            stdout=write,
            stderr=write,
            start_new_session=True,
        )
        os.close(write)
        self._terminal = self._read if terminal else None
        self._seen = 0
        self.output = ""

    def send(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def type(self, text: str) -> None:
        """Type on its terminal."""
        assert self._terminal is not None
        os.write(self._terminal, text.encode())

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def until(self, text: str) -> None:
        """Return once it has printed `text` after what was awaited before."""
        end = time.monotonic() + WAIT
        start = self._seen
        while (found := self.output.find(text, start)) < 0:
            assert self._more(end), f"{text!r} did not come:\n{self.output}"
        self._seen = found + len(text)

    def wait(self, timeout: float = WAIT) -> int:
        """Wait for its end; return the exit code."""
        end = time.monotonic() + timeout
        while self._more(end):
            pass
        return self._process.wait(max(end - time.monotonic(), 1))

    def close(self) -> None:
        """Kill it if it still runs."""
        if self.alive:
            self._process.kill()
            self._process.wait()
        os.close(self._read)

    def _more(self, end: float) -> bool:
        """Read more output; False at its end or when it is too late."""
        ready, _, _ = select.select([self._read], [], [], max(end - time.monotonic(), 0))
        data = b""
        if ready:
            with contextlib.suppress(OSError):  # how a terminal ends on Linux
                data = os.read(self._read, 65536)
        self.output += data.decode(errors="replace").replace("\r\n", "\n")
        return bool(data)
