"""`jobs retry`, `jobs kill` and `jobs delete`, with arguments and options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.options import DEFAULT_PREFIX, Db, Json, Prefix
from job_processor.cli.app.selection import (
    Error,
    Name,
    Payload,
    Selection,
    Since,
    Status,
    Type,
    Until,
    Worker,
)
from job_processor.cli.commands.jobs_app import jobs_app

if TYPE_CHECKING:
    from job_processor.jobs.actions import Action

__all__ = ["jobs_app"]

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Ids of jobs and cron tasks; or select by options."),
]
Yes = Annotated[
    bool, typer.Option("--yes", "-y", help="Do not ask before a selection is acted on.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Tell how many are selected, and do nothing.")
]


def _add(action: Action, summary: str) -> None:
    """Add the command of an action; all of them take the same."""

    @jobs_app.command(action, help=summary)
    def command(
        ids: Ids = None,
        db: Db = None,
        prefix: Prefix = DEFAULT_PREFIX,
        name: Name = None,
        status: Status = None,
        type: Type = None,
        since: Since = None,
        until: Until = None,
        worker: Worker = None,
        error: Error = None,
        payload: Payload = None,
        yes: Yes = False,
        dry_run: DryRun = False,
        json: Json = False,
    ) -> None:
        selection = Selection(name, status, type, since, until, worker, error, payload)
        _act(action, db, prefix, ids, selection, yes, dry_run, json)


def _act(
    action: Action,
    db: str | None,
    prefix: str,
    ids: list[str] | None,
    selection: Selection,
    yes: bool,
    dry_run: bool,
    json: bool,
) -> None:
    if ids and len(ids) == 1 and selection == Selection() and not dry_run:
        from job_processor.cli.commands import jobs  # noqa: PLC0415  # only then

        one = {"retry": jobs.retry, "kill": jobs.kill, "delete": jobs.delete}[action]
        one(db, prefix, ids[0], as_json=json)
        return
    from job_processor.cli.commands import actions as bulk  # noqa: PLC0415  # the same

    code = bulk.act(
        db, prefix, action, ids or [], selection, yes=yes, dry_run=dry_run, as_json=json
    )
    raise typer.Exit(code)


_add("retry", "Send ended jobs round again: those of ID, or a selection.")
_add("kill", "Kill jobs that wait or run: those of ID, or a selection.")
_add("delete", "Remove jobs that do not run: those of ID, or a selection.\n\nFor good.")
