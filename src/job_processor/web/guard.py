"""What stands before every page: who may come in, forged requests, headers."""

from __future__ import annotations

import logging
import secrets
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from job_processor.errors import InvalidArgumentError
from job_processor.web.access import Check, Login, access_of
from job_processor.web.health import Healthz
from job_processor.web.problems import problem

_logger = logging.getLogger("job_processor")

COOKIE = "job_processor_csrf"
FIELD = "csrf"
MAX_BODY = 16 * 1024 * 1024
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Guard:
    """An ASGI middleware."""

    def __init__(self, app: ASGIApp, check: Check | None, healthz: Healthz = "public") -> None:
        self._app = app
        self._check = check
        self._public = {"/healthz"} if healthz == "public" else set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        token = request.cookies.get(COOKIE, "")
        fresh = not _is_token(token)
        scope["job_processor.csrf"] = token if not fresh else secrets.token_urlsafe(24)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if not headers.get("cache-control"):
                    headers["cache-control"] = "no-store"
                if fresh and headers.get("content-type", "").startswith("text/html"):
                    headers.append("set-cookie", _cookie(request))
            await send(message)

        refusal = await self._refusal(request)
        if refusal is not None:
            await refusal(scope, receive, send_safely)
            return
        await self._app(scope, receive, send_safely)

    async def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that may not be; None when it may."""
        if _path(request) in self._public:
            return None
        try:
            access = await access_of(self._check, request)
        except InvalidArgumentError as error:
            _logger.error("the dashboard's access check: %s", error)  # noqa: TRY400  # it has no place in our code
            access = "forbidden"
        request.scope["job_processor.access"] = access
        if access == "forbidden":
            return _forbidden(self._check)
        if request.method in _SAFE:
            return None
        if access != "all":
            return problem(403, "this login may only look")
        if not _is_same_origin(request):
            return problem(403, "the request comes from another site")
        return None


async def form_of(request: Request) -> list[tuple[str, str]] | None:
    """Return the fields of a form that is ours; None when it is forged.

    The field must hold what the cookie holds: another site can send the cookie, but not read it.
    """
    body = await body_of(request)
    fields = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    given = dict(fields).get(FIELD, "")
    cookie = request.cookies.get(COOKIE, "")
    if not cookie or not secrets.compare_digest(given.encode(), cookie.encode()):
        return None
    return [(name, value) for name, value in fields if name != FIELD]


async def body_of(request: Request) -> bytes:
    """Return the body of a request; raises HTTPException 413 when it is too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise HTTPException(413, "allowed are 16 MiB")
    return body


def _path(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    path: str = request.scope["path"]
    return path.removeprefix(root) if root and path.startswith(root) else path


def _forbidden(check: Check | None) -> Response:
    if not isinstance(check, Login):
        return problem(403, "this may not be seen")
    challenge = {"www-authenticate": 'Basic realm="job-processor", charset="UTF-8"'}
    return problem(401, "log in with the token, or with name and password", headers=challenge)


def _is_same_origin(request: Request) -> bool:
    """False when the browser says that another site sends this."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")


def _is_token(value: str) -> bool:
    return 20 <= len(value) <= 64 and value.isascii()


def _cookie(request: Request) -> str:
    secure = "; Secure" if request.url.scheme == "https" else ""
    token = request.scope["job_processor.csrf"]
    path = request.scope.get("root_path") or "/"
    return f"{COOKIE}={token}; Path={path}; HttpOnly; SameSite=Strict{secure}"
