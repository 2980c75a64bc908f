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

    async def look(processor: JobProcessor) -> dict[str, Any]:
        return await processor.get_status()

    status = ask(db, prefix, look)
    crons = status["crons"]
    if as_json:
        print_json(crons)
    elif crons:
        console().print(tables.crons_table(crons, read_time(status["now"])))
    else:
        console().print(Text("There are no crons: a worker that defines some adds them."))
