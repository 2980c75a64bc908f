"""The job whose handler is running here, for whatever writes lines about it.

It is kept in a context variable, and so follows the handler wherever those go: into its tasks, into
the thread of a plain one, through `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from job_processor.models import Job

_CURRENT: ContextVar[Job | None] = ContextVar("job_processor_current_job", default=None)


def current_job() -> Job | None:
    """Return the job whose handler calls this; None outside of a job.

    Also None in a batch handler, which is called for several jobs: `of_job` sets one for a block.
    """
    return _CURRENT.get()


def begin(job: Job | None) -> None:
    """Let what runs in this task from now on be of a job, or of none; it ends with the task."""
    _CURRENT.set(job)


@contextmanager
def of_job(job: Job | None) -> Iterator[None]:
    """Set the current job for the code in a block, as for its handler."""
    token = _CURRENT.set(job)
    try:
        yield
    finally:
        _CURRENT.reset(token)
