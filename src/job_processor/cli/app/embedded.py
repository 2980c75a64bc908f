"""The command line inside that of another program, which knows APP and database already."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from job_processor.cli.app.failing import DONE, FAILED, report_failures
from job_processor.cli.app.main import app as commands
from job_processor.cli.app.streams import prepare_streams


def run(arguments: Sequence[str], *, prog_name: str, app: str, prefix: str | None = None) -> int:
    """Run a command; return its exit code.

    app: APP of the commands that take one, whose arguments do not have it.
    prefix: what `--prefix` is unless it is given.
    """
    root = typer.main.get_command(commands)
    defaults = {} if prefix is None else _defaults(root, {"prefix": prefix})
    prepare_streams()
    try:
        with report_failures():
            try:
                root.main(_with_app(root, arguments, app), prog_name, default_map=defaults)
            finally:
                sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else FAILED if leaving.code else DONE
    return DONE


def _with_app(command: Any, arguments: Sequence[str], app: str) -> list[str]:
    """Return the arguments with APP behind the command that takes one."""
    for place, word in enumerate(arguments, 1):
        command = getattr(command, "commands", {}).get(word)
        if command is None:
            break
        if any(parameter.name == "app" for parameter in command.params):
            return [*arguments[:place], app, *arguments[place:]]
    return list(arguments)


def _defaults(command: Any, values: dict[str, str]) -> dict[str, Any]:
    """Return the values for a command and for all below it, as click takes them."""
    below = getattr(command, "commands", {})
    return {**values, **{name: _defaults(each, values) for name, each in below.items()}}
