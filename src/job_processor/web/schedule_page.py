"""The page of one schedule: what it makes, when, and what has become of the jobs that it made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import Response

from job_processor.as_json import schedule_json
from job_processor.crons.moments import shifted, upcoming
from job_processor.errors import InvalidArgumentError, ScheduleNotFoundError
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor
from job_processor.schedule import latest_occurrences
from job_processor.store.schedules import Schedule, planned_id
from job_processor.store.summaries import JobSummary
from job_processor.web.job_list import row_of
from job_processor.web.views import Views, pretty

_JOBS = 25  # that are shown, of the last moments
_UPCOMING = 5
_MS = timedelta(milliseconds=1)


async def page(request: Request) -> Response:
    """A schedule with its next moments and the jobs of its last ones."""
    processor: JobProcessor = request.app.state.processor
    name, now = request.query_params.get("name", ""), datetime.now(UTC)
    schedule = await processor.get_schedule(name)
    if schedule is None:
        raise ScheduleNotFoundError(name)
    shown = request.app.state.redact(schedule_json(schedule))
    jobs = await _jobs_of(request, schedule)
    views: Views = request.app.state.views
    return await views.page(
        request,
        "schedule.html",
        schedule=schedule,
        payload="" if shown["payload"] is None else pretty(shown["payload"]),
        upcoming=_upcoming(schedule, now),
        jobs=[row_of(job, now) for job in jobs],
    )


async def _jobs_of(request: Request, schedule: Schedule) -> list[JobSummary]:
    """Return the jobs of the last moments, the newest first, as far as they are still there.

    Their ids follow from the name and the moment, so nothing has to be searched. Of moments that
    it had before its times were changed only the last one is known.
    """
    parts = ready_parts_of(request.app.state.processor)
    ids = [planned_id(schedule.name, moment) for moment in _moments(schedule)[::-1]]
    if schedule.last_job is not None:
        ids.insert(0, schedule.last_job)
    redaction = request.app.state.redaction
    found = await parts.store.history.summaries_of(list(dict.fromkeys(ids)), redaction=redaction)
    return sorted(found, key=lambda job: job.id, reverse=True)


def _moments(schedule: Schedule) -> list[datetime]:
    if schedule.last is None:
        return []
    began = schedule.start or schedule.created_at
    try:
        moments = latest_occurrences(
            schedule.expression, schedule.timezone, began - _MS, schedule.last, _JOBS
        )
    except InvalidArgumentError:  # a time zone that is not known here, or no moment any more
        return []
    return [shifted(schedule, moment) for moment in moments]


def _upcoming(schedule: Schedule, now: datetime) -> tuple[datetime, ...]:
    if schedule.paused:
        return ()
    try:
        return upcoming(schedule, now, _UPCOMING)
    except InvalidArgumentError:  # a time zone that is not known here
        return ()
