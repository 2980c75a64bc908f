"""Schedules that were made at run time, for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from rich.table import Table
from rich.text import Text

from job_processor.as_json import to_json
from job_processor.cli.app.output import plain
from job_processor.cli.app.when import relative
from job_processor.cli.views.tables import fields_table, name_text, table
from job_processor.crons.moments import upcoming
from job_processor.errors import InvalidArgumentError
from job_processor.redaction import Redaction
from job_processor.store.schedules import Schedule

_UPCOMING = 5


def schedules_table(schedules: Iterable[Schedule], now: datetime) -> Table:
    """Return schedules, one a row: what they make and when, the next moment and the last one."""
    made = table("name", "job", "when", "next", "last", "jobs", "detail", numbers=("jobs",))
    for each in schedules:
        made.add_row(
            name_text(each.name),
            name_text(each.job),
            name_text(each.when),
            _next(each, now),
            Text(relative(each.last, now) if each.last is not None else "never"),
            str(each.made) if each.limit is None else f"{each.made} of {each.limit}",
            Text(plain(each.problem or ""), style="red"),
        )
    return made


def schedule_table(schedule: Schedule, now: datetime) -> Table:
    """Return one schedule in detail, with its next moments."""
    limit = "" if schedule.limit is None else f" of {schedule.limit}"
    payload = Redaction().fields(to_json(schedule.payload))
    rows = {
        "name": plain(schedule.name),
        "job": plain(schedule.job),
        "payload": plain(json.dumps(payload, ensure_ascii=False)),
        "when": plain(schedule.when),
        "start": _moment(schedule.start, now),
        "end": _moment(schedule.end, now),
        "labels": ", ".join(map(plain, schedule.labels)),
        "misfire": schedule.misfire,
        "revision": str(schedule.rev),
        "paused": "yes" if schedule.paused else "no",
        "jobs": f"{schedule.made}{limit}",
        "last": _moment(schedule.last, now),
        "last job": "" if schedule.last_job is None else str(schedule.last_job),
        "ended": _moment(schedule.ended_at, now),
        "problem": plain(schedule.problem or ""),
    }
    made = fields_table({name: value for name, value in rows.items() if value})
    for number, moment in enumerate(_upcoming(schedule, now)):
        made.add_row("" if number else "next", _moment(moment, now))
    return made


def _next(schedule: Schedule, now: datetime) -> Text:
    if schedule.paused:
        return Text("paused", style="yellow")
    return (
        Text("ended", style="dim") if schedule.next is None else Text(relative(schedule.next, now))
    )


def _upcoming(schedule: Schedule, now: datetime) -> tuple[datetime, ...]:
    try:
        return upcoming(schedule, now, _UPCOMING)
    except InvalidArgumentError:  # a time zone that is not known here
        return ()


def _moment(moment: datetime | None, now: datetime) -> str:
    if moment is None:
        return ""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC, {relative(moment, now)}"
