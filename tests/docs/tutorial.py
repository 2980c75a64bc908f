"""Does what a tutorial tells its reader: writes files, runs commands, starts what keeps running.

A comment on the line above a block says what it is:

    <!-- file: NAME -->         the block is the file; one of this name is written over
    <!-- run -->                commands, one a line, each of which succeeds
    <!-- run until -->          the same, again and again until they print what the page says
    <!-- start -->              a command that runs on, in a terminal of its own
    <!-- start again -->        the same, after all that runs has been stopped by Ctrl-C
    <!-- prints -->             what the last commands print

In what is printed `…` stands for any text within a line; the widths of columns do not matter.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.docs.markdown import Block

PATIENCE: Final = 20.0
"""Seconds that `run until` goes on, and that a program gets to stop."""


class Reader:
    """Somebody who follows a tutorial in an empty folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        self._printed = ""
        self._environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "COLUMNS": "100",
        }
        self._environment.pop("JOB_PROCESSOR_DB", None)

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
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _run(self, block: Block, until: Block | None) -> None:
        deadline = time.monotonic() + PATIENCE
        while True:
            self._printed = "".join(map(self._output, commands(block)))
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
        for command in commands(block):
            with (self._folder / "running.log").open("ab") as log:
                self._running.append(
                    subprocess.Popen(
                        ["bash", "-c", f"exec {command}"],
                        cwd=self._folder,
                        env=self._environment,
                        stdout=log,
                        stderr=log,
                    )
                )

    def _prints(self, block: Block) -> bool:
        return re.fullmatch(pattern(block.text), normal(self._printed)) is not None


def commands(block: Block) -> list[str]:
    """Return the commands of a block, a line each."""
    return block.text.strip().splitlines()


def pattern(text: str) -> str:
    """Return the regular expression of what is shown."""
    return re.escape(normal(text)).replace("…", ".*")


def normal(text: str) -> str:
    """Return text without what depends on the widths of columns."""
    text = re.sub(r"─+", "─", re.sub(r" +", " ", text))
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
