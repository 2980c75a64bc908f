"""Calls `on_job_exited`: beside everything else, for a limited time, and logged where it fails."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial

from job_processor.handlers import current
from job_processor.handlers.callables import attempt, is_async
from job_processor.handlers.definitions import ExitHook
from job_processor.handlers.resources import called
from job_processor.hooks import Call, Scopes
from job_processor.models import Job
from job_processor.settings import HOOK_THREADS, HOOK_TIMEOUT
from job_processor.tasks import ThreadPool, cancel
from job_processor.worker.outcomes import check_ran
from job_processor.worker.resources import Resources


class Hooks:
    """Runs each hook in a task of its own, a plain one in a thread."""

    def __init__(self, scopes: Scopes, logger: logging.Logger, resources: Resources) -> None:
        self._scopes = scopes
        self._resources = resources
        self._logger = logger
        self._threads = ThreadPool(HOOK_THREADS, "job-processor-hook")
        self._running: dict[asyncio.Task[None], Job] = {}

    def start(self, hook: ExitHook, job: Job, asking: Sequence[ExitHook] = ()) -> None:
        """Call a hook with a job as last written, and return at once.

        asking: has it where it takes the resources, too.
        """
        call = partial(called, hook, job, self._resources.value, asking)
        task = asyncio.get_running_loop().create_task(self._call(hook, call, job))
        self._running[task] = job
        task.add_done_callback(lambda task: self._running.pop(task, None))

    async def ended(self, of: Callable[[Job], bool], within: float) -> None:
        """Return when the hooks of such jobs have ended, or so many seconds later.

        Those that have not are named in the log; they go on.
        """
        deadline = asyncio.get_running_loop().time() + within
        while running := {task for task, job in self._running.items() if of(job)}:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                jobs = [self._running[task] for task in running]
                self._logger.error("not waiting any longer for on_job_exited of %s", _named(jobs))
                return
            await asyncio.wait(running, timeout=left)

    async def stop(self, within: float) -> None:
        """Cancel what still runs; a thread that hangs is left alone."""
        await cancel(self._running, within)

    def close(self) -> None:
        """Give the threads back."""
        self._threads.close()

    async def _call(self, hook: ExitHook, given: Call, job: Job) -> None:
        """Call a hook; its failure is logged and changes nothing."""
        current.begin(job)
        limit = asyncio.timeout(HOOK_TIMEOUT)
        error: BaseException | None
        try:
            async with limit:
                error = await self._answer(hook, given)
        except BaseException as failure:  # noqa: BLE001  # a KeyboardInterrupt would end the loop
            error = failure
        if error is not None:
            task = asyncio.current_task()
            how = "was cancelled" if task is not None and task.cancelling() else "failed"
            if limit.expired():
                how = f"was given up after {HOOK_TIMEOUT:g} s"
            text = "on_job_exited of job %r (%s) %s"
            self._logger.error(text, job.name, job.id, how, exc_info=error)

    async def _answer(self, hook: ExitHook, given: Call) -> BaseException | None:
        """Return what a hook has raised while it was called; what it awaits raises here."""
        plain = not is_async(hook)
        call: Call = self._scopes.wrapped(given, not plain)
        if plain:
            thread = self._threads.submit(partial(attempt, call))
            answer, error = await asyncio.wrap_future(thread)
        else:
            answer, error = attempt(call)
        if error is None and inspect.isawaitable(answer):
            await answer
        elif error is None:
            check_ran(hook, answer, "on_job_exited")
        return error


def _named(jobs: list[Job]) -> str:
    named = ", ".join(f"{job.name!r} ({job.id})" for job in jobs[:20])
    return named if len(jobs) <= 20 else f"{named} and {len(jobs) - 20} more"
