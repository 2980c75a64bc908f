"""Limits and rates: their page, the page of a lane, and what their buttons do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from job_processor.clock import span
from job_processor.errors import InvalidArgumentError
from job_processor.processor import JobProcessor
from job_processor.settings import LANE_COUNT_CAP
from job_processor.web.carried import views_of
from job_processor.web.job_list import row_of
from job_processor.web.messages import Done, Undo
from job_processor.web.reading import amount_of, seconds_of

_JOBS = 20  # of a lane, of each kind


async def limits(request: Request) -> Response:
    """The limits with their fullest lanes, and the rates."""
    processor: JobProcessor = request.app.state.processor
    found, rates = await asyncio.gather(processor.limits(), processor.rates())
    return await views_of(request).page(
        request, "limits.html", limits=found, rates=rates, cap=LANE_COUNT_CAP
    )


async def lane(request: Request) -> Response:
    """A lane with the jobs that hold it and those that are next."""
    processor: JobProcessor = request.app.state.processor
    named, now = request.query_params.get("lane", ""), datetime.now(UTC)
    found = await processor.get_lane(named, _JOBS, redaction=request.app.state.redaction)
    return await views_of(request).page(
        request,
        "lane.html",
        lane=found.info,
        amount=found.amount,
        cap=LANE_COUNT_CAP,
        holding=[row_of(job, now) for job in found.holding],
        following=[row_of(job, now) for job in found.next],
    )


# --- buttons -------------------------------------------------------------------------------------

Fields = Mapping[str, str]


async def _set_limit(processor: JobProcessor, fields: Fields) -> Done:
    amount, name = amount_of(fields.get("amount", "")), fields.get("name", "")
    await processor.set_limit(name, amount)
    back = Undo.by("As the code says", "reset_limit", name=name)
    return Done("limit set", {"name": name, "amount": amount}, back)


async def _reset_limit(processor: JobProcessor, fields: Fields) -> Done:
    await processor.set_limit(fields.get("name", ""), None)
    return Done("limit reset", {"name": fields.get("name", "")})


async def _set_rate(processor: JobProcessor, fields: Fields) -> Done:
    rate, name = fields.get("rate", "").strip(), fields.get("name", "")
    if not rate:
        raise InvalidArgumentError("rate", rate, "allowed is a rate such as 10/s or 100/m")
    await processor.set_rate(name, rate)
    back = Undo.by("As the code says", "reset_rate", name=name)
    return Done("rate set", {"name": name, "amount": rate}, back)


async def _reset_rate(processor: JobProcessor, fields: Fields) -> Done:
    await processor.set_rate(fields.get("name", ""), None)
    return Done("rate reset", {"name": fields.get("name", "")})


async def _hold(processor: JobProcessor, fields: Fields) -> Done:
    seconds, name = seconds_of(fields.get("seconds", "")), fields.get("name", "")
    await processor.hold(name, seconds)
    back = Undo.by("Release", "release", name=name)
    return Done("held", {"name": name, "amount": span(seconds)}, back)


async def _release(processor: JobProcessor, fields: Fields) -> Done:
    await processor.hold(fields.get("name", ""), 0)
    return Done("released", {"name": fields.get("name", "")})


ACTIONS: Mapping[str, Callable[[JobProcessor, Fields], Awaitable[Done]]] = {
    "set_limit": _set_limit,
    "reset_limit": _reset_limit,
    "set_rate": _set_rate,
    "reset_rate": _reset_rate,
    "hold": _hold,
    "release": _release,
}
