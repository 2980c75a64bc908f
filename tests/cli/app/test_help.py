"""`--help` and `--version`: what they list, and that they stay quick."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer

from job_processor.cli.app.later import loaded
from job_processor.cli.app.main import COMMANDS, app
from tests.cli.conftest import Cli
from tests.cli.processes import environment

ORDER = [
    *("init", "check", "worker", "schedule", "status", "scaling", "top", "shell"),
    *("send", "kill", "pause", "resume"),
    *("migrate-from-node", "web", "mcp", "demo", "jobs", "flows", "groups", "limits", "rates"),
    *("crons", "schedules"),
]
MAIN = "import sys; sys.argv[1:] = {}; import job_processor.cli as c; c.main()"
HEAVY = {"pydantic", "pymongo", "rich", "sqlite3"}
"""Imports that --help can do without: each takes as long as all the rest."""


ENGINE = {"asyncio", "bson", "job_processor.processor", "pymongo", "rich", "sqlite3"}
"""What the commands answer with; typer itself imports pydantic to read arguments."""


def test_help_lists_every_command(cli: Cli) -> None:
    """--help and -h show all commands and the exit codes; no command at all is bad input."""
    text = cli("--help").text
    assert re.findall(r"^  (\w[\w-]*)  +[A-Z]", text, re.MULTILINE) == ORDER
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


@pytest.mark.parametrize("command", ORDER)
def test_help_of_a_command(cli: Cli, command: str) -> None:
    """Each command explains itself; all that list or return something print JSON on request."""
    text = cli(command, "--help").text
    assert f"Usage: job-processor {command}" in text
    assert ("--json" in text) == (command not in {"worker", "web", "mcp", "shell"})
    assert ("--db" in text) == (command not in {"init", "check", "worker", "schedule"})
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("name", ORDER)
def test_the_list_says_what_the_command_says(name: str) -> None:
    """The sentence in the list of commands, and the first one of the command's own help, agree."""
    listed = vars(typer.main.get_command(app))["commands"][name]
    assert COMMANDS[name] == loaded(listed).get_short_help_str(limit=200)


def test_the_list_imports_no_command() -> None:
    """`--help` needs no file of a command, and `X --help` those of X alone."""
    assert _commands_of(_imported_by(["--help"])) == set()
    assert _commands_of(_imported_by(["pause", "--help"])) == {"pause"}


@pytest.mark.parametrize(
    "name", [*ORDER[:2], *(pytest.param(name, marks=pytest.mark.slow) for name in ORDER[2:])]
)
def test_help_of_a_command_stays_quick(name: str) -> None:
    """Neither that nor the completion of its options imports the engine, or what draws tables."""
    assert not _imported_by([name, "--help"]) & ENGINE


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
    assert not without & _imported(code)


def _imported_by(arguments: list[str]) -> set[str]:
    return _imported(MAIN.format(arguments))


def _imported(code: str) -> set[str]:
    """Return the modules that a program imports, in a process of its own."""
    report = "import atexit, sys; atexit.register(lambda: sys.stderr.write(' '.join(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", f"{report}; {code}"],
        env=environment("sqlite://"),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stderr.split())


def _commands_of(modules: set[str]) -> set[str]:
    prefix = "job_processor.cli.commands."
    return {name.removeprefix(prefix) for name in modules if name.startswith(prefix)}
