"""What the pages say about the command line is what it takes."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
import typer

from job_processor.cli.app.later import loaded
from job_processor.cli.app.main import app
from tests.docs.markdown import PAGES, blocks, code, table


def options_of(command: Any) -> set[str]:
    """Return the options of a command and of those below it."""
    own = {option for each in command.params for option in each.opts}
    return own.union(*map(options_of, getattr(command, "commands", {}).values()))


ROOT = {option for each in typer.main.get_command(app).params for option in each.opts}
"""The options of the program itself."""
COMMANDS = {
    name: options_of(loaded(command))
    for name, command in vars(typer.main.get_command(app))["commands"].items()
}
"""The options and arguments of each command."""


def test_commands_are_those_of_the_program() -> None:
    """The table lists every command once, with options that it has."""
    listed = []
    for row in table("docs/cli.md", ("command", "what it does")):
        program, name, *rest = code(row[0]).split()
        assert program == "job-processor"
        assert set(re.findall(r"--[\w-]+", " ".join(rest))) <= COMMANDS[name]
        listed.append(name)
    assert sorted(listed) == sorted(COMMANDS)


@pytest.mark.parametrize("page", PAGES)
def test_commands_in_blocks_exist(page: str) -> None:
    """A command line that a page shows names a command and options that exist."""
    for block in blocks(page, "console"):
        for line in block.text.splitlines():
            words = shlex.split(line, comments=True)
            if words[:1] == ["job-processor"]:
                options = {word for word in words if word.startswith("--")}
                known = ROOT if words[1].startswith("--") else COMMANDS[words[1]]
                assert options <= known, f"{block.where}: {line}"
