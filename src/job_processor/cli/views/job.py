"""One job in detail: its fields, payload, steps, result, error and log."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from job_processor.as_json import job_json
from job_processor.cli.app.output import plain
from job_processor.cli.app.when import read_time, relative
from job_processor.cli.views import tables
from job_processor.clock import span
from job_processor.errors import JobNotFoundError
from job_processor.models import Job, RelatedJob, SimpleJob
from job_processor.processor import JobProcessor
from job_processor.redaction import REDACTED, Redaction, without
from job_processor.store.lanes import stops
from job_processor.texts import harmless

BAR_WIDTH = 40
_CHILDREN = 20  # that are shown, the first ones
_STEPS = 50  # that are shown, the last ones; `--json` has all
_RESULT = 120  # characters of the result of a step
_TIMES = ("created_at", "scheduled_for", "started_at", "ended_at", "expires_at")


@dataclass(frozen=True, slots=True)
class Related:
    """What a job comes after, and what comes after it."""

    parents: tuple[RelatedJob, ...] = ()
    children: tuple[RelatedJob, ...] = ()


async def related(processor: JobProcessor, job: Job) -> Related:
    """Return what a job comes after, and what comes after it."""
    parents = await processor.get_parents(job.id) if job.after else []
    children = await processor.get_children(job.id, _CHILDREN + 1)
    return Related(tuple(parents), tuple(children))


def related_json(found: Related) -> dict[str, Any]:
    """Return the same in plain JSON values; nothing where there is none."""
    lists = {"parents": found.parents, "children": found.children[:_CHILDREN]}
    return {
        name: [{"_id": str(each.id), "name": each.name, "status": each.status} for each in some]
        for name, some in lists.items()
        if some
    }


async def read(processor: JobProcessor, job_id: str, *, reveal: bool = False) -> Job:
    """Return a job; without `reveal`, what its payload hides is hidden.

    Raises JobNotFoundError.
    """
    job = await processor.get_job(job_id)
    if job is None:
        raise JobNotFoundError(job_id)
    return job if reveal else hidden(job)


def show(job: Job, out: Console, found: Related | None = None) -> None:
    """Print a job, and what it comes after and before."""
    out.print(_fields(job))
    if found is not None:
        _show_related(found, out)
    if job.steps:
        out.print(Text("\nSteps", style="bold"))
        out.print(_steps(job))
    for title, value in (("Payload", job_json(job).get("payload")), ("Result", _result(job))):
        if value is not None:
            out.print(Text(f"\n{title}", style="bold"))
            out.print(Text(harmless(json.dumps(value, ensure_ascii=False, indent=2))))
    if job.output is not None and job.output.error is not None:
        out.print(Text("\nError", style="bold"))
        out.print(Text(harmless(job.output.error), style="red"))
    for title, error in _failures(job):
        out.print(Text(f"\n{title}", style="bold"))
        out.print(Text(harmless(error), style="dim red"))
    if job.log:
        out.print(Text("\nLog", style="bold"))
        for line in job.log:
            out.print(log_line(line.at, line.text))


def ending(job: Job) -> Text:
    """Return how a job ended, in one line."""
    told = Text.assemble(f"job {plain(job.name)!r} ({job.id}) ", status(job))
    if job.output is not None:
        if job.output.duration_ms is not None:
            told.append(f" in {tables.milliseconds(job.output.duration_ms)}", style="dim")
        if job.output.error:
            told.append(f": {plain(job.output.error.partition(chr(10))[0])}")
    return told


def status(job: Job) -> Text:
    """Return the status of a job in its colour."""
    return tables.status_text(job.status.value)


def log_line(at: datetime, text: str) -> Text:
    """Return a line of the log of a job."""
    return Text.assemble((f"{at:%H:%M:%S} ", "dim"), plain(text))


def hidden(job: Job) -> Job:
    """Return a job without the values that its payload hides, wherever it repeats them."""
    redaction = Redaction()
    secrets = redaction.secrets(getattr(job, "payload", None))

    def clean(value: Any) -> Any:
        return without(redaction.fields(value), secrets)

    changes: dict[str, Any] = {
        "attempts": tuple(replace(each, error=clean(each.error)) for each in job.attempts)
    }
    if isinstance(job, SimpleJob):
        changes["payload"] = clean(job.payload)
    if job.output is not None:
        output = job.output
        changes["output"] = replace(output, result=clean(output.result), error=clean(output.error))
    changes["steps"] = tuple(
        replace(
            step,
            name=clean(step.name),
            result=REDACTED if redaction.hides(step.name) else clean(step.result),
        )
        for step in job.steps
    )
    if job.notes is not None:
        progress = job.notes.progress
        changes["notes"] = replace(
            job.notes,
            progress=progress and replace(progress, message=clean(progress.message)),
            log=tuple(replace(line, text=clean(line.text)) for line in job.notes.log),
        )
    return replace(job, **changes)


def _fields(job: Job) -> Table:
    fields, now = job_json(job), datetime.now(UTC)
    made = tables.fields_table({"id": str(job.id), "name": plain(job.name)})
    made.add_row("status", status(job))
    if job.progress is not None:
        made.add_row("progress", _progress(job))
    for name in _TIMES:
        if fields.get(name) is not None:
            moment = read_time(fields[name])
            told = f"{moment:%Y-%m-%d %H:%M:%S} UTC, {relative(moment, now)}"
            made.add_row(name.removesuffix("_at").replace("_", " "), told)
    if took := tables.took(fields, now):
        made.add_row("took", took)
    if job.total_ms is not None and job.started_at is not None:
        made.add_row("total", f"{tables.milliseconds(job.total_ms)}, waits included")
    for label, told in (*_workers(job, now), *_lane(job), *_group(job)):
        made.add_row(label, told)
    if job.priority:
        made.add_row("priority", str(job.priority))
    if job.attempt > 1:
        made.add_row("attempt", str(job.attempt))
    for attempt in job.attempts:
        took = span((attempt.ended_at - attempt.started_at).total_seconds())
        where = f" on {plain(attempt.worker)}" if attempt.worker else ""
        told = f"failed after {took}{where}, {relative(attempt.ended_at, now)}"
        made.add_row(f"attempt {attempt.number}", Text(told, style="dim"))
    return made


def _show_related(found: Related, out: Console) -> None:
    """Print what a job comes after, and what comes after it, each with its state."""
    for title, jobs in (("Comes after", found.parents), ("Followed by", found.children)):
        if not jobs:
            continue
        made = Table.grid(padding=(0, 2))
        for each in jobs[:_CHILDREN] if jobs is found.children else jobs:
            made.add_row(
                tables.status_text(each.status.value), plain(each.name), Text(str(each.id), "dim")
            )
        if jobs is found.children and len(jobs) > _CHILDREN:
            made.add_row("…", "and more", "")
        out.print(Text(f"\n{title}", style="bold"))
        out.print(made)


def _lane(job: Job) -> Iterator[tuple[str, str]]:
    """Return what a job shares a limit with, and what it waits for there."""
    if job.lane is not None:
        yield "lane", plain(job.lane)
    if job.waits_for is not None:
        look = f"; see job-processor limits show {shlex.quote(plain(job.lane))}" if job.lane else ""
        yield "waits for", f"{plain(job.waits_for)}{look}"
    if stops(job):
        yield "stops", "its lane: nothing there starts until this job is retried or deleted"


def _group(job: Job) -> Iterator[tuple[str, str]]:
    """Return the labels of a job, its flow and group, or the group whose end it follows."""
    if job.labels:
        yield "labels", ", ".join(map(plain, job.labels))
    if job.flow is not None:
        name = plain(job.flow_name or "flow")
        yield "flow", f"{name} {job.flow}; see job-processor flows show {job.flow}"
    for label, group in (("group", job.group), ("follows", job.callback_of)):
        if group is not None:
            yield label, f"{group}; see job-processor groups show {group}"


def _steps(job: Job) -> Table:
    """Return the last steps, one a row: when it ended, how long it took, what came of it."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    steps = job_json(job)["steps"]
    if len(steps) > _STEPS:
        made.add_row("", f"… {len(steps) - _STEPS} before", "", "")
    for step in steps[-_STEPS:]:
        waits = step["ended_at"] is None
        ended = "" if waits else f"{read_time(step['ended_at']):%H:%M:%S}"
        slept = "until" in step and "topic" not in step
        took = "" if waits or slept else tables.milliseconds(step["duration_ms"])
        made.add_row(ended, Text(plain(step["name"])), took, _outcome_of(step))
    return made


