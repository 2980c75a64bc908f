"""Whether an occurrence of a cron was missed, and what then."""

from __future__ import annotations

from datetime import datetime, timedelta

from job_processor.handlers.definitions import CronDef, Definition
from job_processor.models import CronTask, Job, occurrence_id
from job_processor.schedule import latest_occurrences, next_occurrence
from job_processor.settings import MISFIRE_LIMIT

_SHORTEST = timedelta(seconds=1)
"""Between two occurrences: so soon after one, none has been passed over."""


def is_missed(job: Job, definition: Definition, default_timezone: str, claimed: datetime) -> bool:
    """True for an occurrence claimed just now that was missed, whatever its cron makes of that.

    Missed: claimed later than `checkin_margin` after its planned time, or after the next
    occurrence is due. Resumed, retried and hand-started ones are never missed.
    """
    if not isinstance(definition, CronDef) or not isinstance(job, CronTask) or job.ran_before:
        return False
    planned = job.scheduled_for
    if claimed - planned < _SHORTEST or job.id != occurrence_id(job.name, planned):
        return False
    if claimed - planned > timedelta(seconds=definition.margin_seconds):
        return True
    zone = definition.timezone or default_timezone
    return claimed >= next_occurrence(definition.expression, zone, planned)


def passed_between(
    definition: CronDef, default_timezone: str, pointer: datetime, now: datetime
) -> list[datetime]:
    """Return the occurrences after `pointer` and up to `now`, which nobody planned.

    With `misfire="all"` they are added. They are the latest ones, at most `MISFIRE_LIMIT`, found in
    bounded time however long ago `pointer` is.
    """
    if now - pointer < _SHORTEST:
        return []
    zone = definition.timezone or default_timezone
    return latest_occurrences(definition.expression, zone, pointer, now, MISFIRE_LIMIT)
