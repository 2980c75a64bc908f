"""Arguments and options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

DEFAULT_PREFIX = "job_processor"

App = Annotated[
    str,
    typer.Argument(
        metavar="APP",
        help="module:attribute, such as shop.jobs:processor. The attribute is a JobProcessor, or "
        "a function without arguments, sync or async, that returns one.",
    ),
]
Db = Annotated[
    str | None,
    typer.Option(
        "--db",
        metavar="URL",
        envvar="JOB_PROCESSOR_DB",
        show_envvar=False,
        help="mongodb://host/name, sqlite:///file.db (relative) or sqlite:////abs/file.db. "
        "[default: $JOB_PROCESSOR_DB, else sqlite:///job_processor.db]",
    ),
]
Prefix = Annotated[
    str,
    typer.Option("--prefix", metavar="NAME", help="The collection_prefix of the application."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else, on stdout.")]
JobId = Annotated[str, typer.Argument(metavar="ID", help="The id of a job or cron task.")]
Tag = Annotated[
    str | None, typer.Option("--tag", metavar="TAG", help="All jobs and crons with this tag.")
]
Paused = Annotated[
    str | None, typer.Argument(metavar="NAME", help="The name of jobs or of a cron.")
]
