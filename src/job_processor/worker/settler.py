"""Writes outcomes in batches, again until the database answers, and tells who won.

While one batch is being written the next gathers, so batches grow with the load and a lone outcome
is written at once. Whatever goes wrong, no outcome is lost and none keeps the others back: what is
refused gives way to what is next best, and what fails by itself is found and set aside.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from job_processor.errors import NotSetUpError, StoreUnavailableError
from job_processor.handlers.definitions import Definition
from job_processor.jobs.rates import lane_of
from job_processor.models import WAITING, Job, JobStatus
from job_processor.parts import Parts
from job_processor.settings import LONE_TRIES, RATE_PER_MAX, SETTLE_BATCH
from job_processor.store.fresh import Fresh
from job_processor.store.requests import Outcome, Settlement, Verdict
from job_processor.store.tokens import lane_id
from job_processor.tasks import Trouble, cancel, is_of_input, set_within
from job_processor.worker.gate import Gate
from job_processor.worker.outcomes import last_resort, next_best
from job_processor.worker.runs import Run, Runs
from job_processor.worker.settling import settle_once

if TYPE_CHECKING:  # it settles them
    from job_processor.worker.batch import Batch


@dataclass(slots=True, eq=False)
class RunSettlement(Settlement):
    """The settlement of a run of this process, until it is confirmed."""

    run: Run
    sent: bool = False
    """True once it was sent: a repetition sends the same, its reply may have been lost."""
    failures: int = 0
    """How often it failed alone."""
    before: RunSettlement | None = None
    """What it stands for, which failed again and again: perhaps it is written all the same."""

    @classmethod
    def of(cls, run: Run, outcome: Outcome) -> RunSettlement:
        """Return what writes the outcome of a run."""
        job = run.job
        return cls(job, outcome, job.worker_id or job.id, run)

    @property
    def has_moved(self) -> bool:
        """True when the run changed to a new worker id after this was sent."""
        return self.sent and self.job.worker_id != self.run.job.worker_id

    def aim(self) -> None:
        """Write the run as it is now: its worker may have another id than when it ended."""
        job = self.run.job
        self.job, self.writer, self._written = job, job.worker_id or job.id, None


_MAY_BE_KILLED = WAITING | {JobStatus.KILLED}
"""States after which kill requests are looked for, or acknowledged: the report asks the store."""

Report = Callable[[Sequence[RunSettlement]], Awaitable[None]]
"""Told of those that won: how their jobs stand now is made only where it is asked for."""
Count = Callable[[Definition, Fresh, Outcome], bool]
"""Counts jobs that have finished together; False where somebody is to hear of each."""


class Settler:
    """Owns every outcome from its decision to its confirmation."""

    def __init__(self, parts: Parts, gate: Gate, runs: Runs, report: Report, count: Count) -> None:
        self._store = parts.store
        self._gate = gate
        self._runs = runs
        self._report = report
        self._logger = parts.logger
        self._count = count
        self._waiting: list[RunSettlement] = []
        self._packed: deque[tuple[Batch, Outcome]] = deque()
        """Batches of which no run was made, and the outcome of each."""
        self._without_rate: set[str] = set()
        """Names of which it was said that they have none."""
        self._parts: deque[list[RunSettlement]] = deque()
        """Parts of batches that are to be written before what waits: again, or as next best."""
        self._aside: deque[RunSettlement] = deque()
        """What failed alone; one is tried at a time, at `_aside_at`, in monotonic seconds."""
        self._aside_at = 0.0
        self._trouble = Trouble(parts.logger, "settlement")
        self._aside_trouble = Trouble(parts.logger, "settlement")
        self._following: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, run: Run, outcome: Outcome) -> None:
        """Take over an outcome."""
        if outcome.status in WAITING:
            self._runs.held.add(run.job.id)
        run.handed_over = True
        self._waiting.append(RunSettlement.of(run, outcome))
        self._idle.clear()
        self._wake.set()

    def add_packed(self, batch: Batch, outcome: Outcome) -> None:
        """Take over the one outcome of a batch of which no run was made."""
        self._packed.append((batch, outcome))
        self._idle.clear()
        self._wake.set()

    def drop(self, run: Run) -> None:
        """Let a run go of which nothing is to be written."""
        run.handed_over = True
        self._end(run, None)
        self._release(run)

    async def drained(self) -> None:
        """Return when everything that was added is confirmed, and what follows it is done."""
        await self._idle.wait()
        while self._following:
            await asyncio.wait(self._following)

    def forget(self) -> None:
        """Let go what could not be written in time: the rescue settles it."""
        self._packed.clear()
        self._waiting.clear()
        self._parts.clear()
        self._aside.clear()
        self._wake.clear()
        self._idle.set()

    async def run(self) -> None:
        """Write what is added, until cancelled; one that is begun anew goes on where it stopped."""
        try:
            while True:
                await self._until_there_is_some()
                while self._packed or (pending := self._next()):
                    if self._packed:
                        await self._write_packed(*self._packed.popleft())
                    else:
                        await self._write(pending)
                if not self._aside:
                    self._idle.set()
        finally:
            await cancel([*self._following])

    async def _until_there_is_some(self) -> None:
        if not self._aside:
            await self._wake.wait()
        else:
            await set_within(self._wake, max(self._aside_at - time.monotonic(), 0.0))
        self._wake.clear()

    def _next(self) -> list[RunSettlement]:
        """Take what is to be written now; what was set aside is written alone."""
        if self._aside and time.monotonic() >= self._aside_at:
            return [self._aside.popleft()]
        if self._parts:
            return self._parts.popleft()
        batch, self._waiting = self._waiting[:SETTLE_BATCH], self._waiting[SETTLE_BATCH:]
        return batch

    async def _write(self, batch: list[RunSettlement]) -> None:
        """Write a batch once."""
        try:
            verdict = await self._try(batch)
        except NotSetUpError:
            raise
        except Exception as error:  # noqa: BLE001  # it is logged, and no outcome is lost
            # Whether it is written or not: if somebody lets it wait again meanwhile, what we
            # repeat must not meet a new run of our own.
            self._runs.held.update(pending.run.job.id for pending in batch)
            await self._failed(batch, error)
        except BaseException:  # cancelled with its program: whoever stops the worker continues
            self._parts.appendleft(batch)
            self._wake.set()
            raise
        else:
            aside = batch[0].failures > 0
            (self._aside_trouble if aside else self._trouble).end()
            await self._judge(batch, verdict)

    async def _write_packed(self, batch: Batch, outcome: Outcome) -> None:
        """Write the end of a batch; where that is not all of it, each of its runs has its own."""
        fresh, error = batch.packed, None
        if fresh is not None:
            try:
                async with self._gate.shared():
                    whole = await self._store.runs.settle_together(fresh, outcome)
            except NotSetUpError:
                raise
            except Exception as raised:  # noqa: BLE001  # it is logged, and the end not lost
                whole, error = False, raised
            except BaseException:  # cancelled with its program: whoever stops the worker goes on
                self._packed.appendleft((batch, outcome))
                self._wake.set()
                raise
            if whole:
                await self._follow_packed(batch, fresh, outcome)
                return
        self._runs.unpack(batch)
        pending = [RunSettlement.of(run, outcome) for run in batch.runs]
        if fresh is not None:  # some of it may be written
            self._runs.held.update(each.job.id for each in pending)
            for each in pending:
                each.sent = True
        if error is not None:
            await self._failed(pending, error)
        else:
            self._write_at_once(pending)

    async def _follow_packed(self, batch: Batch, fresh: Fresh, outcome: Outcome) -> None:
        if batch.packed is not None and self._count(batch.definition, fresh, outcome):
            self._trouble.end()
            self._runs.remove_packed(batch)
            return
        self._runs.unpack(batch)
        await self._follow([RunSettlement.of(run, outcome) for run in batch.runs])

    async def _try(self, batch: list[RunSettlement]) -> Verdict:
        async with self._gate.shared():
            for pending in batch:
                if pending.sent:
                    continue
                if pending.outcome.hold is not None:
                    await self._hold(pending.run, pending.outcome.hold)
                if pending.job is not pending.run.job:
                    pending.aim()
                pending.sent = True
            return await settle_once(self._store, batch)

    async def _hold(self, run: Run, seconds: float) -> None:
        """Let nothing that shares the rate of a run start, before the run itself is let go."""
        rate, name = run.definition.rate_limit, run.job.name
        lane = None if rate is None else lane_of(rate.group or name)
        if rate is not None and rate.key is not None:
            lane = None if run.job.rate_lane is None else lane_id(run.job.rate_lane)
        if lane is not None:
            await self._store.rates.hold(lane, min(seconds, RATE_PER_MAX), at_least=True)
        elif name not in self._without_rate:
            self._without_rate.add(name)
            self._logger.warning(
                "job %r raised RateLimited and has no rate: the others of its name are not held; "
                'write rate="100/m" where it is defined, or raise Snooze',
                name,
            )

    async def _failed(self, batch: list[RunSettlement], error: Exception) -> None:
        """Put a batch back whose fate nobody knows, and pause.

        Where the database does not answer, it is about no outcome. Whatever else it may be: it is
        looked for in halves, so that one that always fails keeps no other from being written.
        """
        (first, *others) = batch
        if isinstance(error, StoreUnavailableError):
            self._parts.appendleft(batch)
        elif others:
            half = len(batch) // 2
            self._parts.extendleft((batch[half:], batch[:half]))
        else:
            self._aside.append(self._to_try_next(first, error))
            self._aside_at = time.monotonic() + self._aside_trouble.meet(error, " of 1")
            return
        await asyncio.sleep(self._trouble.meet(error, f" of {len(batch)}"))

    def _to_try_next(self, pending: RunSettlement, error: Exception) -> RunSettlement:
        """Return what to write after one has failed alone: itself, for as long as it takes.

        What fails again and again by no error of the database may be about the outcome: the least
        that can be written is tried then. Where that fails too, it was not.
        """
        if pending.before is not None:
            pending.before.failures = 1
            return pending.before
        pending.failures += 1
        if pending.failures <= LONE_TRIES or not is_of_input(error):
            return pending
        least = RunSettlement.of(pending.run, last_resort(pending.outcome, repr(error)))
        least.failures, least.before = 1, pending
        return least

    def _write_at_once(self, pending: list[RunSettlement]) -> None:
        if pending:
            self._parts.appendleft(pending)

    async def _judge(self, batch: list[RunSettlement], verdict: Verdict) -> None:
        """Let go what was won or lost; write again what was moved, or refused, at once."""
        if len(verdict.won) == len(batch) and not verdict.refused:  # nearly always
            await self._follow(batch)
            return
        winners, again = list[RunSettlement](), list[RunSettlement]()
        for pending in batch:
            run = pending.run
            if run.job.id in verdict.won:
                winners.append(pending)
            elif run.job.id in verdict.refused:
                again += self._degraded(pending, verdict.refused[run.job.id])
            elif pending.has_moved:
                pending.sent = False
                again.append(pending)
            elif pending.before is not None:
                again.append(pending.before)
            else:
                self._lost(run)
        self._write_at_once(again)
        await self._follow(winners)

    def _degraded(self, pending: RunSettlement, why: str) -> list[RunSettlement]:
        """Return what is to be written instead of what the database cannot store."""
        run, outcome = pending.run, next_best(pending.outcome, why)
        self._logger.error(
            "job %r (%s) cannot be stored as it ended: %s", run.job.name, run.job.id, why
        )
        if outcome is not None:
            degraded = RunSettlement.of(run, outcome)
            degraded.before = pending.before
            return [degraded]
        self._logger.critical(
            "job %r (%s) cannot be stored at all: it stays running, and is not run again by this "
            "process; somebody must look at what refuses it",
            run.job.name,
            run.job.id,
        )
        self._runs.held.add(run.job.id)
        self._end(run, None)
        self._runs.remove(run)
        return []

    async def _follow(self, winners: list[RunSettlement]) -> None:
        """Report; no outcome waits for what that asks of the database."""
        plain = [each for each in winners if each.outcome.status not in _MAY_BE_KILLED]
        if plain:
            await self._report_and_release(plain)
        if len(plain) < len(winners):
            rest = [each for each in winners if each.outcome.status in _MAY_BE_KILLED]
            task = asyncio.get_running_loop().create_task(self._report_and_release(rest))
            self._following.add(task)
            task.add_done_callback(self._following.discard)

    async def _report_and_release(self, winners: list[RunSettlement]) -> None:
        try:
            await self._report(winners)
        except Exception:
            self._logger.exception("the report of %d ended jobs failed", len(winners))
        finally:
            for each in winners:
                if each.run.done is not None:
                    self._end(each.run, each.written())
            self._release(*[each.run for each in winners])

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
        self._runs.remove(*runs)
        for run in runs if self._runs.held else ():
            self._runs.release(run)
