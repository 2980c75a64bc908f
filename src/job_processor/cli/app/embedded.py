"""The command line inside that of another program, which knows APP and database already."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer

from job_processor.cli.app.failing import DONE, FAILED, report_failures
from job_processor.cli.app.later import loaded
from job_processor.cli.app.main import app as commands
from job_processor.cli.app.streams import prepare_streams


def run(arguments: Sequence[str], *, prog_name: str, app: str, prefix: str | None = None) -> int:
    """Run a command; return its exit code.

    app: APP of the commands that take one, whose arguments do not have it.
    prefix: what `--prefix` is unless it is given.
    """
    root = typer.main.get_command(commands)
    named = _below(root).get(arguments[0]) if arguments else None
    defaults = {} if prefix is None or named is None else _defaults(named, {"prefix": prefix})
    prepare_streams()
    try:
        with report_failures():
            try:
                words = _with_app(root, arguments, app)
                root.main(words, prog_name, default_map=defaults and {arguments[0]: defaults})
            finally:
                sys.stdout.flush()
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else FAILED if leaving.code else DONE
    return DONE


def _with_app(command: Any, arguments: Sequence[str], app: str) -> list[str]:
    """Return the arguments with APP behind the command that takes one."""
    for place, word in enumerate(arguments, 1):
        command = _below(command).get(word)
        if command is None:
            break
        if any(parameter.name == "app" for parameter in loaded(command).params):
            return [*arguments[:place], app, *arguments[place:]]
    return list(arguments)


def _defaults(command: Any, values: dict[str, str]) -> dict[str, Any]:
    """Return the values for a command and for all below it, as click takes them."""
    return {**values, **{name: _defaults(each, values) for name, each in _below(command).items()}}


def _below(command: Any) -> dict[str, Any]:
    """Return the commands of a group, none of a command."""
    found: dict[str, Any] = getattr(loaded(command), "commands", {})
    return found
