"""The command line as a function, and as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from job_processor.cli import main
from tests.cli.processes import Process, environment
from tests.cli.results import Result

Cli = Callable[..., Result]
Start = Callable[..., Process]
Shell = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in an empty folder, with no database named and with an unchanged import path after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOB_PROCESSOR_DB", raising=False)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command in this process, from its arguments to its exit code."""

    def run(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["job-processor", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        code = left.value.code
        assert code is None or isinstance(code, int)
        return Result(code or 0, output.out, output.err)

    return run


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command as a process in the test's folder; what still runs is killed at the end."""
    started: list[Process] = []

    def run(
        *arguments: str,
        db: str | None = None,
        terminal: bool = False,
        folder: Path | None = None,
    ) -> Process:
        process = Process(arguments, folder or tmp_path, environment(db), terminal=terminal)
        started.append(process)
        return process

    yield run
    for process in started:
        process.close()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """Runs a command by a shell, with the program as `$job_processor`."""

    def run(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path,
            env={
                **environment(None),
                "job_processor": f"{sys.executable} -m job_processor",
                **variables,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )

    return run
