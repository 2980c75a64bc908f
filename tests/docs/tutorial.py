"""Does what a tutorial tells its reader: writes files, runs commands, starts what keeps running.

A comment on the line above a block says what it is:

    <!-- file: NAME -->         the block is the file; one of this name is written over
    <!-- run -->                commands, one a line, each of which succeeds
    <!-- run until -->          the same, again and again until they print what the page says
    <!-- start -->              a command that runs on, in a terminal of its own
    <!-- start again -->        the same, after all that runs has been stopped by Ctrl-C
    <!-- prints -->             what the last commands print

In what is printed `…` stands for any text within a line; the widths of columns do not matter. A
port that commands name is another, free one, the same for all of them.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.docs.markdown import Block
from tests.mongo_server import free_port

PATIENCE: Final = 120.0
"""Seconds that `run until` goes on, and that a program gets to start or to stop."""
STARTED: Final = re.compile(r"worker started|is at http://")
"""What a worker and the dashboard say when they are there."""
PORT: Final = re.compile(r"(?<=--port )\d+|(?<=127\.0\.0\.1:)\d+")


class Reader:
    """Somebody who follows a tutorial in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[Program] = []
        self._printed = ""
        self._ports: dict[str, str] = {}
        """The free ones, by those of the page, which somebody else may have here."""
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
        }
        for name in ("JOB_PROCESSOR_DB", "DJANGO_SETTINGS_MODULE"):  # of other tests
            self._environment.pop(name, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop_all()

    def follow(self, block: Block, printed: Block | None) -> None:
        """Do what a block says; `printed` is the one that shows what it prints, if there is one."""
        kind, _, name = block.marker.partition(": ")
        if kind == "file":
            (self._folder / name).write_text(block.text, encoding="utf-8")
        elif kind in {"run", "run until"}:
            until = printed if kind == "run until" else None
            self._run(block, until)
            if printed is not None:
                assert self._prints(printed), f"{printed.where}: it prints\n{self._printed}"
        elif kind in {"start", "start again"}:
            if kind == "start again":
                self.stop_all()
            self._start(block)

    def stop_all(self) -> None:
        """Press Ctrl-C wherever something runs."""
        running, self._running = self._running, []
        for program in running:
            program.interrupt()
        for program in running:
            program.wait()

    def _run(self, block: Block, until: Block | None) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            self._printed = "".join(map(self._output, self._commands(block)))
            if until is None or self._prints(until) or time.monotonic() > deadline:
                return

    def _output(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env=self._environment,
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def _start(self, block: Block) -> None:
        for command in self._commands(block):
            self._running.append(Program(command, self._folder, self._environment))
            self._running[-1].wait_until_there()

    def _commands(self, block: Block) -> list[str]:
        """Return the commands of a block, a line each."""
        return [PORT.sub(self._free, line) for line in block.text.strip().splitlines()]

    def _free(self, port: re.Match[str]) -> str:
        return self._ports.setdefault(port[0], str(free_port()))

    def _prints(self, block: Block) -> bool:
        return re.fullmatch(pattern(block.text), normal(self._printed)) is not None


class Program:
    """Something that runs on in a terminal of its own."""

    def __init__(self, command: str, folder: Path, environment: Mapping[str, str]) -> None:
        terminal, its_end = pty.openpty()
        self._process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=folder,
            env={**environment, "TERM": "dumb"},  # lines, as a page can show them
            stdin=its_end,
            stdout=its_end,
            stderr=subprocess.STDOUT,
        )
        os.close(its_end)
        self._terminal = terminal
        self._said: list[str] = []
        self._is_there = threading.Event()
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def wait_until_there(self) -> None:
        """Return when it says that it has started."""
        assert self._is_there.wait(PATIENCE), f"it says\n{''.join(self._said)}"

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def wait(self) -> None:
        """Return when it has ended, by force if it does not."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()

    def _listen(self) -> None:
        end = contextlib.suppress(OSError)  # how a terminal ends on Linux
        with end, os.fdopen(self._terminal, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                self._said.append(line)
                if STARTED.search(line):
                    self._is_there.set()


def pattern(text: str) -> str:
    """Return the regular expression of what is shown."""
    return re.escape(normal(text)).replace("…", ".*")


def normal(text: str) -> str:
    """Return text without what depends on the widths of columns, or on the speed of the machine."""
    text = re.sub(r"─+", "─", re.sub(r" +", " ", text)).replace(" now ", " 0 s ago ")
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
