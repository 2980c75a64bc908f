"""Child processes: started in groups of their own, watched, and always ended by us."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import psutil

ROOT = Path(__file__).resolve().parents[1]
PYTHON = sys.executable
OVERLAYS = Path(sys.prefix) / "overlays"
ANSWER_SECONDS = 900.0
"""What a producer gets for one request: a slow one enqueues 20,000 jobs one by one."""
STOP_SECONDS = 3.0
"""What a worker gets to stop before it is killed. Its data is thrown away anyway."""


class ProgramError(Exception):
    """A child ended, hung or said that it failed."""


def python_environment(overlay: str = "") -> dict[str, str]:
    """Return our environment, in which children find the benchmarks and, first, an overlay."""
    folders = [str(OVERLAYS / overlay)] if overlay else []
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*folders, str(ROOT)])}


class Program:
    """A child with its descendants, whose output goes to a file."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        piped: bool = False,
        user: str | None = None,
        overlay: str = "",
    ) -> None:
        self._log = folder / f"log-{time.monotonic_ns()}.txt"
        pipe = subprocess.PIPE if piped else None
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={**python_environment(overlay), **(environment or {})},
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or log,
                stderr=log,
                start_new_session=True,
                user=user,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ended(self) -> bool:
        """Whether the child itself is gone."""
        return self.process.poll() is not None

    @property
    def last_words(self) -> str:
        """The end of its output in one line, for a message."""
        lines = self._log.read_text(errors="replace").splitlines()
        lines = [line for line in lines if re.search(r"\w", line)]  # without frames
        if not lines:
            return "it said nothing"
        words = lines[-1].strip().replace(str(self._log.parent), "…").replace(str(ROOT), "…")
        return words[:200]

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def freeze(self) -> None:
        """Stop the whole group where it is, and return once it stands still."""
        self.send(signal.SIGSTOP)
        deadline = time.monotonic() + STOP_SECONDS
        while any(each.status() != psutil.STATUS_STOPPED for each in self.tree()):
            if time.monotonic() > deadline:
                raise ProgramError("a worker that was frozen goes on")
            time.sleep(0.001)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """End the whole group: politely, then by force."""
        self.send(signal.SIGCONT)
        try:
            if not self.ended:
                self.process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.wait(seconds)
        finally:  # whatever interrupts us
            self.send(signal.SIGKILL)
            self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def tree(self) -> list[psutil.Process]:
        """Return the child and its descendants."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def memory_mb(self) -> float:
        """Resident memory in MB of 10^6 bytes; what several processes share counts once."""
        tree = self.tree()
        if len(tree) == 1:
            return float(tree[0].memory_info().rss) / 1e6
        return sum(getattr(each.memory_full_info(), "pss", 0) for each in tree) / 1e6

    def cpu_seconds(self) -> float:
        """Processor time of all its processes so far."""
        return sum(sum(each.cpu_times()[:2]) for each in self.tree())


class Actor(Program):
    """A child that answers each line of JSON with one: it enqueues, as an application would."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        *,
        overlay: str = "",
    ) -> None:
        super().__init__(command, folder, environment, piped=True, overlay=overlay)
        try:
            self._answer()  # once it is connected
        except BaseException:
            self.stop()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise ProgramError(f"a producer ended: {self.last_words}") from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], ANSWER_SECONDS)
        if not readable:
            raise ProgramError(f"a producer did not answer in {ANSWER_SECONDS:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise ProgramError(f"a producer ended: {self.last_words}")
        answer: dict[str, Any] = json.loads(line)
        return answer
