"""The dashboard inside a Django project, under ASGI: Django's own login decides who may come in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from importlib import import_module
from typing import Any, Literal, TypeAlias

from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.core.exceptions import DisallowedHost
from django.db import close_old_connections
from django.http import HttpRequest

from job_processor.errors import InvalidArgumentError

__all__ = ["login_access", "mounted"]

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]
Access: TypeAlias = Literal["all", "read_only", "forbidden"]

_ANONYMOUS = "job_processor.anonymous"


def login_access(permission: str | None = None) -> Callable[[Any], Awaitable[Access]]:
    """Return an `access` for `create_app` that uses the login of Django.

    Staff may read. Superusers may act, and so may staff with the permission.

    permission: such as "shop.change_order"; None: only superusers act.
    """

    async def access(request: Any) -> Access:
        key = request.cookies.get(settings.SESSION_COOKIE_NAME)
        name, may = await sync_to_async(_look_up, thread_sensitive=False)(key, permission)
        if name is None:
            request.scope[_ANONYMOUS] = True
        else:
            request.scope["job_processor.login"] = name  # for the audit log
        return may

    return access


def mounted(application: App, path: str, dashboard: App) -> App:
    """Return an ASGI application with the dashboard at `path` and `application` elsewhere.

    Users who are not logged in are redirected to LOGIN_URL, if the dashboard uses `login_access`.
    Hosts that Django refuses (ALLOWED_HOSTS) are refused here too, except for probes.

    Raises InvalidArgumentError for a path that is not allowed.
    """
    if not path.startswith("/") or path.endswith("/"):
        allowed = "allowed is a path that starts with / and does not end with it, such as '/jobs'"
        raise InvalidArgumentError("path", path, allowed)

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":  # Django has none
            await dashboard(scope, receive, send)
            return
        root = scope.get("root_path", "") + path
        if scope["type"] == "http" and f"{scope['path']}/".startswith(f"{root}/"):
            inner = {**scope, "root_path": root}
            if scope["path"] == f"{root}/healthz" or _is_allowed(scope):
                await dashboard(inner, receive, _Login(inner, send))
            else:
                await _refuse(send)
        else:
            await application(scope, receive, send)

    return serve


def _is_allowed(scope: Scope) -> bool:
    """Return whether Django takes requests for the host that this one names."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    request = HttpRequest()
    request.META = {
        f"HTTP_{name.upper().replace('-', '_')}": headers[name]
        for name in ("host", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto")
        if name in headers
    }
    server = scope.get("server") or ("", 80)
    request.META |= {"SERVER_NAME": str(server[0]), "SERVER_PORT": str(server[1])}
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class _Login:
    """Sends on what the dashboard answers, but a page that is refused to somebody unknown."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._redirected = False

    async def __call__(self, message: Any) -> None:
        """Send a message, or the way to the login in its place."""
        if message["type"] == "http.response.start" and self._is_for_login(message["status"]):
            self._redirected = True
            headers = [(b"location", _login_url(self._scope).encode()), (b"content-length", b"0")]
            message = {"type": message["type"], "status": 302, "headers": headers}
        elif self._redirected:
            message = {**message, "body": b""}
        await self._send(message)

    def _is_for_login(self, status: int) -> bool:
        accepts = dict(self._scope["headers"]).get(b"accept", b"")
        unknown = self._scope.get(_ANONYMOUS, False)
        return status == 403 and unknown and self._scope["method"] == "GET" and b"html" in accepts


def _look_up(session_key: str | None, permission: str | None) -> tuple[str | None, Access]:
    """Return who has this session, None where nobody does, and what they may do."""
    close_old_connections()
    try:
        request = HttpRequest()
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
        user: Any = get_user(request)  # of the project's own class
        if not user.is_authenticated:
            return None, "forbidden"
        if not user.is_staff:
            return user.get_username(), "forbidden"
        acts = user.is_superuser or (permission is not None and user.has_perm(permission))
        return user.get_username(), "all" if acts else "read_only"
    finally:
        close_old_connections()


def _login_url(scope: Scope) -> str:
    from django.contrib.auth.views import redirect_to_login  # noqa: PLC0415  # it needs models

    query = scope.get("query_string", b"").decode("latin-1")
    return redirect_to_login(f"{scope['path']}?{query}" if query else scope["path"]).url
