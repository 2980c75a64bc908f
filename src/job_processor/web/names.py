"""Names of jobs and crons, and their tags: the list of all, and a page for each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from job_processor.crons.manage import CronInfo, get_cron
from job_processor.errors import InvalidArgumentError
from job_processor.jobs.pauses import Pauses
from job_processor.jobs.rates import RateInfo
from job_processor.ops import names as known
from job_processor.ops.names import LimitOfName, NameInfo
from job_processor.parts import Parts
from job_processor.settings import COUNT_CAP, check_name
from job_processor.store.error_groups import ErrorGroup
from job_processor.store.name_rollups import NameRollup
from job_processor.store.rollups import OTHERS
from job_processor.store.summaries import JobSummary
from job_processor.web.carried import parts_of, processor_of, views_of
from job_processor.web.charts import Chart, chart
from job_processor.web.figures import SPANS, Figures, Span, figures, of_names, over_time
from job_processor.web.fitting import fitting
from job_processor.web.job_list import row_of
from job_processor.web.new_job import form_for
from job_processor.web.reading import number_of

PAGE = 40
"""Names of a page at the most."""

_JOBS = 10  # of a name, the newest ones
_RUNS = 20  # of a cron
_ERRORS = 12  # groups of errors
_MISSES = 5  # hours in which a cron missed occurrences, the last ones
_SINCE = timedelta(days=2)  # for which errors are kept

_Sort = Callable[[tuple[NameInfo, Figures]], Any]
SORTS: Mapping[str, _Sort] = {
    "name": lambda each: each[0].name,
    "runs": lambda each: (-each[1].ended, each[0].name),
    "failed": lambda each: (-(each[1].share or 0), -each[1].errored, each[0].name),
    "time": lambda each: (-(each[1].ran or (0, 0))[1], each[0].name),
    "delay": lambda each: (-(each[1].delayed or (0, 0))[1], each[0].name),
}
"""How the list may be ordered."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A part of the names, each with its figures of a span of time."""

    rows: list[tuple[NameInfo, Figures]]
    total: int
    """How many names there are of those that were asked for."""
    cut: bool
    """True where there are more names than are counted apart."""
    chosen: Mapping[str, str]
    """What was asked for, as it stands in the address."""
    skip: int

    @property
    def next(self) -> str | None:
        """How many to skip for those that follow; None at the end."""
        following = self.skip + len(self.rows)
        return str(following) if following < self.total else None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that is told of a name."""

    info: NameInfo
    cron: CronInfo | None
    hour: list[NameRollup]
    week: list[NameRollup]
    spans: Mapping[str, Figures]
    errors: list[dict[str, Any]]
    jobs: tuple[JobSummary, ...]
    """The newest ones."""
    limit: LimitOfName | None
    rate: RateInfo | None

    @property
    def is_known(self) -> bool:
        """False where nobody defines it and nothing is stored of it."""
        info = self.info
        return bool(info.counts or info.defined or info.tag or self.cron or self.week)


async def listing(request: Request) -> Listing:
    """Return the names that a request asks for; raises InvalidArgumentError."""
    parameters = request.query_params
    span, sort = one_of("span", parameters, SPANS), one_of("sort", parameters, SORTS)
    text, skip = parameters.get("q", "").strip()[:200], max(number_of(parameters, "skip", 0), 0)
    totals = await _totals(request, SPANS[span])
    found = await known.all_names(parts_of(request), totals.keys() - {OTHERS})
    rows = [
        (info, figures(totals.get(info.name), SPANS[span]))
        for info in found.values()
        if text.casefold() in info.name.casefold()
    ]
    rows.sort(key=SORTS[sort])
    shown = rows[skip : skip + PAGE]
    shown = shown[: fitting(info.name for info, _ in shown)]
    pauses = await processor_of(request).get_pauses()
    standing = await known.standing(parts_of(request), [info for info, _ in shown], pauses)
    whole = list(zip(standing, (each for _, each in shown), strict=True))
    chosen = {"span": span, "sort": sort, "q": text}
    return Listing(whole, len(rows), OTHERS in totals, chosen, skip)


async def facts(request: Request) -> Facts:
    """Return what there is to tell of the name in the address; raises InvalidArgumentError."""
    name, now = request.query_params.get("name", ""), datetime.now(UTC)
    check_name("name", name)
    parts, processor = parts_of(request), processor_of(request)
    pauses = await processor.get_pauses()
    (info, cron, jobs), (hour, week, errors), (limit, rate) = await asyncio.gather(
        asyncio.gather(
            known.get_name(parts, name, pauses),
            _cron(parts, name, pauses),
            processor.list_jobs(name=name, limit=_RUNS, redaction=request.app.state.redaction),
        ),
        asyncio.gather(
            processor.get_name_rollups(SPANS["hour"].seconds, SPANS["hour"].since(now), name=name),
            processor.get_name_rollups(SPANS["week"].seconds, SPANS["week"].since(now), name=name),
            processor.get_error_groups(now - _SINCE, name=name, limit=_ERRORS),
        ),
        asyncio.gather(
            known.limit_of(parts, known.limit_group(parts, name)),
            known.rate_of(parts, known.rate_group(parts, name)),
        ),
    )
    spans, shown = over_time(hour, week, now), _shown(request, errors)
    return Facts(info, cron, hour, week, spans, shown, jobs.jobs, limit, rate)


async def listed(request: Request) -> Response:
    """The names, with their figures of a span of time."""
    found = await listing(request)
    return await views_of(request).page(request, "names.html", listing=found, spans=SPANS)


async def one(request: Request) -> Response:
    """A name of jobs, or of a cron."""
    span, found = one_of("span", request.query_params, SPANS), await facts(request)
    is_cron, now = found.cron is not None, datetime.now(UTC)
    return await views_of(request).page(
        request,
        "name.html",
        200 if found.is_known else 404,
        is_known=found.is_known,
        info=found.info,
        cron=found.cron,
        spans=found.spans,
        span_key=span,
        chart=_chart(found.hour, found.week, SPANS[span], now, name=found.info.name),
        errors=found.errors,
        jobs=[row_of(job, now) for job in found.jobs[: _RUNS if is_cron else _JOBS]],
        misses=[(each.missed, each.start) for each in found.week[::-1] if each.missed][:_MISSES],
        limit=found.limit,
        rate=found.rate,
        cap=COUNT_CAP,
        form=None if is_cron else form_for(request, found.info.name),
    )


async def tag(request: Request) -> Response:
    """A tag, with the names that have it."""
    value, now = request.query_params.get("tag", ""), datetime.now(UTC)
    check_name("tag", value)
    span = one_of("span", request.query_params, SPANS)
    processor, parts = processor_of(request), parts_of(request)
    hour, week, members = await asyncio.gather(
        processor.get_name_rollups(SPANS["hour"].seconds, SPANS["hour"].since(now), tag=value),
        processor.get_name_rollups(SPANS["week"].seconds, SPANS["week"].since(now), tag=value),
        known.names_of_tag(parts, value),
    )
    return await _of_several(
        request,
        members,
        span,
        kind="tag",
        title=value,
        spans=over_time(hour, week, now),
        chart=_chart(hour, week, SPANS[span], now, tag=value),
    )


async def limit(request: Request) -> Response:
    """A group of a limit or a rate, with the names that share it."""
    group = request.query_params.get("name", "")
    check_name("name", group)
    span = one_of("span", request.query_params, SPANS)
    parts = parts_of(request)
    limited, rated = await asyncio.gather(known.limit_of(parts, group), known.rate_of(parts, group))
    shared = {*(limited.names if limited else ()), *(rated.names if rated else ())}
    totals = {key: await _totals(request, each) for key, each in SPANS.items()}
    spans = {key: of_names(totals[key].values(), shared, each) for key, each in SPANS.items()}
    return await _of_several(
        request,
        known.names_here(parts, shared),
        span,
        kind="limit",
        title=group,
        spans=spans,
        totals=totals[span],
        limit=limited,
        rate=rated,
    )


async def _of_several(
    request: Request,
    members: Sequence[NameInfo],
    span: str,
    *,
    totals: Mapping[str, NameRollup] | None = None,
    **shown: Any,
) -> Response:
    """Return the page of what several names have in common."""
    totals = await _totals(request, SPANS[span]) if totals is None else totals
    some = members[:PAGE]
    some = some[: fitting(info.name for info in some)]
    pauses = await processor_of(request).get_pauses()
    standing = await known.standing(parts_of(request), some, pauses)
    return await views_of(request).page(
        request,
        "names_together.html",
        paused=shown["kind"] == "tag" and shown["title"] in pauses.tags,
        rows=[(info, figures(totals.get(info.name), SPANS[span])) for info in standing],
        total=len(members),
        span_key=span,
        **{"chart": None, "limit": None, "rate": None, **shown},
    )


async def _cron(parts: Parts, name: str, pauses: Pauses) -> CronInfo | None:
    """Return the cron of a name; one that has a handler of jobs here is none."""
    definition = parts.registry.jobs.get(name)
    is_job = definition is not None and definition.handler is not None
    return None if is_job else await get_cron(parts, name, pauses)


async def _totals(request: Request, span: Span) -> dict[str, NameRollup]:
    """Return what happened to each name in a span."""
    since = span.since(datetime.now(UTC))
    found = await processor_of(request).get_rollup_totals(span.seconds, since)
    return {each.name: each for each in found}


def _chart(
    hour: list[NameRollup], week: list[NameRollup], span: Span, now: datetime, **of: str
) -> Chart:
    return chart(hour if span is SPANS["hour"] else week, span.bar, span.length, now, of)


def _shown(request: Request, errors: Iterable[ErrorGroup]) -> list[dict[str, Any]]:
    """Return groups of errors without what looks like a credential."""
    redaction = request.app.state.redaction
    return [
        {
            "text": redaction.text(each.text),
            "count": each.count,
            "last_job": None if each.last_job is None else str(each.last_job),
            "last_at": each.last_at,
        }
        for each in errors
    ]


def one_of(name: str, parameters: Mapping[str, str], allowed: Mapping[str, Any]) -> str:
    """Return which of these a parameter says, the first where it says none."""
    value = parameters.get(name) or next(iter(allowed))
    if value not in allowed:
        raise InvalidArgumentError(name, value[:50], f"allowed are {', '.join(allowed)}")
    return value
