"""Extras that commands and options need: asked for before anything is started."""

from __future__ import annotations

from importlib.util import find_spec

from job_processor.errors import MissingExtraError

_MODULES = {
    "mcp": ("mcp",),
    "prometheus": ("prometheus_client",),
    "reload": ("watchfiles",),
    "uvloop": ("uvloop",),
    "web": ("starlette", "jinja2", "uvicorn"),
}
"""The modules that an extra brings."""


def is_installed(extra: str) -> bool:
    """Tell whether an extra is there."""
    return all(find_spec(module) is not None for module in _MODULES[extra])


def require(extra: str, what: str) -> None:
    """Raise MissingExtraError when `what`, such as an option, cannot be had without an extra."""
    if not is_installed(extra):
        raise MissingExtraError(what, extra)
