"""docs/cli.md shows the help of every command as the program prints it, and its exit codes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from job_processor.cli.app.failing import BAD_INPUT, DONE, FAILED
from job_processor.cli.app.later import loaded
from job_processor.cli.app.main import app
from tests.docs.markdown import blocks, code, codes, table

PAGE = "docs/cli.md"
WIDTH = 96
"""Columns of the help on the page."""
WITHOUT_JSON = {"worker", "web", "mcp", "shell"}
"""Commands that print no data; the page says so."""


def helps() -> Iterator[tuple[str, str]]:
    """Return the help of each command and of those below it, by its name, as on the page."""

    def walk(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
        context = command.context_class(
            command,
            info_name=name,
            parent=parent,
            max_content_width=WIDTH,
            terminal_width=WIDTH,
            help_option_names=["-h", "--help"],
        )
        yield context.command_path.removeprefix("job-processor "), command.get_help(context) + "\n"
        for each, below in getattr(command, "commands", {}).items():
            yield from walk(loaded(below), each, context)

    for name, text in walk(typer.main.get_command(app), "job-processor", None):
        if name != "job-processor":  # it lists the others
            yield name, text


COMMANDS = dict(helps())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_is_that_of_the_program(name: str) -> None:
    """Each command has its block; when this fails, the block is to become what is expected."""
    usage = rf"Usage: job-processor {re.escape(name)} (\[OPTIONS\]|[A-Z]).*"
    shown = [block.text for block in blocks(PAGE, "text") if re.match(usage, block.text, re.DOTALL)]
    assert COMMANDS[name] in shown


def test_no_other_help_is_shown() -> None:
    """A command that is gone leaves no block behind."""
    shown = [block.text for block in blocks(PAGE, "text") if block.text.startswith("Usage: ")]
    assert sorted(shown) == sorted(COMMANDS.values())


def test_exit_codes_are_those_of_the_program() -> None:
    """The table has the three codes, in order."""
    rows = table(PAGE, ("exit code", "meaning"))
    assert [int(code(row[0])) for row in rows] == [DONE, FAILED, BAD_INPUT]


def test_what_prints_no_json_is_named() -> None:
    """Every other command takes `--json`."""
    rows = table(PAGE, ("without `--json`", "why"))
    assert {name for row in rows for name in codes(row[0])} == WITHOUT_JSON
    assert {name for name, text in COMMANDS.items() if "--json" not in text} == WITHOUT_JSON
