"""How far something has come that takes long: on stderr, and only where somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from job_processor.cli.app.output import has_live_view

_FEW = 500  # jobs that are done before a bar has been read


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None] | None]:
    """Show a bar for the time of the block; give what is to be called with how many are done."""
    out = Console(stderr=True)
    if total <= _FEW or not has_live_view(out):
        yield None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that something goes on, whose length nobody knows, for the time of the block."""
    out = Console(stderr=True)
    if not has_live_view(out):
        yield
        return
    with out.status(what):
        yield
