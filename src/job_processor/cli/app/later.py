"""Commands whose files are imported once they are named, so that `--help` stays quick."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand


class Later(TyperCommand):
    """A name and a sentence for the list of commands; once named, it hands on to the command."""

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        """Parse the arguments as the command itself does; the context then runs that one."""
        return loaded(self).make_context(info_name, args, parent, **extra)


def loaded(command: Any) -> Any:
    """Return a command with its parameters and what is below it."""
    return _load(str(command.name)) if isinstance(command, Later) else command


@cache
def _load(name: str) -> Any:
    """Import a command, or a group of them, which `commands/` has under its name."""
    word = name.replace("-", "_")
    found = getattr(import_module(f"job_processor.cli.commands.{word}"), word)
    holder = typer.Typer(rich_markup_mode=None, add_completion=False)
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return vars(typer.main.get_group(holder))["commands"][name]
