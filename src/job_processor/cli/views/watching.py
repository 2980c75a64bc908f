"""`jobs watch`: one job while it runs, as a line for each change or as a bar below its log."""

from __future__ import annotations

import asyncio
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from job_processor.as_json import job_json
from job_processor.cli.app.output import console, has_live_view, plain, print_json
from job_processor.cli.views import tables
from job_processor.cli.views.job import BAR_WIDTH, log_line, read, status
from job_processor.errors import StoreError
from job_processor.models import Job
from job_processor.processor import JobProcessor

_INTERVAL = 0.3  # seconds between two looks at the database


async def follow(processor: JobProcessor, job_id: str, *, as_json: bool) -> Job:
    """Show a job until it has ended, and return it; a database that is away is asked again."""
    view = _JsonView() if as_json else _view(console())
    with view:
        job = await read(processor, job_id)
        view.update(job)
        while not job.settled:
            await asyncio.sleep(_INTERVAL)
            try:
                job = await read(processor, job_id)
            except StoreError:
                continue
            view.update(job)
    return job


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
            line = Text.assemble(status(job))
            if progress is not None:
                line.append(f" {progress.fraction:.0%} {plain(progress.message or '')}".rstrip())
            self._out.print(line)

    def _print_log(self, job: Job) -> None:
        """Print the lines that are new; the log keeps the last ones only."""
        seen = set(self._log)
        for line in job.log:
            if line not in seen:
                self._out.print(log_line(line.at, line.text))
        self._log = job.log


class _BarView(_LineView):
    """Keeps a progress bar below the log."""

    def __init__(self, out: Console) -> None:
        super().__init__(out)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(BAR_WIDTH),
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
