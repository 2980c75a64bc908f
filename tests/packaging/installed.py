"""An environment of its own for the wheel of dist/, and the commands that run there."""

from __future__ import annotations

import os
import subprocess
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGTERM
from typing import Final

from tests.packaging.project import ROOT, project

WAIT: Final = 60.0
"""Seconds that a command gets to end or to answer."""
INSTALL: Final = 300.0
"""Seconds that an installation gets."""


@dataclass(frozen=True, slots=True)
class Installed:
    """An environment with the wheel, and a folder to work in."""

    environment: Path
    folder: Path

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of the package, as it was installed."""
        return [str(self.environment / "bin" / "job-processor"), *arguments]

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command of the package; return all that it printed."""
        return self._run(self.command(*arguments), code)

    def python(self, *arguments: str, code: int = 0) -> str:
        """Run Python; return all that it printed."""
        return self._run([str(self.environment / "bin" / "python"), *arguments], code)

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Keep a command running for the time of the block; it stops by SIGTERM, with 0."""
        process = subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env=_variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield process
            process.send_signal(SIGTERM)
            output, _ = process.communicate(timeout=WAIT)
            assert process.returncode == 0, output
        finally:
            process.kill()
            process.communicate()

    def _run(self, command: list[str], code: int) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=_variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=INSTALL,
        )
        assert done.returncode == code, done.stdout
        return done.stdout


def install(tmp_path: Path, extra: str | None) -> Installed:
    """Return a new environment with the wheel and what it needs."""
    wheel = ROOT / "dist" / f"job_processor-{project()['version']}-py3-none-any.whl"
    assert wheel.is_file(), f"{wheel} is not there: make package"
    venv.create(tmp_path / "venv", with_pip=True)
    folder = tmp_path / "work"
    folder.mkdir()
    made = Installed(tmp_path / "venv", folder)
    made.python("-m", "pip", "install", "--quiet", f"{wheel}{f'[{extra}]' if extra else ''}")
    made.python("-m", "pip", "check")
    return made


def until(process: subprocess.Popen[str], text: str) -> None:
    """Read what a process prints until a line has `text`."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return
    raise AssertionError("".join(lines))


def _variables() -> dict[str, str]:
    """Return our variables without what would let another environment or database in."""
    dropped = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "JOB_PROCESSOR_DB"}
    return {name: value for name, value in os.environ.items() if name not in dropped}
