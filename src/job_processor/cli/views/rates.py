"""Rates, for people and as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from job_processor.cli.app.output import plain
from job_processor.cli.views.tables import name_text, table
from job_processor.clock import span
from job_processor.jobs.rates import RateInfo


def rates_table(rates: Iterable[RateInfo]) -> Table:
    """Return rates, one a row: how many may start, at once, and when the next one may."""
    columns = ("name", "rate", "at once", "next start", "waiting", "detail")
    made = table(*columns, numbers=("at once", "waiting"))
    for each in rates:
        rate = Text(str(each.rate), style="bold" if each.is_changed else "")
        detail = ", ".join(map(plain, each.names)) if each.names != (each.name,) else ""
        made.add_row(
            name_text(each.name),
            rate,
            str(each.rate.burst),
            _next_start(each),
            str(each.waiting) if each.names else "",
            _told(each, detail),
        )
    return made


def rates_json(rates: Iterable[RateInfo]) -> list[dict[str, Any]]:
    """Return rates in plain JSON values; times in seconds."""
    return [each.as_json() for each in rates]


def _next_start(rate: RateInfo) -> Text:
    if rate.held_for > 0:
        return Text(f"held for {span(rate.held_for)}", style="yellow")
    return Text(f"in {span(rate.next_start)}" if rate.next_start > 0 else "now")


def _told(rate: RateInfo, names: str) -> str:
    if rate.defined is None or not rate.is_changed:
        return names
    return f"{names} (the code says {rate.defined})".strip()
