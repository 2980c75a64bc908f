"""`jobs retry`, `kill` and `delete` on several jobs: those named, or those of a selection."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from job_processor.cli.app.asking import ask
from job_processor.cli.app.failing import DONE, FAILED, UsageError
from job_processor.cli.app.output import amount, console, print_json
from job_processor.cli.app.selection import Selection
from job_processor.cli.views.progress import progress
from job_processor.jobs.actions import Acted, Action
from job_processor.processor import JobProcessor

_DONE = {"retry": "Sent round again", "kill": "Killed, or asked to stop", "delete": "Deleted"}
_LEFT = {"retry": "had not ended", "kill": "had ended", "delete": "run, or are not there"}


def act(
    db: str | None,
    prefix: str,
    action: Action,
    ids: Sequence[str],
    selection: Selection,
    *,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Do it and print what was done; return the exit code: 1 when a job that was named is left."""
    chosen = selection.arguments()
    _check(ids, chosen)

    async def do(processor: JobProcessor) -> Acted | int | None:
        count = len(ids) or await processor.count_jobs(**chosen)
        if dry_run:
            return count
        if not ids and not _agreed(action, count, yes=yes):
            return None
        with progress(action, count) as tell:
            if ids:
                return await processor.act_on_jobs(action, ids, on_progress=tell)
            return await processor.act_on_jobs(action, on_progress=tell, **chosen)

    done = ask(db, prefix, do)
    if done is None:
        console().print("Nothing was done.")
        return FAILED
    if isinstance(done, int):
        _print_count(action, done, as_json=as_json)
        return DONE
    if as_json:
        print_json({"action": action, "done": done.done, "left": done.left})
    else:
        told = f"{_DONE[action]}: {amount(done.done, 'job')}."
        if done.left:
            told += f" {done.left} left as they are: they {_LEFT[action]}."
        console().print(Text(told))
    return FAILED if ids and done.left else DONE


def _check(ids: Sequence[str], chosen: dict[str, Any]) -> None:
    if bool(ids) == bool(chosen):
        raise UsageError("give one of the two: ids of jobs, or options that select (--status …)")


def _agreed(action: Action, count: int, *, yes: bool) -> bool:
    """Return whether it is to be done to a selection: asked for on a terminal, or `--yes`."""
    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(f"{amount(count, 'job')} selected, and nobody to ask: give --yes")
    sys.stderr.write(f"{action.capitalize()} {amount(count, 'job')}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _print_count(action: Action, count: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"action": action, "selected": count})
    else:
        console().print(Text(f"Would {action} {amount(count, 'job')}."))
