"""`scaling`: what waits, and how many workers it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import amount, print_json, say
from job_processor.cli.app.reading import read_number

if TYPE_CHECKING:
    from job_processor.ops.scaling import Scaling
    from job_processor.processor import JobProcessor


def scaling(
    tag: Annotated[
        list[str] | None,
        typer.Option(
            "--tag",
            metavar="TAG",
            help="Only jobs with this tag (queue); may be given several times.",
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", metavar="NAME", help="Only jobs with this name; may be given several times."
        ),
    ] = None,
    concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Jobs that one worker runs at the same time. [default: that of the running "
            "workers, else the application's]",
        ),
    ] = None,
    least: Annotated[
        str, typer.Option("--min", metavar="N", help="Minimum number of workers.")
    ] = "0",
    most: Annotated[
        str | None,
        typer.Option("--max", metavar="N", help="Maximum number of workers."),
    ] = None,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Show waiting jobs, and how many workers they need.

    Counts due jobs that a free worker would start. Jobs for later, paused jobs, and jobs that wait
    for a limit or another job do not count.
    """
    from job_processor.ops.scaling import scope_of

    scope = scope_of(
        tag,
        name,
        None if concurrency is None else read_number("--concurrency", concurrency),
        read_number("--min", least),
        None if most is None else read_number("--max", most),
    )

    async def look(processor: JobProcessor) -> Scaling:
        return await processor.get_scaling(**scope.arguments)

    found = ask(Place(db, prefix, app), look)
    if json:
        print_json(found.as_json())
        return
    waited = f", the first for {found.oldest_seconds:.1f} s" if found.waiting else ""
    say(f"{amount(found.waiting, 'job')} waiting{waited}; {found.running} running.")
    say(
        f"{amount(found.workers, 'worker')} with room for {amount(found.capacity, 'job')}; "
        f"{found.wanted} wanted."
    )
