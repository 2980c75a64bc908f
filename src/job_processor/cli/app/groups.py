"""Groups of commands, such as `jobs`, which list something where no command is named."""

from __future__ import annotations

import typer

from job_processor.cli.app.failing import UsageError


def lists(context: typer.Context) -> bool:
    """Tell whether a group is to list, since no command of it is named.

    Raises UsageError for options that stand before a command, which would not hear of them.
    """
    command = context.invoked_subcommand
    if command is None:
        return True
    for each in context.command.params:
        source = context.get_parameter_source(str(each.name))
        if source is not None and source.name == "COMMANDLINE":
            path = f"{context.command_path} {command}"
            raise UsageError(
                f"{each.opts[0]}: options follow the command: {path} … {each.opts[0]} …"
            )
    return False
