"""What is there at the prompt, and what the banner says of it."""

from __future__ import annotations

import asyncio
import platform
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from job_processor.cli.app.loading import App
from job_processor.cli.app.output import plain
from job_processor.processor import JobProcessor
from job_processor.version import version

_MOST = 12  # names of jobs on a line of the banner
_USEFUL = {"asyncio": asyncio, "datetime": datetime, "timedelta": timedelta, "UTC": UTC}


def names_of(app: App | None, processor: JobProcessor) -> dict[str, Any]:
    """Return the names: those of the module of the application, and `processor`."""
    module = vars(_module(app)) if app is not None else {}
    public = {name: value for name, value in module.items() if not name.startswith("__")}
    return {**_USEFUL, **public, "processor": processor, "__name__": "__main__", "__doc__": None}


def banner(app: App | None, processor: JobProcessor) -> str:
    """Return what somebody reads who begins."""
    registry = processor.registry
    lines = {
        "processor": f"{f'{app.spec} on ' if app is not None else ''}{processor.address}",
        "jobs": _listed(registry.jobs),
        "crons": _listed(registry.crons),
        "also here": f"{f'all of {app.module}, ' if app is not None else ''}{', '.join(_USEFUL)}",
    }
    told = [f"  {label:<10} {text}" for label, text in lines.items() if text]
    return "\n".join(
        [
            f"job-processor {version()}, Python {platform.python_version()}",
            *told,
            "No worker runs here: what is scheduled waits for one. `await` works at the prompt:",
            f"  {_example(app, processor)}",
            "Ctrl-D leaves.",
        ]
    )


def _module(app: App) -> Any:
    return sys.modules[app.module]


def _listed(names: dict[str, Any]) -> str:
    shown = [plain(name) for name in sorted(names)[:_MOST]]
    return ", ".join(shown + (["…"] if len(names) > _MOST else []))


def _example(app: App | None, processor: JobProcessor) -> str:
    if app is None or not processor.registry.jobs:
        return "await processor.get_status()"
    return f"await processor.find_jobs(name={min(processor.registry.jobs)!r})"
