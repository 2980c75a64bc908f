"""Bodies of requests: in bounded time and size, and forms only of our own pages."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from starlette.exceptions import HTTPException
from starlette.requests import Request

from job_processor.errors import InvalidArgumentError
from job_processor.web.access import login_of
from job_processor.web.cookies import cookie_of, set_cookie
from job_processor.web.seal import Seal

COOKIE = "job_processor_csrf"
FIELD = "csrf"

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a body of JSON: a payload has at most 15 MiB."""

MAX_FORM = 1024 * 1024
"""Bytes of a form."""

MAX_FIELDS = 5000
"""Fields of a form."""

MAX_VALUES = 200_000
"""Values in a body of JSON: a few bytes each, they take a hundred times the memory of a text."""

BODY_TIME = 60.0
"""Seconds in which a body is to be here."""

SILENCE = 10.0
"""Seconds between two parts of a body."""

_LARGE = 256 * 1024  # bytes of JSON that are decoded in a thread
_CLOSE = {"connection": "close"}


async def form_of(request: Request) -> list[tuple[str, str]] | None:
    """Return the fields of a form that is ours; None when it is forged.

    The field is a signature of what the cookie holds, for this login: another site can send the
    cookie, or put one of its own in its place, but cannot sign it. It is looked at before anything
    is parsed. Raises HTTPException 408, 413 and 415.
    """
    _check_kind(request, "application/x-www-form-urlencoded")
    body = await body_of(request, MAX_FORM)
    found = re.search(rb"(?:^|&)%s=([^&]{0,200})" % FIELD.encode(), body)
    given = unquote_plus(found[1].decode("ascii", "replace")) if found else ""
    cookie, seal = cookie_of(request, COOKIE), _seal(request)
    if seal is None or not _is_random(cookie):
        return None
    expected = _signature(request, seal, cookie)
    if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
        return None
    try:
        fields = parse_qsl(
            body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise HTTPException(413, f"allowed are {MAX_FIELDS:,} fields", _CLOSE) from error
    return [(name, value) for name, value in fields if name != FIELD]


def csrf_of(request: Request) -> str:
    """Return what the forms of a page hold, and see to the cookie that goes with it."""
    seal = _seal(request)
    if seal is None:  # a page about an error, before the database was ever reached
        return ""
    cookie = cookie_of(request, COOKIE)
    if not _is_random(cookie):
        cookie = secrets.token_urlsafe(24)
        set_cookie(request, COOKIE, cookie)
    return _signature(request, seal, cookie)


async def json_of(request: Request) -> Any:
    """Return what a body of JSON holds.

    Raises InvalidArgumentError, and HTTPException 408 and 413.
    """
    kind = _kind(request)
    if kind != "application/json":
        raise InvalidArgumentError("content-type", kind[:100], "allowed is application/json")
    body = await body_of(request, MAX_BODY)
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise HTTPException(413, f"allowed are {MAX_VALUES:,} values", _CLOSE)
    try:
        return json.loads(body) if len(body) < _LARGE else await asyncio.to_thread(json.loads, body)
    except RecursionError:
        told = "it is nested too deeply"
    except ValueError as error:  # its message has a place, and none of the text
        told = str(error) if isinstance(error, json.JSONDecodeError) else "it is not UTF-8"
    raise InvalidArgumentError("body", f"<{len(body):,} bytes>", f"allowed is JSON: {told}")


async def body_of(request: Request, limit: int) -> bytes:
    """Return the body of a request.

    Raises HTTPException: 413 when it is too large, as soon as that is known, 408 when it does not
    come. The connection is then closed, so that nobody goes on to send it.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise _too_large(limit)
    body = bytearray()
    parts = request.stream().__aiter__()
    try:
        async with asyncio.timeout(BODY_TIME):
            while True:
                async with asyncio.timeout(SILENCE):
                    part = await anext(parts, None)
                if part is None:
                    return bytes(body)
                body += part
                if len(body) > limit:
                    raise _too_large(limit)
    except TimeoutError as error:
        raise HTTPException(408, "the request was not sent to its end", _CLOSE) from error


def _too_large(limit: int) -> HTTPException:
    return HTTPException(413, f"allowed are {limit // (1024 * 1024)} MiB", _CLOSE)


def _check_kind(request: Request, kind: str) -> None:
    if _kind(request) != kind:
        raise HTTPException(415, f"allowed is {kind}", _CLOSE)


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _seal(request: Request) -> Seal | None:
    seal: Seal | None = request.app.state.seal
    return seal


def _signature(request: Request, seal: Seal, cookie: str) -> str:
    return seal.mark(FIELD, cookie, login_of(request))


def _is_random(value: str) -> bool:
    return 20 <= len(value) <= 64 and value.isascii()
