"""Cookies of the dashboard: one way to name and to set them."""

from __future__ import annotations

from typing import Literal

from starlette.requests import Request

from job_processor.web.places import is_encrypted, root_of

_SET = "job_processor.cookies"


def cookie_of(request: Request, name: str) -> str:
    """Return the value of a cookie of ours, "" where there is none."""
    return request.cookies.get(_full(request, name), "")


def set_cookie(
    request: Request,
    name: str,
    value: str,
    *,
    seconds: int | None = None,
    same_site: Literal["Strict", "Lax"] = "Strict",
) -> None:
    """Let the answer to a request set a cookie.

    seconds: how long it is kept; None: until the browser ends; 0: it is removed.

    Under TLS the prefix `__Host-` keeps other hosts from setting it, and asks for the path `/`.
    """
    path = "/" if is_encrypted(request) else _path(request)
    parts = [f"{_full(request, name)}={value}", f"Path={path}", "HttpOnly", f"SameSite={same_site}"]
    if seconds is not None:
        parts.append(f"Max-Age={seconds}")
    if is_encrypted(request):
        parts.append("Secure")
    request.scope.setdefault(_SET, {})[name] = "; ".join(parts)


def cookies_set(request: Request) -> list[str]:
    """Return the values of the `Set-Cookie` headers of an answer."""
    return list(request.scope.get(_SET, {}).values())


def _path(request: Request) -> str:
    """Return where the dashboard is mounted, where that can be written in one way only.

    A browser compares letter by letter with an address that was decoded on its way to us: of a
    blank, an umlaut or a semicolon nobody here knows how it stood there. Then it is the whole host,
    whose pages can read each other anyway.
    """
    root = str(request.scope.get("root_path", "")).rstrip("/")
    return root if root.startswith("/") and root == root_of(request) else "/"


def _full(request: Request, name: str) -> str:
    return f"__Host-{name}" if is_encrypted(request) else name
