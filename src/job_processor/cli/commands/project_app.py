"""`init` and `check`: from an empty folder to an application that can do its work."""

from __future__ import annotations

from typing import Annotated

import typer

from job_processor.cli.app.options import App, Json


def init(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Where to write it; made when missing.")
    ] = ".",
    json: Json = False,
) -> None:
    """Write a small project to begin with.

    A job, a cron, a README. It runs at once, and the command says how. No file that is there is
    ever changed.
    """
    from job_processor.cli.commands import init as command  # noqa: PLC0415  # only this command needs it

    command.run(folder, as_json=json)


def check(app: App, json: Json = False) -> None:
    """Check APP, its database and its workers.

    Definitions, connection, indexes, clock and workers are looked at, and nothing is changed.
    Leaves with 1 when something does not work; a warning is no error.
    """
    from job_processor.cli.commands import check as command  # noqa: PLC0415  # only this command needs it

    raise typer.Exit(command.run(app, as_json=json))
