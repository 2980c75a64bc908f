"""A batch: runs that one call of their handler is for, and what they share.

Of most that come together by one claim nobody ever asks for a run. Then none is made, nor the jobs
themselves: the batch goes its way packed, with the state that all of its runs would have.
"""

from __future__ import annotations

import asyncio

from job_processor.handlers.abort import AbortController, AbortReason
from job_processor.handlers.definitions import Definition
from job_processor.models import Job, JobStatus
from job_processor.store.fresh import Fresh
from job_processor.worker.runs import Run


class Batch:
    """Some runs of one name, and what they share."""

    __slots__ = (
        *("active", "began", "concluded", "controller", "definition", "name", "packed", "runs"),
        *("task", "timer"),
    )

    def __init__(self, name: str, definition: Definition) -> None:
        self.name = name
        self.definition = definition
        self.runs: list[Run] = []
        self.packed: Fresh | None = None
        """The jobs of which no run was made yet."""
        self.began: float | None = None
        """When its handler was about to be called, by the monotonic clock."""
        self.concluded = False
        """True once the outcome of all was decided while they were packed."""
        self.active = 0
        """Those whose outcome is not decided; the table of runs counts them."""
        self.controller = AbortController()
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self.runs) if self.packed is None else len(self.packed)

    def unpack(self) -> list[Run]:
        """Return the runs of what was packed: see `Runs.unpack`."""
        assert self.packed is not None  # noqa: S101  # of a packed one
        fresh, self.packed = self.packed, None
        self.runs = [self._run(job) for job in fresh]
        return self.runs

    def _run(self, job: Job) -> Run:
        """Return the run of a job, as far as the batch has come."""
        run = Run(job, self.definition, of_worker=True)
        run.batch, run.task = self, self.task
        if self.began is not None:
            run.begun, run.started, run.given = True, self.began, job
        if self.concluded:
            run.concluded = run.handed_over = True
            run.ends_as = JobStatus.FINISHED
        return run

    @property
    def is_open(self) -> bool:
        """True until its handler is about to be called."""
        return self.task is None

    @property
    def is_to_end(self) -> bool:
        """True when all of its runs that go on were asked to stop."""
        return not self.is_open and all(run.reason or run.concluded for run in self.runs)

    def on_asked(self, reason: AbortReason) -> None:
        """Set the signal of the whole off once the last of its runs was asked to stop."""
        if self.is_to_end:
            self.controller.abort(reason)
