"""The report of a move away from the Node package, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from job_processor.cli.app.output import plain
from job_processor.cli.views import tables

_VALIDATORS = {
    "none": "there is none",
    "node": "the Node package's, which refuses fields beyond its own",
    "ours": "this package's, open to unknown fields",
    "older": "this package's, of an earlier version",
    "foreign": "another program's",
}


def report(report: Mapping[str, Any]) -> RenderableType:
    """Return what is there, what would change, and what stands in the way."""
    missing = [each["name"] for each in report["indexes"] if each["state"] == "missing"]
    differing = [each["name"] for each in report["indexes"] if each["state"] == "differs"]
    facts = {
        "database": plain(report["database"]),
        "MongoDB": report["versions"]["mongodb"],
        "job-processor": report["versions"]["job_processor"],
        "validator": _VALIDATORS[report["validator"]],
        "indexes": f"{len(report['indexes']) - len(missing) - len(differing)} there, "
        f"missing: {', '.join(missing) or 'none'}, differing: {', '.join(differing) or 'none'}",
        "fields of this package": ", ".join(report["own_fields"]) or "no job has any",
        "can be undone": "yes" if report["can_be_undone"] else "no",
    }
    groups = ((each["name"], each["counts"]) for each in report["jobs"])
    done = "Changed" if report["applied"] else "Would change, with --apply"
    return tables.stacked(
        tables.fields_table(facts),
        _workers(report["workers"]) if report["workers"] else None,
        tables.counts_table(groups) if report["jobs"] else None,
        _crons(report["crons"]) if report["crons"] else None,
        _listed("Problems to solve", report["problems"], "bold red"),
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
