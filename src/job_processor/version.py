"""The version of the installed package."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """Return the installed version, `0+unknown` when it runs from a bare source tree."""
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415  # slow
    from importlib.metadata import version as installed  # noqa: PLC0415  # slow

    try:
        return installed("job-processor")
    except PackageNotFoundError:
        return "0+unknown"