def _outcome_of(step: Mapping[str, Any]) -> Text:
    """Return the result of a step in one line, or until when it sleeps or waits for a message."""
    is_message, waits = "topic" in step, step["ended_at"] is None
    if "until" in step and (waits or not is_message):
        until = read_time(step["until"])
        told = f"until {until:%Y-%m-%d %H:%M:%S} UTC, {relative(until, datetime.now(UTC))}"
        return Text(f"waits {told}" if waits else told, style="dim")
    if step["result"] is None:
        return Text("waits" if waits else "no message" if is_message else "", style="dim")
    text = plain(json.dumps(step["result"], ensure_ascii=False))
    return Text(text if len(text) <= _RESULT else f"{text[: _RESULT - 1]}…")


def _workers(job: Job, now: datetime) -> Iterator[tuple[str, str]]:
    """Return who ran a job; of one whose worker died, who that was and who rescued the job."""
    crash = job.crash
    if crash is not None:
        yield "crashed on", f"{plain(crash.worker or 'unknown')} ({crash.worker_id})"
        when = relative(crash.at, now)
        yield "rescued by", f"{plain(crash.rescuer)} ({crash.rescuer_id}), {when}"
    if job.worker_id is not None and (crash is None or crash.at != job.ended_at):
        yield "worker", str(job.worker_id)


def _failures(job: Job) -> Iterator[tuple[str, str]]:
    """Return the errors of the attempts before the last one, each with its traceback.

    Attempts in a row that failed the same way are told of once.
    """
    for error, group in groupby(job.attempts, key=lambda attempt: attempt.error or ""):
        first, *rest = [attempt.number for attempt in group]
        yield f"Attempts {first} to {rest[-1]}" if rest else f"Attempt {first}", error


def _progress(job: Job) -> Table:
    assert job.progress is not None  # noqa: S101  # the caller looked
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        ProgressBar(total=1.0, completed=job.progress.fraction, width=BAR_WIDTH),
        f"{job.progress.fraction:.0%}",
        Text(plain(job.progress.message or "")),
    )
    return grid


def _result(job: Job) -> Any:
    output = job_json(job)["output"]
    return None if output is None else output["result"]
