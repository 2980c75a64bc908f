"""The way in without a login: an address with a token in it, printed where the owner looks."""

from __future__ import annotations

import hmac
import secrets
from urllib.parse import parse_qsl, quote, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from job_processor.web.access import ASKED, FAILED, LOGIN, Access, Login
from job_processor.web.cookies import cookie_of, set_cookie
from job_processor.web.places import path_of, root_of
from job_processor.web.seal import Seal

PARAMETER = "token"


class Entrance:
    """An access check by a random token that lives as long as the process.

    Whoever opens an address with it gets a cookie in its place and is led on to the address without
    it, so that it stands in no history and goes to no other page. It is good as a login, too.
    """

    def __init__(self, access: Access = "all") -> None:
        self.token = secrets.token_urlsafe(32)
        self._access = access
        self._login = Login(self.token, access=access)
        self._seal = Seal(secrets.token_bytes(32))

    def address(self, address: str) -> str:
        """Return an address of the dashboard with the token in it."""
        return f"{address}?{urlencode({PARAMETER: self.token})}"

    def __call__(self, request: Request) -> Access:
        """Return what the request may do by its cookie, or as a login says."""
        if self._has_cookie(request):
            request.scope[LOGIN] = "token"
            return self._access
        return self._login(request)

    def exchange(self, request: Request) -> Response | None:
        """Return what answers to a token in the address; None where there is none."""
        query = request.scope.get("query_string", b"").decode("latin-1")
        if request.method not in ("GET", "HEAD") or f"{PARAMETER}=" not in query:
            return None
        pairs = parse_qsl(query, keep_blank_values=True)
        given = [value for name, value in pairs if name == PARAMETER]
        if len(given) != 1:
            return None
        right = hmac.compare_digest(given[0].encode("utf-8", "replace"), self.token.encode())
        if not right and not self._has_cookie(request):
            request.scope[ASKED] = request.scope[FAILED] = True
            return None
        set_cookie(request, _cookie(request), self._mark, same_site="Lax")
        rest = urlencode([pair for pair in pairs if pair[0] != PARAMETER])
        place = root_of(request) + quote(path_of(request.scope), safe="/")
        return RedirectResponse(f"{place}?{rest}" if rest else place, status_code=303)

    def _has_cookie(self, request: Request) -> bool:
        cookie = cookie_of(request, _cookie(request))
        return hmac.compare_digest(cookie.encode("utf-8", "replace"), self._mark.encode())

    @property
    def _mark(self) -> str:
        return self._seal.mark("entrance")


def _cookie(request: Request) -> str:
    """Return a name for this port: cookies of one host go to all of its ports."""
    server = request.scope.get("server")
    return f"job_processor_login_{server[1] if server else 0}"
