"""`--help` and `--version`: what they list, and that they stay quick."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.cli.conftest import Cli
from tests.cli.processes import environment

COMMANDS = [
    *("init", "check", "worker", "schedule", "status", "top", "kill", "pause", "resume"),
    *("migrate-from-node", "web", "demo", "jobs", "crons"),
]
MAIN = "import sys; sys.argv[1:] = {}; import job_processor.cli as c; c.main()"
HEAVY = {"pydantic", "pymongo", "rich", "sqlite3"}
"""Imports that --help can do without: each takes as long as all the rest."""


def test_help_lists_every_command(cli: Cli) -> None:
    """--help and -h show all commands and the exit codes; no command at all is bad input."""
    text = cli("--help").text
    assert re.findall(r"^  (\w[\w-]*)  +[A-Z]", text, re.MULTILINE) == COMMANDS
    assert "Exit codes: 0 done, 1 failed, 2 bad input." in text
    assert cli("-h").text == text
    assert cli().code == 2


@pytest.mark.parametrize("group", [[], ["jobs"], ["crons"]], ids=" ".join)
def test_what_a_command_does_fits_on_its_line(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, group: list[str]
) -> None:
    """On 80 columns the list of commands cuts no sentence short."""
    monkeypatch.setenv("COLUMNS", "80")
    lines = cli(*group, "--help").text.partition("Commands:\n")[2].splitlines()
    assert lines
    assert [line for line in lines if line.endswith("...")] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(cli: Cli, command: str) -> None:
    """Each command explains itself; all that list or return something print JSON on request."""
    text = cli(command, "--help").text
    assert f"Usage: job-processor {command}" in text
    assert ("--json" in text) == (command not in {"worker", "web"})
    assert ("--db" in text) == (command not in {"init", "check", "worker", "schedule", "web"})
    assert max(map(len, text.splitlines())) <= 100


def test_version(cli: Cli) -> None:
    """--version prints the version alone."""
    assert re.fullmatch(r"job-processor \d+\.\d+.*\n", cli("--version").text)


@pytest.mark.parametrize(
    ("code", "without"),
    [
        ("import job_processor", HEAVY | {"typer"}),
        (MAIN.format(["--help"]), HEAVY),
        (MAIN.format(["worker", "tests.cli.apps:make", "--burst"]), {"pymongo", "pebble", "rich"}),
    ],
    ids=["import", "--help", "worker"],
)
def test_imports_stay_few(code: str, without: set[str]) -> None:
    """Neither `import job_processor` nor a command imports what is large and not needed for it.

    That of a worker is for one on SQLite whose output is no terminal.
    """
    report = "import atexit, sys; atexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{report}; {code}"],
        env=environment("sqlite://"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert not without & set(done.stderr.split())
