"""Whether an occurrence of a cron was missed, and what then."""

from __future__ import annotations

from datetime import datetime, timedelta

from job_processor.handlers.definitions import CronDef, Definition
from job_processor.models import CronTask, Job, occurrence_id
from job_processor.schedule import latest_occurrences, next_occurrence
from job_processor.settings import MISFIRE_LIMIT


def is_skipped(job: Job, definition: Definition, default_timezone: str, claimed: datetime) -> bool:
    """True for an occurrence claimed just now that was missed and whose cron skips such.

    Missed: claimed later than `checkin_margin` after its planned time, or after the next
    occurrence is due. Resumed, retried and hand-started ones are never missed.
    """
    if not isinstance(definition, CronDef) or definition.misfire != "skip":
        return False
    if not isinstance(job, CronTask) or job.ran_before:
        return False
    if job.id != occurrence_id(job.name, job.scheduled_for):
        return False
    planned = job.scheduled_for
    if claimed - planned > timedelta(seconds=definition.margin_seconds):
        return True
    zone = definition.timezone or default_timezone
    return claimed >= next_occurrence(definition.expression, zone, planned)


def missed_between(
    definition: CronDef, default_timezone: str, pointer: datetime, now: datetime
) -> list[datetime]:
    """Return the occurrences after `pointer` and up to `now` that `misfire="all"` adds.

    They are the latest ones, at most `MISFIRE_LIMIT`, found in bounded time however long ago
    `pointer` is; with other policies there are none.
    """
    if definition.misfire != "all":
        return []
    zone = definition.timezone or default_timezone
    return latest_occurrences(definition.expression, zone, pointer, now, MISFIRE_LIMIT)
