"""What stands before every page: for which host, from which site, who; and headers."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import warnings

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from job_processor.errors import InvalidArgumentError
from job_processor.web.access import ASKED, FAILED, Access, Check, Login, access_of, address_of
from job_processor.web.cookies import cookies_set
from job_processor.web.entrance import Entrance
from job_processor.web.forms import COOKIE, FIELD
from job_processor.web.health import Healthz
from job_processor.web.hosts import Hosts
from job_processor.web.places import is_encrypted, path_of
from job_processor.web.problems import problem
from job_processor.web.throttle import WAITING, Throttle

__all__ = ["COOKIE", "FIELD", "Guard", "OpenDashboardWarning"]

_logger = logging.getLogger("job_processor")

PROBES = frozenset({"/healthz", "/metrics", "/scaling"})
"""Asked by whom the cluster sends, who knows the address of a pod alone."""

SCRAPED = frozenset({"/metrics", "/scaling"})
"""Answered to who has the token of scrapers, too."""

FETCH_TIME = 60.0
"""Seconds in which a part of an answer is to be fetched, before its connection is given up."""

_PREFERENCES = frozenset({"/language", "/theme"})
"""What a reader chooses for their own browser: nothing of the database changes."""

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_TLS = {"strict-transport-security": "max-age=31536000"}


class OpenDashboardWarning(UserWarning):
    """A dashboard without an access check got a request from another machine."""


class Guard:
    """An ASGI middleware.

    check: who may do what; None: everybody may do all.
    hosts: the names that are answered to; None: any.
    healthz: whom `/healthz` answers.
    scraper: who may ask for `/metrics` and `/scaling` and for nothing else, besides whom `check`
        lets in.
    """

    def __init__(
        self,
        app: ASGIApp,
        check: Check | None,
        hosts: Hosts | None = None,
        healthz: Healthz = "public",
        scraper: Login | None = None,
    ) -> None:
        self._app = app
        self._check = check
        self._scraper = scraper
        self._hosts = hosts
        self._public = {"/healthz"} if healthz == "public" else set()
        self._throttle = Throttle()
        self._warned = check is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        begun = False

        async def send_safely(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                _protect(request, message)
            async with asyncio.timeout(FETCH_TIME):
                await send(message)

        try:
            refusal = await self._refusal(request)
            if refusal is not None:
                await refusal(scope, receive, send_safely)
            else:
                await self._app(scope, receive, send_safely)
        except ClientDisconnect:
            pass  # nobody is left to answer to
        except Exception as error:
            if begun and isinstance(error, TimeoutError):
                return  # nobody fetches the answer
            if begun:
                raise
            _logger.exception("dashboard: %s %r failed", scope["method"], path_of(scope))
            await problem(500, "it went wrong; the log says how")(scope, receive, send_safely)

    async def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that may not be; None when it may."""
        path = path_of(request.scope)
        if self._hosts is not None and path not in PROBES and not self._hosts.allow(request):
            return problem(400, "this host is not allowed: see --allowed-host and allowed_hosts")
        if request.method in _SAFE and not _may_read(request):
            return problem(403, "the request comes from another site")
        if path in self._public or self._is_scraped(request, path):
            return None
        if isinstance(self._check, Entrance):
            answer = self._check.exchange(request)
            if answer is not None:
                return answer
        access = await self._access(request)
        if access == "forbidden":
            return await self._forbid(request)
        if request.method in _SAFE:
            return None
        if access != "all" and path not in _PREFERENCES:
            return problem(403, "this login may only look")
        if not _may_write(request):
            return problem(403, "the request comes from another site")
        return None

    def _is_scraped(self, request: Request, path: str) -> bool:
        """True when a scraper brings its token, to where it may come."""
        if self._scraper is None or path not in SCRAPED or request.method not in _SAFE:
            return False
        return self._scraper(request) != "forbidden"

    async def _access(self, request: Request) -> Access:
        self._warn(request)
        access: Access
        try:
            access = await access_of(self._check, request)
        except InvalidArgumentError as error:
            _logger.error("the dashboard's access check: %s", error)  # noqa: TRY400  # it has no place in our code
            access = "forbidden"
        request.scope["job_processor.access"] = access
        return access

    async def _forbid(self, request: Request) -> Response:
        if not request.scope.get(ASKED):
            return problem(403, "this may not be seen")
        if request.scope.get(FAILED):
            request.scope[WAITING] = True
            await self._throttle.refuse(address_of(request))
        challenge = 'Basic realm="job-processor", charset="UTF-8"'
        told = "log in with the token, or with name and password"
        if isinstance(self._check, Entrance):  # a browser that asked for a name would be no help
            challenge = 'Bearer realm="job-processor"'
            told = "open the address that the command has printed, or log in with its token"
        return problem(401, told, headers={"www-authenticate": challenge})

    def _warn(self, request: Request) -> None:
        """Say once that everybody may do all, when others than this machine can come."""
        if self._warned or not _comes_from_elsewhere(request):
            return
        self._warned = True
        text = (
            "the dashboard has no access check: everybody who reaches it may do everything. Give "
            "create_app(access=…); access=lambda request: 'all' says that this is wanted"
        )
        _logger.warning(text)
        warnings.warn(text, OpenDashboardWarning, stacklevel=2)


def _protect(request: Request, message: Message) -> None:
    """Put the headers of every answer into the one that begins."""
    headers = MutableHeaders(scope=message)
    encrypted = is_encrypted(request)
    for name, value in (_HEADERS | _TLS if encrypted else _HEADERS).items():
        headers[name] = value
    if not headers.get("cache-control"):
        headers["cache-control"] = "no-store"
    for cookie in cookies_set(request):
        headers.append("set-cookie", cookie)


def _may_read(request: Request) -> bool:
    """False when a page of another site reads, or shows a part of this one.

    Reading costs time, and how much tells what there is. Somebody who follows a link may come.
    """
    if _from_here(request) is not False:
        return True
    mode = request.headers.get("sec-fetch-mode")
    return mode == "navigate" and request.headers.get("sec-fetch-dest") == "document"


def _may_write(request: Request) -> bool:
    """False when the browser says that another site sends this."""
    here = _from_here(request)
    if here is not None:
        return here
    origin = request.headers.get("origin")
    return origin is None or _site(origin) == _site(_origin(request))


def _from_here(request: Request) -> bool | None:
    """Return what the browser says of the page that asks; None when it says nothing."""
    site = request.headers.get("sec-fetch-site")
    return None if site is None else site in ("same-origin", "none")


def _origin(request: Request) -> str:
    return f"{request.scope.get('scheme', 'http')}://{request.headers.get('host', '')}"


def _site(origin: str) -> str:
    """Return an origin without the port that its scheme implies."""
    origin = origin.lower()
    implied = {"http": ":80", "https": ":443"}.get(origin.partition(":")[0], "\0")
    return origin.removesuffix(implied)


def _comes_from_elsewhere(request: Request) -> bool:
    if "x-forwarded-for" in request.headers or "forwarded" in request.headers:
        return True
    try:
        return not ipaddress.ip_address(address_of(request)).is_loopback
    except ValueError:  # a socket without addresses, or a test
        return False
