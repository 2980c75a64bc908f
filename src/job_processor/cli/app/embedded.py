"""The command line inside that of another program, which knows APP and database already."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import typer

from job_processor.cli.app.failing import DONE, FAILED, report_failures
from job_processor.cli.app.later import loaded
from job_processor.cli.app.main import app as commands
from job_processor.cli.app.streams import prepare_streams

program_goes_on: ContextVar[bool] = ContextVar("job_processor_program_goes_on", default=False)
"""True where the process is not ours to end: the program that called goes on afterwards."""


def run(
    arguments: Sequence[str],
    *,
    prog_name: str,
    app: str,
    db: str | None,
    prefix: str | None = None,
    goes_on: bool = False,
) -> int:
    """Run a command; return its exit code.

    app: APP of the commands that take one, whose arguments do not have it.
    db, prefix: of the others, where they are not given; None: what `app` has.
    goes_on: the program has more to do afterwards, as tests have.
    """
    token = program_goes_on.set(goes_on)
    try:
        return _run(arguments, prog_name, app, {"app": app, "db": db, "prefix": prefix})
    finally:
        program_goes_on.reset(token)


def _run(arguments: Sequence[str], prog_name: str, app: str, options: dict[str, str | None]) -> int:
    root = typer.main.get_command(commands)
    named = _below(root).get(arguments[0]) if arguments else None
    defaults = {} if named is None else {arguments[0]: _defaults(named, options)}
    prepare_streams()
    try:
        with report_failures():
            try:
                words = _with_app(root, arguments, app)
                root.main(words, prog_name, default_map=defaults)
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
        if _takes_app(command):
            return [*arguments[:place], app, *arguments[place:]]
    return list(arguments)


def _takes_app(command: Any) -> bool:
    return _kind_of_app(command) == "argument"


def _kind_of_app(command: Any) -> str | None:
    """Return how a command is told its application: by an argument, an option, or not at all."""
    for each in loaded(command).params:
        if each.name == "app":
            return str(each.param_type_name)
    return None


def _defaults(command: Any, values: dict[str, str | None]) -> dict[str, Any]:
    """Return the options of a command, and of all below it, as click takes them.

    Of those that look at a database: what takes APP has it by that, and the demo has its own.
    """
    below = {name: _defaults(each, values) for name, each in _below(command).items()}
    own = values if _kind_of_app(command) == "option" else {}
    return {**{name: value for name, value in own.items() if value is not None}, **below}


def _below(command: Any) -> dict[str, Any]:
    """Return the commands of a group, none of a command."""
    found: dict[str, Any] = getattr(loaded(command), "commands", {})
    return found
