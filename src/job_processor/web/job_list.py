"""The list of jobs: a page of a selection, what crons are to bring, errors that are alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from job_processor.as_json import job_json
from job_processor.clock import to_ms
from job_processor.errors import InvalidArgumentError
from job_processor.models import JobStatus
from job_processor.settings import COUNT_CAP_OF_SELECTIONS as COUNT_CAP
from job_processor.settings import LOOK_THROUGH
from job_processor.store.summaries import JobSummary, SummaryPage, fields_line
from job_processor.web.alike import GROUPS, LOOKED_AT, alike, first_line
from job_processor.web.carried import list_jobs, processor_of, redaction_of
from job_processor.web.columns import COLUMNS, columns_of
from job_processor.web.finding import MOST, find, named_like, names_of
from job_processor.web.places import root_of
from job_processor.web.reading import filters_of, listed_of, time_of
from job_processor.web.views import Views, cut

PAGE = 50
_NAMES = 30  # that a browser completes by itself; of more it asks for those that begin so
_COMING = 5  # occurrences of crons that are shown, of
_COMING_COUNTED = 100
_FIELDS = 96  # bytes of the first fields of a payload, as they stand in the page
_ERROR = 96  # of the first line of an error
_LOOKED_THROUGH = {"worker", "error", "payload", "id_end"}


async def page(request: Request) -> Response:
    """A page of a selection of jobs; what selects stands in the address."""
    text = request.query_params.get("q", "").strip()
    filters = filters_of(request.query_params)
    found = await find(request, text, filters) if text else None
    if found is not None and found.to is not None:
        return RedirectResponse(f"{root_of(request)}{found.to}", status_code=302)
    names = await names_of(processor_of(request))
    wrong, selection, shown = "", {}, {}
    try:
        selection = listed_of(filters, redaction_of(request))
        if found is None:
            by_error = request.query_params.get("by") == "error"
            shown = await (_grouped if by_error else _listed)(request, selection)
    except InvalidArgumentError as error:
        wrong = str(error)
    views: Views = request.app.state.views
    return await views.page(
        request,
        "jobs.html",
        400 if wrong else 200,
        **{"jobs": [], "count": 0, "groups": None, "coming": [], "order": "", **shown},
        cap=COUNT_CAP,
        text=text,
        found=found,
        like=named_like(names, filters["name"])[:MOST] if "name" in filters else [],
        begins=_moment(filters, "from"),
        ends=_moment(filters, "to"),
        ended_begins=_moment(filters, "ended_from"),
        ended_ends=_moment(filters, "ended_to"),
        filters={**filters, **_order(request)},
        wrong=wrong,
        looked_through=LOOK_THROUGH if _looks_through(selection) else 0,
        names=names[:_NAMES],
        more_names=len(names) > _NAMES,
        columns=_columns(request, shown.get("jobs", [])),
        chosen=columns_of(request),
        all_columns=COLUMNS,
        tags=processor_of(request).registry.tags,
    )


async def names(request: Request) -> Response:
    """Return the names of jobs that hold a text, for whoever types one."""
    text = request.query_params.get("like", "").strip()[:200]
    found = named_like(await names_of(processor_of(request)), text)
    return JSONResponse({"names": found[:MOST], "more": len(found) > MOST})


async def _listed(request: Request, selection: dict[str, Any]) -> dict[str, Any]:
    """Return the rows of a page, how many jobs there are, and what is to come."""
    parameters, order = request.query_params, _order(request)
    shown = await list_jobs(
        request,
        limit=PAGE,
        after=parameters.get("after") or None,
        before=parameters.get("before") or None,
        oldest_first=bool(order),
        **selection,
    )
    searches, is_first = _looks_through(selection), not {"after", "before"} & parameters.keys()
    # Looking through takes its time; a page that holds everything has been counted.
    whole = len(shown.jobs) < PAGE if is_first else shown.next is None and shown.previous is None
    on_page = searches and (bool(order) or not is_first)
    processor, now = processor_of(request), datetime.now(UTC)
    counted = len(shown.jobs) if whole or on_page else None
    if counted is None:
        counted = await processor.count_jobs(COUNT_CAP, **selection)
    return {
        "jobs": [row_of(job, now) for job in shown.jobs],
        "count": counted,
        "on_page": on_page,
        "next": shown.next,
        "previous": shown.previous,
        "reached": _reached(shown) if searches else None,
        "up_to": str(shown.jobs[0].id) if on_page and not order and shown.jobs else "",
        "order": order.get("order", ""),
        **({} if shown.previous else await _coming(request, selection)),
    }


def _looks_through(selection: Mapping[str, Any]) -> bool:
    return bool(_LOOKED_THROUGH & selection.keys())


def _reached(page: SummaryPage) -> datetime | None:
    """Return when the last job was made that a search looked at; None where it may go on no more.

    A page that is full has stopped at its last row.
    """
    short = page.next if len(page.jobs) < PAGE else None
    return None if short is None else ObjectId(short).generation_time


async def _grouped(request: Request, selection: dict[str, Any]) -> dict[str, Any]:
    """Return the errors of the newest jobs of a selection by what they have in common."""
    selection = {"status": JobStatus.ERRORED, **selection}
    shown = await list_jobs(request, limit=LOOKED_AT, **selection)
    groups = alike(shown.jobs)
    return {
        "groups": groups[:GROUPS],
        "rest": sum(group.count for group in groups[GROUPS:]),
        "looked_at": len(shown.jobs),
        "count": len(shown.jobs),
        "cut": shown.next is not None,
    }


async def _coming(request: Request, selection: dict[str, Any]) -> dict[str, Any]:
    """Return the occurrences of crons that the list has left out, the next ones, and how many."""
    if selection.get("planned", True) or selection.get("type") == "simple":
        return {}
    rest = {key: value for key, value in selection.items() if key != "planned"}
    wanted = {**rest, "type": "cron_task", "status": JobStatus.PENDING}
    found = await list_jobs(request, limit=_COMING_COUNTED, **wanted)
    coming = sorted(found.jobs, key=lambda job: job.scheduled_for)[:_COMING]
    count = f"{len(found.jobs)}{'+' if found.next else ''}"
    return {"coming": [job_json(job) for job in coming], "coming_count": count}


def row_of(job: JobSummary, now: datetime) -> dict[str, Any]:
    """Return what a row shows of a job."""
    fields = job_json(job)
    error = first_line(job)
    return {
        **fields,
        "parked": job.parked,
        "ran_ms": _ran_ms(job, now),
        "fields": cut(fields_line(fields.get("payload")), _FIELDS),
        "error": None if error is None else cut(error, _ERROR),
    }


def _ran_ms(job: JobSummary, now: datetime) -> int | None:
    """Return how long the last attempt of a job ran or has been running; None: nothing ran."""
    if job.status is JobStatus.RUNNING:  # what was written last is that it began
        return max(to_ms(now) - to_ms(job.updated_at), 0)
    ran = job.output is not None and job.started_at is not None and job.ended_at is not None
    return job.output.duration_ms if ran and job.output is not None else None


def _moment(filters: Mapping[str, str], key: str) -> datetime | None:
    try:
        return time_of(filters[key], key) if key in filters else None
    except InvalidArgumentError:
        return None


def _columns(request: Request, rows: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return the chosen columns; that of labels where a row has any."""
    labelled = any("labels" in row for row in rows)
    return tuple(each for each in columns_of(request) if each != "labels" or labelled)


def _order(request: Request) -> dict[str, str]:
    return {"order": "oldest"} if request.query_params.get("order") == "oldest" else {}
