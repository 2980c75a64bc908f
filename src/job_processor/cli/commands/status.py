"""`status`: what a database holds at present."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import amount, console, print_json

if TYPE_CHECKING:
    from rich.console import RenderableType

    from job_processor.jobs.pauses import Pauses
    from job_processor.processor import JobProcessor

_QUEUE_ROWS = 10


def status(db: Db = None, prefix: Prefix = None, app: AppOption = None, json: Json = False) -> None:
    """Show workers, counts of jobs, crons, and due jobs."""
    from job_processor.redaction import Redaction

    async def look(processor: JobProcessor) -> tuple[str, dict[str, Any], Pauses]:
        return (
            processor.address,
            await processor.get_status(Redaction()),
            await processor.get_pauses(),
        )

    address, found, paused = ask(Place(db, prefix, app), look)
    if json:
        print_json(found)
    else:
        console().print(_report(address, found, paused))


def _report(address: str, status: dict[str, Any], paused: Pauses) -> RenderableType:
    from rich.text import Text

    from job_processor.cli.app.when import read_time
    from job_processor.cli.views import tables
    from job_processor.cli.views.pauses import paused_text
    from job_processor.settings import STATUS_LIMIT

    now = read_time(status["now"])
    workers, queue, jobs, crons = (status[key] for key in ("workers", "queue", "jobs", "crons"))
    summary = f"{tables.workers_text(workers)}, {amount(len(queue), 'job', STATUS_LIMIT)} due"
    counts = ((group["name"], group["counts"]) for group in jobs)
    parked = {group["name"]: group["parked"] for group in jobs if group["parked"]}
    nothing = Text("There are no jobs yet.", style="dim")
    return tables.stacked(
        Text.assemble((address, "bold"), "  ", summary),
        Text(f"Paused: {paused_text(paused)}", style="yellow") if paused else None,
        tables.workers_table(workers, now) if workers else None,
        tables.counts_table(counts, parked=parked) if jobs else nothing,
        tables.crons_table(crons, now, "Crons") if crons else None,
        tables.jobs_table(queue[:_QUEUE_ROWS], now, "Due first") if queue else None,
    )
