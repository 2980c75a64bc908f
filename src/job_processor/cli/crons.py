"""`crons`: when they fire next, and how they went."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from job_processor.cli import tables
from job_processor.cli.output import console, print_json
from job_processor.cli.watching import ask
from job_processor.cli.when import read_time
from job_processor.processor import JobProcessor


def run(db: str | None, prefix: str, *, as_json: bool) -> None:
    """Print the crons."""

    async def look(processor: JobProcessor) -> tuple[str, dict[str, Any]]:
        return processor.address, await processor.get_status()

    address, status = ask(db, prefix, look)
    crons = status["crons"]
    if as_json:
        print_json(crons)
    elif crons:
        console().print(tables.crons_table(crons, read_time(status["now"])))
    else:
        console().print(
            Text(f"There are no crons in {address}: a worker that defines some adds them.")
        )
