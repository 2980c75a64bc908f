"""`init` and `check`: from an empty folder to an application that can do its work."""

from __future__ import annotations

from typing import Annotated

import typer

from job_processor.cli.options import App, Json


def init(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="Where to write it; made when missing.")
    ] = ".",
) -> None:
    """Write a small project to begin with: a job, a cron, a README.

    It runs at once, and the command says how. No file that is there is ever changed.
    """
    from job_processor.cli import init as command  # noqa: PLC0415  # only this command needs it

    command.run(folder)


def check(app: App, json: Json = False) -> None:
    """Check definitions of APP, connection, indexes, clock and workers.

    Changes nothing. Leaves with 1 when something does not work; a warning is no error.
    """
    from job_processor.cli import check as command  # noqa: PLC0415  # only this command needs it

    raise typer.Exit(command.run(app, as_json=json))
