"""`migrate-from-node`: what a database of the Node package holds, and the move away from it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.output import console, plain, print_json
from job_processor.cli.app.reading import read_text
from job_processor.cli.views import tables
from job_processor.cli.views.progress import waiting
from job_processor.node.migration import MigrationReport
from job_processor.processor import JobProcessor

_VALIDATORS = {
    "none": "there is none",
    "node": "the Node package's, which refuses fields beyond its own",
    "ours": "ours, open to unknown fields",
    "older": "ours, of an earlier version",
    "foreign": "another program's",
}


def run(db: str | None, prefix: str, *, apply: bool, undo: bool, as_json: bool) -> int:
    """Print the report; return the exit code: 1 while something stands in the way."""

    async def move() -> MigrationReport:
        processor = JobProcessor(db or None, collection_prefix=prefix)
        try:
            report = await processor.migrate_from_node()
            if (apply and not report.problems) or undo:
                report = await processor.migrate_from_node(apply=apply, undo=undo)
        finally:
            await processor.close()
        return report

    read_text("--prefix", prefix)
    with waiting("looking at the database" if not apply else "moving"):
        report = asyncio.run(move())
    value = report.as_json()
    if as_json:
        print_json(value)
    else:
        console().print(_text(value))
    return FAILED if report.problems else DONE


def _text(report: Mapping[str, Any]) -> RenderableType:
    missing = [each["name"] for each in report["indexes"] if each["state"] == "missing"]
    differing = [each["name"] for each in report["indexes"] if each["state"] == "differs"]
    facts = {
        "database": plain(report["database"]),
        "MongoDB": report["versions"]["mongodb"],
        "job-processor": report["versions"]["job_processor"],
        "validator": _VALIDATORS[report["validator"]],
        "indexes": f"{len(report['indexes']) - len(missing) - len(differing)} there, "
        f"missing: {', '.join(missing) or 'none'}, differing: {', '.join(differing) or 'none'}",
        "fields of ours": ", ".join(report["own_fields"]) or "no job has any",
        "can be undone": "yes" if report["can_be_undone"] else "no",
    }
    groups = ((each["name"], each["counts"]) for each in report["jobs"])
    done = "Changed" if report["applied"] else "Would change, with --apply"
    return tables.stacked(
        tables.fields_table(facts),
        _workers(report["workers"]) if report["workers"] else None,
        tables.counts_table(groups) if report["jobs"] else None,
        _crons(report["crons"]) if report["crons"] else None,
        _listed("Stands in the way", report["problems"], "bold red"),
        _listed("Mind", report["warnings"], "yellow"),
        _listed(done, report["changes"] or ["nothing"], "green"),
        _listed("Left to the Node package", report["left"], "default"),
    )


def _workers(workers: Iterable[Mapping[str, Any]]) -> Table:
    made = tables.table("id", "host", "package", "version", "alive", "tags", title="Workers")
    for each in workers:
        tags = each["tags"]
        made.add_row(
            each["_id"],
            tables.name_text(each["hostname"]),
            each["kind"],
            plain(str(each["version"] or "")),
            "yes" if each["alive"] else "no",
            "all" if tags is None else tables.name_text(", ".join(tags)),
        )
    return made


def _crons(crons: Iterable[Mapping[str, Any]]) -> Table:
    made = tables.table("name", "expression", "next", "made by", title="Crons")
    for each in crons:
        name, expression = tables.name_text(each["name"]), plain(each["cron_string"])
        made.add_row(name, expression, each["scheduled_for"], each["made_by"])
    return made


def _listed(title: str, lines: list[str], style: str) -> RenderableType | None:
    if not lines:
        return None
    text = Text(f"{title}:", style=style)
    for line in lines:
        text.append(f"\n- {plain(line)}", style="default")
    return text
