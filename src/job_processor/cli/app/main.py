"""The commands, each with one sentence; what each takes and does is in `commands/`."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from job_processor.cli.app.failing import report_failures
from job_processor.cli.app.later import Later
from job_processor.cli.app.streams import prepare_streams

COMMANDS = {
    "init": "Create a small project that runs at once.",
    "check": "Check APP, its database and its workers.",
    "worker": "Run the jobs and crons of APP until it is stopped.",
    "schedule": "Schedule the job NAME of APP, to be run by a worker.",
    "status": "Show workers, counts of jobs, crons, and due jobs.",
    "scaling": "Show waiting jobs, and how many workers they need.",
    "top": "Watch workers, queue, running jobs and rates.",
    "shell": "Start Python with `processor` set up; `await` works.",
    "send": "Send the message NAME to the jobs that wait for it.",
    "kill": "Kill (cancel) the job ID, whether it waits or runs.",
    "pause": "Pause NAME, or a tag, for all workers.",
    "resume": "End the pause of NAME, or of a tag.",
    "migrate-from-node": "Report on a migration from the Node package.",
    "web": "Serve the dashboard of APP, or of a database.",
    "mcp": "Serve jobs to an assistant by MCP, on stdin and stdout.",
    "demo": "Run a demonstration: two workers, a few hundred jobs.",
    "jobs": "List jobs; or show, watch, retry, kill or delete some.",
    "flows": "List flows; or show, kill or retry one.",
    "groups": "List groups; or show, wait for, kill or retry one.",
    "limits": "List limits and lanes; or set, reset or show one.",
    "rates": "List rates; or set, reset, hold or release one.",
    "crons": "List crons; or show, run, pause, resume or remove one.",
    "schedules": "List schedules; or put, pause, resume or remove one.",
}

app = typer.Typer(
    name="job-processor",
    help="Run and watch background jobs and crons.",
    epilog="The application is APP or --app, else $JOB_PROCESSOR_APP, else app of "
    "[tool.job-processor] in the nearest pyproject.toml. The database is --db, else the "
    "application's, else $JOB_PROCESSOR_DB, else sqlite:///job_processor.db.\n\n"
    "Exit codes: 0 done, 1 failed, 2 bad input.",
    rich_markup_mode=None,  # what renders it takes longer to import than all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main() -> None:
    """Run the command that the arguments name and leave with its exit code."""
    prepare_streams()
    with report_failures():
        try:
            app(prog_name="job-processor")
        finally:
            sys.stdout.flush()


def _print_version(wanted: bool) -> None:
    if wanted:
        from job_processor.version import version  # noqa: PLC0415  # slow, and rarely wanted

        typer.echo(f"job-processor {version()}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def _nothing() -> None:
    """Stand for what is imported later."""


for _name, _sentence in COMMANDS.items():
    app.command(_name, cls=Later, help=_sentence)(_nothing)
