"""The columns of the list of jobs: which there are, and which somebody has chosen."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import Response

from job_processor.web.cookies import cookie_of, set_cookie
from job_processor.web.forms import form_of
from job_processor.web.problems import problem
from job_processor.web.reading import back_to

USUAL = ("id", "payload", "labels", "when", "took", "detail")
"""Shown unless somebody chooses; name and state always are."""

COLUMNS = (*USUAL, "attempt", "priority", "lane", "created", "worker")

_COOKIE = "job_processor_columns"
_NONE = "none"
_A_YEAR = 31_536_000


def columns_of(request: Request) -> tuple[str, ...]:
    """Return the columns that somebody has chosen, in our order; the usual ones for nobody."""
    kept = cookie_of(request, _COOKIE)
    if not kept:
        return USUAL
    chosen = kept.split(".")
    return tuple(each for each in COLUMNS if each in chosen)


async def choose(request: Request) -> Response:
    """Keep which columns somebody wants to see; without any, as it was at first."""
    pairs = await form_of(request)
    if pairs is None:
        return problem(403, "the form has expired; load the page again")
    fields = dict(pairs)
    if "usual" in fields:
        set_cookie(request, _COOKIE, "", seconds=0)
    else:
        chosen = [value for name, value in pairs if name == "column"]
        set_cookie(request, _COOKIE, _kept(chosen), seconds=_A_YEAR)
    return back_to(request, fields)


def _kept(chosen: Sequence[str]) -> str:
    return ".".join(each for each in COLUMNS if each in chosen) or _NONE
