"""`crons` and what it does to one of them; alone it lists."""

from __future__ import annotations

from typing import Annotated

import typer

from job_processor.cli.app.options import DEFAULT_PREFIX, Db, Json, Prefix

crons_app = typer.Typer(invoke_without_command=True, subcommand_metavar="[COMMAND]")

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before it is removed.")]
CronName = Annotated[str, typer.Argument(metavar="NAME", help="The name of a cron.")]


@crons_app.callback()
def crons(
    context: typer.Context, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False
) -> None:
    """List crons; or show, run, pause, resume or remove one.

    Without a command: when each fires next, and how it went.
    """
    if context.invoked_subcommand is None:
        list_crons(db, prefix, json)


@crons_app.command("list")
def list_crons(db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """List crons: when they fire next, and how they went."""
    from job_processor.cli.commands import crons as command  # noqa: PLC0415  # only this command needs it

    command.list_crons(db, prefix, as_json=json)


@crons_app.command()
def show(
    name: CronName, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False
) -> None:
    """Show the cron NAME with its next five times."""
    from job_processor.cli.commands import crons as command  # noqa: PLC0415  # only this command needs it

    command.show(db, prefix, name, as_json=json)


@crons_app.command()
def run(name: CronName, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False) -> None:
    """Run the cron NAME now, beside its schedule.

    A worker that defines it does; a paused one waits.
    """
    from job_processor.cli.commands import crons as command  # noqa: PLC0415  # only this command needs it

    command.run(db, prefix, name, as_json=json)


@crons_app.command()
def pause(
    name: CronName, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False
) -> None:
    """Pause the cron NAME for all workers."""
    from job_processor.cli.commands import crons as command  # noqa: PLC0415  # only this command needs it

    command.pause(db, prefix, name, as_json=json)


@crons_app.command()
def resume(
    name: CronName, db: Db = None, prefix: Prefix = DEFAULT_PREFIX, json: Json = False
) -> None:
    """Let the cron NAME go on.

    What it missed is judged by its `misfire`.
    """
    from job_processor.cli.views import pauses as command  # noqa: PLC0415  # only this command needs it

    command.resume(db, prefix, name, None, as_json=json)


@crons_app.command()
def remove(
    name: CronName,
    db: Db = None,
    prefix: Prefix = DEFAULT_PREFIX,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove the cron NAME, which no worker lists any more.

    What waits of it is skipped. On a terminal it asks first.
    """
    from job_processor.cli.commands import crons as command  # noqa: PLC0415  # only this command needs it

    raise typer.Exit(command.remove(db, prefix, name, yes=yes, as_json=json))
