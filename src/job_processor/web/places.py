"""Where a request is within the dashboard, and where the dashboard is."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.types import Scope


def path_of(scope: Scope) -> str:
    """Return the path below the place where the dashboard is mounted, decoded."""
    root, path = str(scope.get("root_path", "")), str(scope["path"])
    return path[len(root) :] if root and f"{path}/".startswith(f"{root}/") else path


def root_of(request: Request) -> str:
    """Return the place where the dashboard is mounted, as it stands in a link."""
    return quote(str(request.scope.get("root_path", "")).rstrip("/"), safe="/~")


def is_encrypted(request: Request) -> bool:
    """Return whether the browser speaks TLS, to us or to a proxy that is trusted."""
    return bool(request.scope.get("scheme") == "https")
