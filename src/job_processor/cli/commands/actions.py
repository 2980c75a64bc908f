"""`jobs retry`, `jobs kill` and `jobs delete`: on those named, or those of a selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.failing import DONE, FAILED, UsageError
from job_processor.cli.app.meaning import stranger
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import amount, plain, print_json, say
from job_processor.cli.app.reading import read_id, read_text, read_yes
from job_processor.cli.app.selection import (
    Error,
    Lane,
    Name,
    OfFlow,
    OfGroup,
    OfLabel,
    OfTag,
    Payload,
    Selection,
    Since,
    Status,
    Type,
    Until,
    Worker,
    check_tag,
)
from job_processor.cli.commands.kill import kill

if TYPE_CHECKING:
    from job_processor.jobs.actions import Acted, Action
    from job_processor.models import Job
    from job_processor.processor import JobProcessor

Ids = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID", help="Ids of jobs and cron tasks; or select jobs by options."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count the selected jobs.")]
FromBeginning = Annotated[
    bool,
    typer.Option("--from-beginning", help="Repeat all of their steps, even completed ones."),
]
Descendants = Annotated[
    bool,
    typer.Option("--descendants", help="Also retry the jobs that were skipped because of them."),
]
FromStep = Annotated[
    str | None,
    typer.Option("--from-step", metavar="STEP", help="Repeat this step and those after it."),
]
AtRate = Annotated[
    str | None,
    typer.Option(
        "--rate",
        metavar="RATE",
        help="Spread them over time: this many start per second, minute, hour or day, such as "
        "100/m. [default: all are due now]",
    ),
]
_OF_RETRY: dict[str, Any] = {
    "rate": Annotated[str | None, typer.Option("--rate", hidden=True)],
    "from_beginning": Annotated[bool, typer.Option("--from-beginning", hidden=True)],
    "from_step": Annotated[str | None, typer.Option("--from-step", hidden=True)],
    "descendants": Annotated[bool, typer.Option("--descendants", hidden=True)],
}

ACTIONS: dict[Action, str] = {
    "retry": "Retry jobs that have ended: those with ID, or a selection.",
    "kill": "Kill jobs that wait or run: those with ID, or a selection.",
    "delete": "Delete jobs that do not run: those with ID, or a selection.\n\n"
    "This cannot be undone.",
}
REPLAY = (
    "Retry dead letters: those with ID, or a selection.\n\nThe same as `jobs retry` for errored "
    "jobs; without a selection, for all of them. --rate spreads them over time."
)
_DONE = {"retry": "Retried", "kill": "Killed, or asked to stop", "delete": "Deleted"}
_NOTED = 10  # ids of an action in the audit
_LEFT = {"retry": "had not ended", "kill": "had ended", "delete": "run, or are not there"}


def command(action: Action, *, dead: bool = False) -> Callable[..., None]:
    """Return the command of an action; all of them take the same.

    dead: select errored jobs where ids or a status do not say otherwise.
    """

    def act(
        ids: Ids = None,
        db: Db = None,
        prefix: Prefix = None,
        app: AppOption = None,
        name: Name = None,
        status: Status = None,
        type: Type = None,
        tag: OfTag = None,
        since: Since = None,
        until: Until = None,
        worker: Worker = None,
        error: Error = None,
        payload: Payload = None,
        lane: Lane = None,
        group: OfGroup = None,
        flow: OfFlow = None,
        label: OfLabel = None,
        yes: Yes = False,
        dry_run: DryRun = False,
        from_beginning: FromBeginning = False,
        from_step: FromStep = None,
        descendants: Descendants = False,
        rate: AtRate = None,
        json: Json = False,
    ) -> None:
        options = _options(action, from_beginning, from_step, descendants)
        spread = _spread(action, rate)
        place = Place(db, prefix, app)
        if dead and not ids and status is None:
            status = "errored"
        selection = Selection(
            name, status, type, tag, since, until, worker, error, payload, lane, group, flow, label
        )
        for each in ids or ():
            read_id("ID", each)
        alone = ids is not None and len(ids) == 1 and selection == Selection()
        if ids and alone and not dry_run and not spread:
            _ONE[action](ids[0], place, json, **options)
            return
        meant = Meant(ids, selection, selection.arguments())
        _check(meant)
        done = ask(
            place,
            lambda processor: _act(processor, action, meant, yes, dry_run, options | spread),
        )
        raise typer.Exit(_report(action, meant, done, as_json=json))

    if action != "retry":
        act.__annotations__ |= _OF_RETRY
    return act


def _options(
    action: Action, from_beginning: bool, from_step: str | None, descendants: bool
) -> dict[str, Any]:
    """Return what only a retry is told; raise UsageError with another action."""
    given = {"from_beginning": from_beginning, "from_step": from_step, "descendants": descendants}
    options: dict[str, Any] = {name: value for name, value in given.items() if value}
    if from_step is not None:
        options["from_step"] = read_text("--from-step", from_step)
    for name in options if action != "retry" else ():
        raise UsageError(f"--{name.replace('_', '-')}: only `jobs retry` takes it")
    if from_beginning and from_step is not None:
        raise UsageError("--from-step, --from-beginning: only one of the two")
    return options


def _spread(action: Action, rate: str | None) -> dict[str, Any]:
    """Return what `act_on_jobs` is told of a rate; raises UsageError and InvalidArgumentError."""
    if rate is None:
        return {}
    if action != "retry":
        raise UsageError("--rate: only `jobs retry` and `jobs replay` take it")
    from job_processor.handlers.rates import as_rate

    as_rate(rate, "--rate")
    return {"rate": rate}


# --- one job ------------------------------------------------------------------------------------


def _retry(job_id: str, place: Place, json: bool, **options: Any) -> None:
    """Send a settled job round again and print how it then stands."""
    from job_processor.as_json import job_json

    async def begin(processor: JobProcessor) -> Job:
        async with audited(processor, "retry", job_id):
            return await processor.retry_job(job_id, **options)

    job = ask(place, begin)
    if json:
        print_json(job_json(job))
    else:
        say(f"Job {plain(job.name)!r} ({job.id}) waits to be run again.")


def _delete(job_id: str, place: Place, json: bool) -> None:
    """Remove a job that does not run."""

    async def end(processor: JobProcessor) -> None:
        async with audited(processor, "delete", job_id):
            await processor.delete_job(job_id)

    ask(place, end)
    if json:
        print_json({"deleted": job_id})
    else:
        say(f"Deleted job {plain(job_id)}.")


def _kill(job_id: str, place: Place, json: bool) -> None:
    """Kill a job, whether it waits or runs."""
    kill(job_id, place.db, place.prefix, place.app, json)


_ONE: dict[Action, Callable[..., None]] = {
    "retry": _retry,
    "kill": _kill,
    "delete": _delete,
}


# --- several ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Meant:
    """The jobs that are meant: those of ids, or those of a selection."""

    ids: Sequence[str] | None
    selection: Selection
    chosen: dict[str, Any]
    """The selection as `find_jobs` takes it."""

    @property
    def noted(self) -> str:
        """What the audit keeps of it."""
        if not self.ids:
            return self.selection.noted
        return ", ".join(self.ids[:_NOTED]) + (", …" if len(self.ids) > _NOTED else "")


def _check(meant: Meant) -> None:
    if bool(meant.ids) == bool(meant.chosen):
        raise UsageError("give one of the two: ids of jobs, or options that select (--status …)")


async def _act(
    processor: JobProcessor,
    action: Action,
    meant: Meant,
    yes: bool,
    dry_run: bool,
    options: dict[str, Any],
) -> Acted | int | None:
    """Return what was done; only how many are selected when dry; None when it was not agreed to."""
    from job_processor.cli.views.progress import progress
    from job_processor.jobs.actions import Acted

    await check_tag(processor, meant.selection.tag)
    count = len(meant.ids or ()) or await processor.count_jobs(**meant.chosen)
    if dry_run:
        return count
    if not yes and not count and meant.selection.name is not None:
        told = await stranger(processor, meant.selection.name, None)
        if told is not None:
            raise UsageError(told.replace("NAME", "--name", 1))
    if not count:
        return Acted(0, 0)
    if not meant.ids and not _agreed(action, count, yes=yes):
        return None
    with progress(action, count) as tell:
        async with audited(processor, action, meant.noted) as outcome:
            acted = await processor.act_on_jobs(
                action,
                meant.ids or None,
                on_progress=tell,
                **options,
                **meant.chosen,
            )
            outcome.told = f"{acted.done} done, {acted.left} left"
            return acted


def _agreed(action: Action, count: int, *, yes: bool) -> bool:
    """Return whether it is to be done to a selection: asked for on a terminal, or `--yes`."""
    if yes:
        return True
    answer = read_yes(f"{action.capitalize()} {amount(count, 'job')}?")
    if answer is None:
        raise UsageError(f"{amount(count, 'job')} selected, and no terminal to ask on: give --yes")
    return answer


def _report(action: Action, meant: Meant, done: Acted | int | None, *, as_json: bool) -> int:
    """Print what was done; return the exit code: 1 when a job that was named is left."""
    if done is None:
        say("Nothing was done.")
        return FAILED
    if isinstance(done, int):
        return _report_count(action, done, as_json=as_json)
    if as_json:
        print_json({"action": action, "done": done.done, "left": done.left})
    elif not done.done and not done.left:
        say("Nothing to do: no job is selected.")
    else:
        told = f"{_DONE[action]}: {amount(done.done, 'job')}."
        if done.left:
            told += f" {done.left} left as they are: they {_LEFT[action]}."
        say(told)
    return FAILED if meant.ids and done.left else DONE


def _report_count(action: Action, count: int, *, as_json: bool) -> int:
    if as_json:
        print_json({"action": action, "selected": count})
    else:
        say(f"Would {action} {amount(count, 'job')}.")
    return DONE
