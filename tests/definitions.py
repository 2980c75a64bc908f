"""Definitions of jobs that tests of several rooms run."""

from __future__ import annotations

import threading
from typing import Any

from job_processor import AbortSignal, JobDef, SimpleJob


async def nothing() -> None:
    """Do nothing."""


async def double(payload: dict[str, Any]) -> dict[str, Any]:
    """Return twice the number."""
    return {"value": payload["value"] * 2}


def blocking(payload: dict[str, Any]) -> str:
    """Return the name of the thread it runs in."""
    return threading.current_thread().name


async def fail(job: SimpleJob) -> None:
    """Fail."""
    raise ValueError("boom")


async def wait_for_abort(job: SimpleJob, signal: AbortSignal) -> str:
    """Run until asked to stop."""
    await signal.wait()
    return "stopped"


JOBS = {
    "double": JobDef(double),
    "blocking": JobDef(blocking),
    "fail": JobDef(fail),
    "endless": JobDef(wait_for_abort),
    "only": JobDef(wait_for_abort, exclusive=True),
}
