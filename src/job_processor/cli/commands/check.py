"""`check`: whether an application and its database can do their work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.failing import DONE, FAILED, BrokenAppError
from job_processor.cli.app.options import App, Json
from job_processor.cli.app.output import amount, console, plain, print_json, say
from job_processor.cli.app.source import Source, require_app
from job_processor.errors import StoreError

if TYPE_CHECKING:
    from rich.table import Table

    from job_processor.ops.check import Finding

_STYLES = {"ok": "green", "warning": "yellow", "error": "bold red"}


JobId = Annotated[
    str | None,
    typer.Option(
        "--job",
        metavar="ID",
        help="Find out why this job does not run.",
    ),
]


def check(app: App = None, job: JobId = None, json: Json = False) -> None:
    """Check APP, its database and its workers.

    Checks definitions, connection, indexes, clock and workers, and changes nothing. Below each
    problem it says what to do.
    Exits with 1 if something does not work; warnings do not count.
    """
    import asyncio

    findings = asyncio.run(_look(require_app(app), job))
    failed = any(each.level == "error" for each in findings)
    if json:
        print_json({"ok": not failed, "findings": [each.as_json() for each in findings]})
    else:
        out = console()
        out.print(_lines(findings, ">" if out.options.ascii_only else "→"))
        say(_summary(findings))
        if job is None:
            say("A job that does not run: job-processor check --job ID")
    raise typer.Exit(FAILED if failed else DONE)


async def _look(source: Source, job: str | None) -> list[Finding]:
    """Return the findings; an application that fails by itself is one. Raises AppError."""
    from job_processor.cli.app.loading import load_app
    from job_processor.ops.check import Finding, unreachable

    try:
        processor = await load_app(source).processor()
    except BrokenAppError as error:
        advice = "correct that place; until then no command can use the application"
        return [Finding("application", "error", str(error).removeprefix("APP: "), advice)]
    except StoreError as error:
        return [replace(unreachable(error), subject="application")]
    try:
        return await processor.check(job)
    finally:
        await processor.close()


def _lines(findings: Sequence[Finding], arrow: str) -> Table:
    from rich.table import Table
    from rich.text import Text

    made = Table.grid(padding=(0, 2))
    for _ in range(3):
        made.add_column()
    for each in findings:
        level = Text(each.level, style=_STYLES[each.level])
        made.add_row(level, Text(plain(each.subject)), Text(plain(each.text)))
        if each.advice:
            made.add_row("", "", Text(f"{arrow} {plain(each.advice)}", style="bold"))
    return made


def _summary(findings: Sequence[Finding]) -> str:
    counts = {level: sum(each.level == level for each in findings) for level in _STYLES}
    told = f"{amount(counts['error'], 'error')}, {amount(counts['warning'], 'warning')}"
    return f"\n{told}, {counts['ok']} ok"
