"""`manage.py job_processor …`: the command line, on the processor of the project."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from job_processor.cli.app.embedded import run
from job_processor.integrations.django.conf import configuration
from job_processor.integrations.django.project import database

_APP = "job_processor.integrations.django.setup:get_processor"
_BACKENDS = "job_processor.integrations.django.setup:backends"


class Command(BaseCommand):
    """Hands its arguments on; APP, the database and its prefix are those of the settings."""

    help = "Run and watch jobs and crons: `worker`, `status`, `jobs`, `crons`, `web` and more."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take all that follows."""
        parser.add_argument(
            "--backend",
            metavar="ALIAS",
            help="Use the PROCESSOR of this backend in TASKS instead of the project's processor.",
        )
        parser.add_argument(
            "arguments",
            nargs=argparse.REMAINDER,
            metavar="COMMAND",
            help="A command of job-processor, without APP and --db; without one, lists them all.",
        )

    def handle(self, *_: Any, **options: Any) -> None:
        """Run the command; raises SystemExit with its exit code unless it is 0."""
        alias = options["backend"]
        code = run(
            options["arguments"] or ["--help"],
            prog_name="manage.py job_processor",
            app=_APP if alias is None else f"{_BACKENDS}.{alias}",
            db=database() if alias is None else None,
            prefix=configuration().options.get("collection_prefix") if alias is None else None,
            goes_on=not vars(self).get("_called_from_command_line", False),
        )
        if code:
            raise SystemExit(code)
