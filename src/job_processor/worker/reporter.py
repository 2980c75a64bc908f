"""What follows a settlement that won: kills that came late, `on_job_exited`, events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

from bson import ObjectId

from job_processor.errors import StoreError
from job_processor.events import Event, EventKind
from job_processor.handlers.definitions import Definition
from job_processor.models import WAITING, Job, JobStatus
from job_processor.parts import Parts
from job_processor.store.fresh import Fresh
from job_processor.store.requests import Outcome
from job_processor.tasks import persist
from job_processor.worker.hooks import Hooks
from job_processor.worker.job_log import JobLog, Reported
from job_processor.worker.settler import RunSettlement
from job_processor.worker.tally import Tally

T = TypeVar("T")
Settled: TypeAlias = tuple[Definition | None, Job, Job, BaseException | None]
"""What a `Reported` has, as a plain tuple, which is made faster: of most jobs nothing is logged."""

_KINDS = {
    JobStatus.FINISHED: EventKind.FINISHED,
    JobStatus.ERRORED: EventKind.ERRORED,
    JobStatus.KILLED: EventKind.KILLED,
    JobStatus.SKIPPED: EventKind.SKIPPED,
    JobStatus.PAUSED: EventKind.PAUSED,
    JobStatus.PENDING: EventKind.RETRIED,
}
_FAILED = "work after the end of a job failed"
_HOOKED = frozenset({JobStatus.FINISHED, JobStatus.ERRORED, JobStatus.KILLED})


def _is_unheard(settled: RunSettlement) -> bool:
    """True for what has finished without a hook, and is no cron's: the scheduler hears of those."""
    is_plain = settled.outcome.status is JobStatus.FINISHED and settled.job.type == "simple"
    return is_plain and settled.run.definition.on_job_exited is None


class Reporter:
    """Tells about settlements, each once: only who won a settlement calls it."""

    def __init__(self, parts: Parts, tally: Tally, hooks: Hooks, job_log: JobLog) -> None:
        self._store = parts.store
        self._tally = tally
        self._events = parts.events
        self._hooks = hooks
        self._job_log = job_log
        self._clock = parts.clock
        self._logger = parts.logger
        self.on_settled: Callable[[Job], object] | None = None
        """Called with each job that this process settled; the scheduler waits for some."""

    def count_unheard(self, settled: Sequence[RunSettlement]) -> Sequence[RunSettlement]:
        """Count those that have finished and of which nobody is to hear more; return the others.

        Under load these are all, and how their jobs stand now need not even be made.
        """
        if self._job_log.tells_all or self._events.listeners.all:
            return settled
        unheard = [each for each in settled if _is_unheard(each)]
        if unheard:
            self._tally.add_finished(unheard)
        if len(unheard) == len(settled):
            return ()
        return [each for each in settled if not _is_unheard(each)]

    def count_together(self, definition: Definition, fresh: Fresh, outcome: Outcome) -> bool:
        """Count jobs that have finished together; False where somebody is to hear of each."""
        heard = self._job_log.tells_all or self._events.listeners.all or definition.on_job_exited
        if not heard:
            self._tally.add_together(fresh, outcome)
        return not heard

    async def report(self, settled: Sequence[Settled], worker_id: ObjectId) -> None:
        """Report jobs as last written, whatever happens meanwhile."""
        jobs = [job for _, _, job, _ in settled]
        killed: list[Job] = []
        try:
            await self._obey_late_kills(jobs, killed)
        except StoreError as error:
            self._logger.error("kill requests: %s; a late kill may be lost", error)  # noqa: TRY400  # the store's words say all
        finally:
            self._tell(settled, killed, worker_id)

    def _tell(self, settled: Sequence[Settled], killed: Sequence[Job], worker_id: ObjectId) -> None:
        """Count, tell and start hooks; where that fails for one, it is done for the others."""
        try:
            self._tally.add([(before, after) for _, before, after, _ in settled])
        except Exception:
            self._logger.exception(_FAILED)
        tells_all = self._job_log.tells_all
        for each in settled:
            if tells_all or each[2].status is not JobStatus.FINISHED:
                self._job_log.ended(Reported(*each))
            try:
                self._tell_of(each, worker_id)
            except Exception:
                self._logger.exception(_FAILED)
        for job in killed if self._events.listeners.all else ():
            self._events.emit(Event(EventKind.KILLED, worker_id, job))

    def _tell_of(self, settled: Settled, worker_id: ObjectId) -> None:
        definition, _, job, error = settled
        if self._events.listeners.all:
            self._events.emit(Event(_KINDS[job.status], worker_id, job, error))
        if definition is not None and definition.on_job_exited and job.status in _HOOKED:
            self._hooks.start(definition.on_job_exited, job, definition.asking)
        if self.on_settled is not None and job.settled:
            self.on_settled(job)

    async def _obey_late_kills(self, jobs: Sequence[Job], obeyed: list[Job]) -> None:
        """Look for kill requests after the write: they may have come while the run ended.

        What is killed for them is added to `obeyed`.
        """
        waiting = {job.id for job in jobs if job.status in WAITING}
        killed = {job.id for job in jobs if job.status is JobStatus.KILLED}
        if waiting:
            requested = await self._persist(lambda: self._store.kills.requested(waiting))
            for job_id in requested:
                job = await self._persist(partial(self._kill_waiting, job_id))
                obeyed += [] if job is None else [job]
            killed |= requested
        if killed:
            await self._persist(lambda: self._store.kills.acknowledge(killed))

    async def _kill_waiting(self, job_id: ObjectId) -> Job | None:
        return await self._store.kills.kill_waiting(job_id, self._clock.now())

    async def _persist(self, call: Callable[[], Awaitable[T]]) -> T:
        return await persist(call, self._logger, "kill requests")
