"""The JSON API of limits and rates."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.settings import LANES_SHOWN
from job_processor.web.auditing import audited
from job_processor.web.carried import processor_of
from job_processor.web.forms import json_of
from job_processor.web.reading import number_of


async def limits(request: Request) -> Response:
    """Return the limits with their fullest lanes."""
    shown = number_of(request.query_params, "lanes", LANES_SHOWN)
    found = await processor_of(request).limits(shown)
    return JSONResponse({"limits": [each.as_json() for each in found]})


async def lane(request: Request) -> Response:
    """Return a lane with the jobs that hold it and those that are next."""
    named = request.query_params.get("lane", "")
    limit = number_of(request.query_params, "limit", 10)
    redaction = request.app.state.redaction
    found = await processor_of(request).get_lane(named, limit, redaction=redaction)
    return JSONResponse(found.as_json())


async def set_limit(request: Request) -> Response:
    """Change a limit for all workers; an amount of null is the one in the code again."""
    name, amount = await _body(request, "amount")
    if amount is not None and (not isinstance(amount, int) or isinstance(amount, bool)):
        raise InvalidArgumentError("amount", amount, "allowed is a whole number, or null")
    async with audited(request, "set_limit", f"{name}: {amount}"):
        await processor_of(request).set_limit(name, amount)
    return await limits(request)


async def rates(request: Request) -> Response:
    """Return the rates."""
    found = await processor_of(request).rates()
    return JSONResponse({"rates": [each.as_json() for each in found]})


async def set_rate(request: Request) -> Response:
    """Change a rate for all workers; null is the one in the code again."""
    name, rate = await _body(request, "rate")
    if rate is not None and not isinstance(rate, str):
        raise InvalidArgumentError("rate", rate, "allowed is a text such as 100/m, or null")
    async with audited(request, "set_rate", f"{name}: {str(rate)[:50]}"):
        await processor_of(request).set_rate(name, rate)
    return await rates(request)


async def hold(request: Request) -> Response:
    """Let nothing that shares a rate start for so many seconds; 0 ends that."""
    name, seconds = await _body(request, "seconds")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise InvalidArgumentError("seconds", seconds, "allowed is a number")
    async with audited(request, "hold", f"{name}: {seconds} s"):
        await processor_of(request).hold(name, seconds)
    return await rates(request)


async def _body(request: Request, field: str) -> tuple[str, Any]:
    """Return the name and the value that a request sends."""
    fields = await json_of(request)
    if not isinstance(fields, dict) or fields.keys() != {"name", field}:
        allowed = f"allowed is an object with name and {field}"
        raise InvalidArgumentError("body", Unshown(fields), allowed)
    if not isinstance(fields["name"], str):
        raise InvalidArgumentError("name", fields["name"], "allowed is a str")
    return fields["name"], fields[field]
