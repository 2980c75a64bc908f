"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

_SPEC = (
    "module:attribute, such as shop.jobs:processor: a JobProcessor, or a function without "
    "arguments, sync or async, that returns one. [default: $JOB_PROCESSOR_APP, else that of "
    "pyproject.toml]"
)
App = Annotated[str | None, typer.Argument(metavar="APP", show_default=False, help=_SPEC)]
AppOption = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="APP",
        help="The application whose database to use: module:attribute. [default: "
        "$JOB_PROCESSOR_APP, else that of pyproject.toml]",
    ),
]
Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        help="mongodb://host/name, sqlite:///file.db (relative) or sqlite:////abs/file.db. "
        "[default: the application's, else $JOB_PROCESSOR_DB, else sqlite:///job_processor.db]",
    ),
]
Prefix = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="NAME",
        help="Prefix of the tables or collections. [default: the application's, else "
        "job_processor]",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The id of a job or cron task.")]
Tag = Annotated[
    str | None,
    typer.Option("--tag", metavar="TAG", help="All jobs and crons with this tag (queue)."),
]
Paused = Annotated[str | None, typer.Argument(metavar="NAME", help="The name of a job or cron.")]
