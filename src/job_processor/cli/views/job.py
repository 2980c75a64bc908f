"""`jobs show` and `jobs watch`: one job, in detail and while it runs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from job_processor.as_json import job_json
from job_processor.cli.app.asking import ask
from job_processor.cli.app.output import console, has_live_view, plain, print_json
from job_processor.cli.app.when import read_time, relative
from job_processor.cli.views import tables
from job_processor.errors import JobNotFoundError, StoreError
from job_processor.models import Job, JobStatus, SimpleJob
from job_processor.processor import JobProcessor
from job_processor.redaction import Redaction, without
from job_processor.texts import harmless

_INTERVAL = 0.3  # seconds between two looks at the database
_BAR_WIDTH = 40
_TIMES = ("created_at", "scheduled_for", "started_at", "ended_at", "expires_at")


def show(db: str | None, prefix: str, job_id: str, *, as_json: bool, reveal: bool) -> None:
    """Print a job; without `reveal`, what its payload hides is hidden."""
    job = ask(db, prefix, lambda processor: _get(processor, job_id))
    if not reveal:
        job = _hidden(job)
    if as_json:
        print_json(job_json(job))
        return
    out = console()
    out.print(_fields(job))
    for title, value in (("Payload", job_json(job).get("payload")), ("Result", _result(job))):
        if value is not None:
            out.print(Text(f"\n{title}", style="bold"))
            out.print(Text(harmless(json.dumps(value, ensure_ascii=False, indent=2))))
    if job.output is not None and job.output.error is not None:
        out.print(Text("\nError", style="bold"))
        out.print(Text(harmless(job.output.error), style="red"))
    if job.log:
        out.print(Text("\nLog", style="bold"))
        for line in job.log:
            out.print(_log_line(line.at, line.text))


def watch(db: str | None, prefix: str, job_id: str, *, as_json: bool) -> int:
    """Follow a job until it has ended; return 0 when it finished, else 1."""

    async def follow(processor: JobProcessor) -> Job:
        view = _JsonView() if as_json else _view(console())
        with view:
            job = _hidden(await _get(processor, job_id))
            view.update(job)
            while not job.settled:
                await asyncio.sleep(_INTERVAL)
                try:
                    job = _hidden(await _get(processor, job_id))
                except StoreError:
                    continue
                view.update(job)
        return job

    job = ask(db, prefix, follow)
    if not as_json:
        told = Text.assemble(f"job {plain(job.name)!r} ({job.id}) ", _status(job))
        if job.output is not None:
            told.append(f" after {job.output.duration}", style="dim")
            if job.output.error:
                told.append(f": {plain(job.output.error.partition(chr(10))[0])}")
        console().print(told)
    return 0 if job.status is JobStatus.FINISHED else 1


class _JsonView:
    """Prints the job as JSON, a line for each change."""

    def __init__(self) -> None:
        self._last: Any = None

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, job: Job) -> None:
        """Show how a job stands."""
        now = job_json(job)
        if now != self._last:
            self._last = now
            print_json(now)


class _LineView(_JsonView):
    """Prints a line for each change, where nothing can be redrawn."""

    def __init__(self, out: Console) -> None:
        super().__init__()
        self._out = out
        self._logged = 0
        self._log: tuple[Any, ...] = ()

    def update(self, job: Job) -> None:
        """Show how a job stands."""
        self._print_log(job)
        progress = job.progress
        told = (job.status, None if progress is None else (progress.fraction, progress.message))
        if told != self._last:
            self._last = told
            line = Text.assemble(_status(job))
            if progress is not None:
                line.append(f" {progress.fraction:.0%} {plain(progress.message or '')}".rstrip())
            self._out.print(line)

    def _print_log(self, job: Job) -> None:
        """Print the lines that are new; the log keeps the last ones only."""
        seen = set(self._log)
        for line in job.log:
            if line not in seen:
                self._out.print(_log_line(line.at, line.text))
        self._log = job.log


class _BarView(_LineView):
    """Keeps a progress bar below the log."""

    def __init__(self, out: Console) -> None:
        super().__init__(out)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(_BAR_WIDTH),
            TaskProgressColumn(),
            TextColumn("{task.fields[message]}", markup=False),
            console=out,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, message="")

    def __enter__(self) -> None:
        self._bar.start()

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, job: Job) -> None:
        """Show how a job stands."""
        self._print_log(job)
        progress = job.progress
        self._bar.update(
            self._task,
            description=f"[{tables.STYLES[job.status.value]}]{job.status.value}",
            total=None if progress is None else 1.0,
            completed=0 if progress is None else progress.fraction,
            message=plain(progress.message or "") if progress is not None else "",
        )


def _view(out: Console) -> _LineView:
    return _BarView(out) if has_live_view(out) else _LineView(out)


def _hidden(job: Job) -> Job:
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
    if job.notes is not None:
        progress = job.notes.progress
        changes["notes"] = replace(
            job.notes,
            progress=progress and replace(progress, message=clean(progress.message)),
            log=tuple(replace(line, text=clean(line.text)) for line in job.notes.log),
        )
    return replace(job, **changes)


async def _get(processor: JobProcessor, job_id: str) -> Job:
    job = await processor.get_job(job_id)
    if job is None:
        raise JobNotFoundError(job_id)
    return job


def _fields(job: Job) -> Table:
    fields, now = job_json(job), datetime.now(UTC)
    made = tables.fields_table({"id": str(job.id), "name": plain(job.name)})
    made.add_row("status", _status(job))
    if job.progress is not None:
        made.add_row("progress", _progress(job))
    for name in _TIMES:
        if fields.get(name) is not None:
            moment = read_time(fields[name])
            told = f"{moment:%Y-%m-%d %H:%M:%S} UTC, {relative(moment, now)}"
            made.add_row(name.removesuffix("_at").replace("_", " "), told)
    if job.output is not None and job.started_at is not None:
        made.add_row("took", job.output.duration)
    if job.worker_id is not None:
        made.add_row("worker", str(job.worker_id))
    if job.priority:
        made.add_row("priority", str(job.priority))
    if job.attempt > 1:
        made.add_row("attempt", str(job.attempt))
    for attempt in job.attempts:
        first = plain((attempt.error or "").partition("\n")[0])
        made.add_row(f"attempt {attempt.number}", Text(f"failed: {first}", style="dim"))
    return made


def _progress(job: Job) -> Table:
    assert job.progress is not None  # noqa: S101  # the caller looked
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        ProgressBar(total=1.0, completed=job.progress.fraction, width=_BAR_WIDTH),
        f"{job.progress.fraction:.0%}",
        Text(plain(job.progress.message or "")),
    )
    return grid


def _result(job: Job) -> Any:
    output = job_json(job)["output"]
    return None if output is None else output["result"]


def _status(job: Job) -> Text:
    return tables.status_text(job.status.value)


def _log_line(at: datetime, text: str) -> Text:
    return Text.assemble((f"{at:%H:%M:%S} ", "dim"), plain(text))
