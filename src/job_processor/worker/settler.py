"""Writes outcomes in batches, again until the database answers, and tells who won.

While one batch is being written the next gathers, so batches grow with the load and a lone outcome
is written at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bson import ObjectId

from job_processor.errors import StoreError, StoreUnavailableError
from job_processor.models import WAITING, Job
from job_processor.settings import SETTLE_BATCH
from job_processor.settlements import Outcome, Settlement
from job_processor.store import Store
from job_processor.worker.gate import Gate
from job_processor.worker.outcomes import next_best
from job_processor.worker.persistence import Backoff
from job_processor.worker.runs import Run, Runs


@dataclass(slots=True)
class _Pending:
    run: Run
    outcome: Outcome
    sent: Settlement | None = None
    """What was sent already; a repetition sends the same, its reply may have been lost."""


Settled = tuple[Run, Job]
Report = Callable[[Sequence[Settled]], Awaitable[None]]


class Settler:
    """Owns every outcome from its decision to its confirmation."""

    def __init__(
        self, store: Store, gate: Gate, runs: Runs, report: Report, logger: logging.Logger
    ) -> None:
        self._store = store
        self._gate = gate
        self._runs = runs
        self._report = report
        self._logger = logger
        self._waiting: list[_Pending] = []
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, run: Run, outcome: Outcome) -> None:
        """Take over an outcome."""
        if outcome.status in WAITING:
            self._runs.held.add(run.job.id)
        self._waiting.append(_Pending(run, outcome))
        self._idle.clear()
        self._wake.set()

    def drop(self, run: Run) -> None:
        """Let a run go of which nothing is to be written."""
        self._end(run, None)
        self._release(run)

    async def drained(self) -> None:
        """Return when everything that was added is confirmed."""
        await self._idle.wait()

    async def run(self) -> None:
        """Write what is added, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                batch, self._waiting = (
                    self._waiting[:SETTLE_BATCH],
                    self._waiting[SETTLE_BATCH:],
                )
                await self._write(batch)
            self._idle.set()

    async def _write(self, batch: list[_Pending]) -> None:
        backoff = Backoff()
        failed = False
        while batch:
            try:
                batch = await self._try(batch)
            except StoreUnavailableError as error:
                # Whether it is written or not: if somebody lets it wait again meanwhile, what we
                # repeat must not meet a new run of our own.
                self._runs.held.update(pending.run.job.id for pending in batch)
                if not failed:
                    self._logger.warning(
                        "settlement of %d: %s; trying again until it succeeds",
                        len(batch),
                        error,
                    )
                failed = True
                await asyncio.sleep(backoff.next())
        if failed:
            self._logger.info("settlement: the database answers again")

    async def _try(self, batch: list[_Pending]) -> list[_Pending]:
        """Write a batch once; return what has to be written again, for a moved run or a refusal."""
        async with self._gate.shared():
            for pending in batch:
                if pending.sent is None:
                    job = pending.run.job
                    pending.sent = Settlement(job, pending.outcome, job.worker_id or job.id)
            sent = [pending.sent for pending in batch if pending.sent is not None]
            try:
                won = await self._store.settle(sent)
            except StoreUnavailableError:
                raise
            except StoreError as error:
                return self._refused(batch, error)
        again = [pending for pending in batch if pending.run.job.id not in won and _moved(pending)]
        for pending in again:
            pending.sent = None
        await self._finish([p for p in batch if p.sent is not None], won)
        return again

    async def _finish(self, batch: list[_Pending], won: set[ObjectId]) -> None:
        winners = []
        for pending in batch:
            assert pending.sent is not None  # noqa: S101  # the caller selected those
            if pending.run.job.id in won:
                winners.append((pending.run, pending.sent.written()))
            else:
                self._lost(pending.run)
        if winners:
            await self._report(winners)
            for run, written in winners:
                self._end(run, written)
            self._release(*(run for run, _ in winners))

    def _refused(self, batch: list[_Pending], error: StoreError) -> list[_Pending]:
        """Find the outcome that the store refuses: one by one, then by what is next best."""
        if len(batch) > 1:
            self._waiting += batch[1:]
            return batch[:1]
        run, outcome = batch[0].run, next_best(batch[0].outcome, error)
        job = run.job
        self._logger.error("job %r (%s) cannot be settled: %s", job.name, job.id, error)
        if outcome is not None:
            return [_Pending(run, outcome)]
        self._runs.held.add(job.id)  # nothing can be written: it stays running, not run again
        self._end(run, None)
        self._runs.remove(run)
        return []

    def _lost(self, run: Run) -> None:
        self._logger.warning(
            "job %r (%s) was taken away from this worker; its outcome is dropped",
            run.job.name,
            run.job.id,
        )
        self._end(run, None)
        self._release(run)

    def _end(self, run: Run, written: Job | None) -> None:
        if run.done is not None and not run.done.done():
            run.done.set_result(written)

    def _release(self, *runs: Run) -> None:
        for run in runs:
            if not run.has_living_thread:
                self._runs.held.discard(run.job.id)
        self._runs.remove(*runs)


def _moved(pending: _Pending) -> bool:
    """True when the run changed to a new worker id after its settlement was sent."""
    sent = pending.sent
    return sent is not None and sent.job.worker_id != pending.run.job.worker_id
