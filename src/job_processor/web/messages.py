"""What an action has to say on the page that follows it."""

from __future__ import annotations

from starlette.requests import Request

from job_processor.web.cookies import cookie_of, set_cookie
from job_processor.web.seal import Seal

_COOKIE = "job_processor_told"
_SECONDS = 60
_LONGEST = 500  # characters
REFRESH = "job-processor-refresh"
"""A header of what an open page asks for by itself: it takes no message away from its reader."""


def tell(request: Request, *, done: str = "", error: str = "") -> None:
    """Keep a message for the next page, in a signed cookie.

    In the address anybody could put words into our mouth, and they would stay in histories and logs
    of proxies.
    """
    seal: Seal | None = request.app.state.seal
    if seal is not None:
        told = [done[:_LONGEST], error[:_LONGEST]]
        set_cookie(request, _COOKIE, seal.close("told", told, seconds=_SECONDS), seconds=_SECONDS)


def told(request: Request) -> tuple[str, str]:
    """Return what was done and what went wrong, once; "" where there is nothing to say."""
    seal: Seal | None = request.app.state.seal
    kept = cookie_of(request, _COOKIE)
    if seal is None or not kept or REFRESH in request.headers:
        return "", ""
    set_cookie(request, _COOKIE, "", seconds=0)
    done, error = seal.open("told", kept) or ("", "")
    return str(done), str(error)
