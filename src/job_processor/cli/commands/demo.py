"""`demo`: real workers, real jobs, and a summary from the database."""

from __future__ import annotations

from typing import Annotated

import typer

from job_processor.cli.app.options import Json


def demo(
    db: Annotated[
        str | None,
        typer.Option(
            "--db",
            metavar="URL",
            help="Use and keep this database. [default: a temporary SQLite file]",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run a demonstration: two workers, a few hundred jobs.

    Shows jobs that are resumed, skipped, retried, killed and timed out, a worker that crashes, and
    a cron; then a summary from the database. Everything it stores has the prefix
    job_processor_demo.
    """
    from job_processor.cli.demo.play import play

    raise typer.Exit(play(db, as_json=json))
