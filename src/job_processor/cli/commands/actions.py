"""`jobs retry`, `jobs kill` and `jobs delete`: on those named, or those of a selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from job_processor.cli.app.asking import ask
from job_processor.cli.app.failing import DONE, FAILED, UsageError
from job_processor.cli.app.options import DEFAULT_PREFIX, Db, Json, Prefix
from job_processor.cli.app.output import amount, plain, print_json, say
from job_processor.cli.app.reading import read_yes
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
from job_processor.cli.commands.kill import kill

if TYPE_CHECKING:
    from job_processor.jobs.actions import Acted, Action
    from job_processor.processor import JobProcessor

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

ACTIONS: dict[Action, str] = {
    "retry": "Send ended jobs round again: those of ID, or a selection.",
    "kill": "Kill jobs that wait or run: those of ID, or a selection.",
    "delete": "Remove jobs that do not run: those of ID, or a selection.\n\nFor good.",
}
_DONE = {"retry": "Sent round again", "kill": "Killed, or asked to stop", "delete": "Deleted"}
_LEFT = {"retry": "had not ended", "kill": "had ended", "delete": "run, or are not there"}


def command(action: Action) -> Callable[..., None]:
    """Return the command of an action; all of them take the same."""

    def act(
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
        if ids and len(ids) == 1 and selection == Selection() and not dry_run:
            _ONE[action](ids[0], db, prefix, json)
            return
        chosen = selection.arguments()
        _check(ids, chosen)
        done = ask(db, prefix, lambda processor: _act(processor, action, ids, chosen, yes, dry_run))
        raise typer.Exit(_report(action, ids, done, as_json=json))

    return act


# --- one job ------------------------------------------------------------------------------------


def _retry(job_id: str, db: str | None, prefix: str, json: bool) -> None:
    """Send a settled job round again and print how it then stands."""
    from job_processor.as_json import job_json

    job = ask(db, prefix, lambda processor: processor.retry_job(job_id))
    if json:
        print_json(job_json(job))
    else:
        say(f"Job {plain(job.name)!r} ({job.id}) waits to be run again.")


def _delete(job_id: str, db: str | None, prefix: str, json: bool) -> None:
    """Remove a job that does not run."""
    ask(db, prefix, lambda processor: processor.delete_job(job_id))
    if json:
        print_json({"deleted": job_id})
    else:
        say(f"Deleted job {plain(job_id)}.")


_ONE: dict[Action, Callable[[str, str | None, str, bool], None]] = {
    "retry": _retry,
    "kill": kill,
    "delete": _delete,
}


# --- several ------------------------------------------------------------------------------------


def _check(ids: Sequence[str] | None, chosen: dict[str, Any]) -> None:
    if bool(ids) == bool(chosen):
        raise UsageError("give one of the two: ids of jobs, or options that select (--status …)")


async def _act(
    processor: JobProcessor,
    action: Action,
    ids: Sequence[str] | None,
    chosen: dict[str, Any],
    yes: bool,
    dry_run: bool,
) -> Acted | int | None:
    """Return what was done; only how many are selected when dry; None when it was not agreed to."""
    from job_processor.cli.views.progress import progress

    count = len(ids or ()) or await processor.count_jobs(**chosen)
    if dry_run:
        return count
    if not ids and not _agreed(action, count, yes=yes):
        return None
    with progress(action, count) as tell:
        if ids:
            return await processor.act_on_jobs(action, ids, on_progress=tell)
        return await processor.act_on_jobs(action, on_progress=tell, **chosen)


def _agreed(action: Action, count: int, *, yes: bool) -> bool:
    """Return whether it is to be done to a selection: asked for on a terminal, or `--yes`."""
    if yes:
        return True
    answer = read_yes(f"{action.capitalize()} {amount(count, 'job')}?")
    if answer is None:
        raise UsageError(f"{amount(count, 'job')} selected, and nobody to ask: give --yes")
    return answer


def _report(
    action: Action, ids: Sequence[str] | None, done: Acted | int | None, *, as_json: bool
) -> int:
    """Print what was done; return the exit code: 1 when a job that was named is left."""
    if done is None:
        say("Nothing was done.")
        return FAILED
    if isinstance(done, int):
        return _report_count(action, done, as_json=as_json)
    if as_json:
        print_json({"action": action, "done": done.done, "left": done.left})
    else:
        told = f"{_DONE[action]}: {amount(done.done, 'job')}."
        if done.left:
            told += f" {done.left} left as they are: they {_LEFT[action]}."
        say(told)
    return FAILED if ids and done.left else DONE


def _report_count(action: Action, count: int, *, as_json: bool) -> int:
    if as_json:
        print_json({"action": action, "selected": count})
    else:
        say(f"Would {action} {amount(count, 'job')}.")
    return DONE
