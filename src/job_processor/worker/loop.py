"""Claims what is due for the free slots, starts it, and waits until there may be more."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import ceil, inf

from bson import ObjectId

from job_processor.crons.misfire import is_missed
from job_processor.errors import NotSetUpError
from job_processor.events import Event, EventKind
from job_processor.handlers.abort import AbortController, AbortReason, AbortSignal
from job_processor.handlers.definitions import CronDef, Definition
from job_processor.models import Job
from job_processor.settings import AGEING_INTERVAL, CLAIM_NAMES
from job_processor.store.contention import ON, OVERDUE_PAUSE
from job_processor.store.fresh import Fresh
from job_processor.store.hints import Hint
from job_processor.store.lanes import LaneClaim
from job_processor.store.requests import Claim
from job_processor.tasks import Trouble, set_within
from job_processor.worker.asks import Ask, Asks
from job_processor.worker.engine import Engine
from job_processor.worker.freed_slots import FreedSlots
from job_processor.worker.outcomes import give_back, is_expired, killed_unbegun
from job_processor.worker.pauses import PauseWatch
from job_processor.worker.rate_watch import RateWatch
from job_processor.worker.rates import Batch, Rates
from job_processor.worker.reconciler import Reconciler
from job_processor.worker.starts import used_up, warn_of_clocks


class ClaimLoop:
    """The worker's main loop; the reconciler is told of claims whose fate is unknown."""

    def __init__(
        self, engine: Engine, pauses: PauseWatch, rates: RateWatch, reconciler: Reconciler
    ) -> None:
        self._engine = engine
        self._pauses = pauses
        self._rates = Rates(engine, rates, pauses)
        pauses.on_changed(self._on_names_changed)
        rates.on_changed(self._on_names_changed)
        self._asks = Asks(engine)
        self._freed = FreedSlots(self._on_names_changed)
        self._reconciler = reconciler
        self._stop = AbortController().signal
        self._wake = asyncio.Event()
        self._rotation = 0
        self._next_look_for_the_overdue = 0.0
        # What it knows from one turn to the next, each a reason to ask the database again or not:
        # an idle worker asks only when it is told to, or when something falls due.
        self._wants_slots = True
        """True when the last turn left something due for want of slots: the next slot that is free
        is to be filled at once. False when nothing was due: then the end of a run is no reason to
        claim, and a lone job costs one claim and not two. A burst always wants to know."""
        self._expects_one = False
        """True when nothing was due until a hint came: there is probably a single job. It holds for
        one claim, which asks for one; where that brings it, the next turn asks for all."""
        self._look_ahead = True
        """True when the next due time may have changed since it was read: something was claimed, a
        hint came, or other names are served. Otherwise the question would be in vain."""
        self._next_due: datetime | None = None
        self._last_work = -inf
        """When a job was claimed last, by the monotonic clock."""
        self._is_full = False
        """True when the last turn left names out of which this worker runs as many as it may."""
        self._met_suspect = False
        """True from a claim that brought one that crashed before until it has ended: there may be
        more. From then on such run one at a time, so that it is known which one takes the worker
        down."""
        self._apart: set[ObjectId] = set()
        """Others that were claimed beside it, as in lanes, and were given back to wait for that."""
        self._overdue_pause = OVERDUE_PAUSE
        """Seconds until the next look at what is due and yet not to be had: longer after each look
        in vain, and short again once there is news."""

    async def run(self, stop: AbortSignal, *, burst: bool) -> None:
        """Work until `stop` is aborted or, with `burst`, until nothing is due and nothing runs."""
        engine, trouble = self._engine, Trouble(self._engine.logger, "claim")
        self._stop = stop
        engine.executor.claimer = asyncio.current_task()
        forgets = (
            engine.store.subscribe(self._on_hint, ends=self._waits_for_slots()),
            engine.runs.on_changed(self._on_slots),
            stop.on_abort(self._wake_from_any_thread()),
        )
        try:
            while not stop.aborted:
                # Before the claim, not after it: what comes while the claim is on its way ends the
                # wait that follows, and nothing is slept through.
                self._wake.clear()
                idle = engine.runs.of_worker == 0  # what ends during the claim may be due again
                try:
                    await engine.lease.hold()
                    exhausted = await self._fill_slots()
                except NotSetUpError:
                    raise
                except Exception as error:  # noqa: BLE001  # it is logged
                    await self._until_stopped(trouble.meet(error))
                    continue
                trouble.end()
                self._wants_slots = burst or not exhausted or self._is_full
                if burst and exhausted:
                    engine.executor.batches.begin_all()
                if burst and exhausted and idle and await self._is_done():
                    return
                await self._wait(exhausted)
        finally:
            engine.executor.batches.give_back()
            for forget in forgets:
                forget()
            self._freed.stop()

    def _waits_for_slots(self) -> bool:
        """True where what others settle matters: it may free a slot of a limit."""
        registry = self._engine.registry
        return bool(registry.limits or registry.keyed_rates)

    async def _until_stopped(self, seconds: float) -> None:
        """Pause for so many seconds, unless this is told to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _is_done(self) -> bool:
        """True when nothing runs, not even unknown to us, and no rate lets more start soon."""
        if self._engine.runs.of_worker > 0 or self._reconciler.is_due:
            return False
        return not await self._rates.is_worth_waiting()

    def _wake_from_any_thread(self) -> Callable[[], object]:
        loop = asyncio.get_running_loop()
        return lambda: loop.call_soon_threadsafe(self._wake.set)

    def _on_slots(self) -> None:
        if self._wants_slots or (self._met_suspect and not self._engine.runs.has_suspect):
            self._wake.set()

    def _on_hint(self, hint: Hint) -> None:
        if hint & Hint.WORK:
            self._look_ahead, self._overdue_pause = True, OVERDUE_PAUSE
            one_first = ON.one_first and self._engine.store.abilities.claims_one_sooner
            self._expects_one = one_first and not self._wants_slots
            self._wake.set()
        else:
            self._freed.on_hint(hint)

    def on_limits_changed(self) -> None:
        """Look again: more may run now, or less."""
        self._asks.forget()
        self._on_names_changed()

    def _on_names_changed(self) -> None:
        self._look_ahead = True
        self._wake.set()

    def _names(self) -> tuple[str, ...]:
        """Return the names that this worker may claim at present."""
        engine = self._engine
        return self._pauses.without_paused(engine.registry.served(engine.settings.worker_tags))

    async def _fill_slots(self) -> bool:
        """Claim for every free slot and start what came; True when nothing more is due."""
        batches = self._rates.plain(self._names())
        if self._rates.lanes:
            batches = [*batches, *await self._rates.open_batches(self._names())]
        asks = [(batch, ask) for batch in batches for ask in self._asks.of(batch.names)]
        self._rotation += 1
        self._is_full = False
        self._freed.begin(of_lanes=any(ask.of_lanes for _, ask in asks))
        exhausted = await self._claim_all(asks)
        self._freed.end()
        return exhausted

    async def _claim_all(self, asks: Sequence[tuple[Batch, Ask]]) -> bool:
        """Make these claims, one after the other; True when none may bring more."""
        engine = self._engine
        expects_one, self._expects_one = self._expects_one, False
        for i in range(len(asks)):
            batch, ask = asks[(i + self._rotation) % len(asks)]
            slots = engine.runs.free_slots(engine.settings.concurrency)
            if slots <= 0 and not engine.executor.batches.any_open:
                return False
            free = self._asks.free(ask)
            if free <= 0:  # of its own limit, or there is room in another one's batch alone
                self._is_full = True
                continue
            limit = 1 if expects_one and ask.batch is None else free
            if batch.lane is not None:
                limit = await self._rates.reserve(batch, batch.lane, limit)
            if limit and await self._claim_batch(batch, ask, limit):
                return False
        return True

    async def _claim_batch(self, batch: Batch, ask: Ask, limit: int) -> bool:
        """Claim so many of a batch and start them; True when there may be more of them."""
        claimed, batch.more = 0, False
        if not ask.of_lanes and self._looks_for_the_overdue():
            claimed = await self._claim(batch, ask, limit, self._engine.settings.ageing)
        if claimed < limit:
            claimed += await self._claim(batch, ask, limit - claimed)
        if claimed:
            self._look_ahead, self._overdue_pause = True, OVERDUE_PAUSE
            self._last_work = time.monotonic()
        if batch.lane is not None:
            await self._rates.give_back(batch, batch.lane, more=claimed == limit)
        return batch.more or (claimed == limit and ask.amount is None)

    def _looks_for_the_overdue(self) -> bool:
        """True now and then, where there is a limit to waiting."""
        now = time.monotonic()
        if self._engine.settings.ageing is None or now < self._next_look_for_the_overdue:
            return False
        self._next_look_for_the_overdue = now + AGEING_INTERVAL
        return True

    async def _claim(
        self, batch: Batch, ask: Ask, limit: int, waiting_for: float | None = None
    ) -> int:
        """Claim and start; return how many. No change of our id gets in between.

        Raises StoreUnavailableError after a claim so slow that what it brought may be taken away.
        """
        engine = self._engine
        if self._met_suspect and not engine.runs.has_suspect:
            self._met_suspect = False
            self._apart.clear()
        had_met = self._met_suspect
        async with engine.gate.shared():
            now = engine.clock.now()
            try:
                jobs = await self._take(batch, ask, limit, now, waiting_for)
                engine.lease.check()  # the claim may have taken longer than our heartbeats last
                if isinstance(jobs, Fresh) and self._start_packed(jobs, batch):
                    return len(jobs)
                strays = self._asks.without_lane(jobs, now, of_lanes=ask.of_lanes)
                if strays:
                    of_lanes = {job.id for job, _ in strays}
                    jobs = [job for job in jobs if job.id not in of_lanes]
                ours, surplus = self._sorted_out(jobs)
                if self._met_suspect > had_met or any(job.crashes for job, _ in strays):
                    batch.more = True  # another one may have stood before what is due and begins
                again = [job for job in ours if job.was_held]
                for job in [job for job in ours if not job.was_held] if again else ours:
                    self._start(job, now, batch)
                await self._start_again(again, now, batch)
                await self._reconciler.give_back(surplus)
                await self._asks.enrol(strays)
            except BaseException:
                self._reconciler.look_soon()  # it may have happened all the same
                raise
        return len(jobs) + len(strays)

    async def _take(
        self, batch: Batch, ask: Ask, limit: int, now: datetime, waiting_for: float | None
    ) -> Sequence[Job]:
        """Claim what an ask is for."""
        engine = self._engine
        exclude = frozenset(engine.runs.held.union(self._apart))
        if ask.of_lanes:
            taken = await engine.store.lanes.claim(
                LaneClaim(engine.worker_id, ask.names, limit, now, exclude, ask.others)
            )
            self._freed.claimed(left=taken.blocked)
            self._look_ahead = self._look_ahead or taken.moved
            batch.refused, batch.more = taken.refused, taken.more
            warn_of_clocks(engine)
            return taken.jobs
        claim = Claim(
            worker_id=engine.worker_id,
            names=ask.names,
            limit=limit,
            now=now,
            exclude=exclude,
            overdue_since=now - timedelta(seconds=waiting_for) if waiting_for else None,
            together=ask.batch is not None,
            suspects=not self._met_suspect,
        )
        return await engine.store.queue.claim(claim)

    def _start_packed(self, jobs: Fresh, batch: Batch) -> bool:
        """Start jobs of a batch as one; False where any of them is to be judged by itself."""
        engine = self._engine
        definition = engine.registry.get(jobs.name)
        starts = (
            definition is not None
            and not self._stop.aborted
            and batch.lane is None
            and not self._asks.limited([jobs.name])
            and engine.executor.batches.takes_packed(jobs.name, definition)
            and not engine.runs.holds_any(jobs)
        )
        if definition is not None and starts:
            engine.executor.batches.add_packed(jobs, definition)
        return starts

    def _sorted_out(self, jobs: Sequence[Job]) -> tuple[Sequence[Job], Sequence[Job]]:
        """Return what of a claim may begin, and what has to wait again."""
        ours, surplus = list[Job](), list[Job]()
        stopped = self._stop.aborted
        for job in jobs:
            waits = self._is_here_still(job) or stopped
            if not waits and job.crashes:
                waits = self._is_one_too_many(job, ours)
            (surplus if waits else ours).append(job)
        return ours, surplus

    def _is_one_too_many(self, suspect: Job, ours: Sequence[Job]) -> bool:
        """True for a job that crashed before, where such a one runs here or is to begin."""
        self._met_suspect = True
        waits = self._engine.runs.has_suspect or any(each.crashes for each in ours)
        if waits:
            self._apart.add(suspect.id)
        return waits

    def _is_here_still(self, job: Job) -> bool:
        """True for a claimed job of which this process has a run still, that it is to let go.

        Somebody has taken it away, or has sent it round again while its end was being reported.
        """
        engine = self._engine
        former = engine.runs.get(job.id)
        if former is not None:
            engine.runs.held.add(job.id)  # until it is let go
            if former.reason is not AbortReason.LOST:
                engine.executor.ladder.abort(former, AbortReason.LOST, grace=0)
        held = engine.runs.held
        return bool(held) and job.id in held

    def _start(self, job: Job, now: datetime, batch: Batch) -> None:
        """Start a job claimed at `now`; its `updated_at` is later where a clock was wrong."""
        engine = self._engine
        definition = engine.registry.get(job.name)
        assert definition is not None  # noqa: S101  # only names of the registry are claimed
        if engine.events.listeners.all:
            engine.events.emit(Event(EventKind.CLAIMED, engine.worker_id, job))
        if self._is_skipped(job, definition, now):
            engine.executor.skip(job, definition)
        elif is_expired(job, now):
            engine.executor.skip(job, definition, told="expired before a worker was free")
        elif (wait := batch.refuses(job)) is not None:
            self._refuse(job, definition, wait)
        else:
            engine.executor.start(job, definition)

    def _is_skipped(self, job: Job, definition: Definition, now: datetime) -> bool:
        """True for a missed occurrence whose cron skips such; all that are missed are counted."""
        if job.type != "cron_task":
            return False
        engine = self._engine
        if not is_missed(job, definition, engine.settings.timezone, now):
            return False
        engine.tally.add_missed(job.name, 1, now)
        return isinstance(definition, CronDef) and definition.misfire == "skip"

    def _refuse(self, job: Job, definition: Definition, wait: timedelta) -> None:
        """Skip what its rate does not let start now; what began before waits until it may."""
        engine = self._engine
        if not job.ran_before:
            rate = self._rates.present(definition, job.name)
            engine.executor.skip(job, definition, told=used_up(rate))
            return
        at = engine.clock.now()
        outcome = replace(give_back(job, at), scheduled_for=at + wait)
        engine.executor.settle_unbegun(job, definition, outcome)

    async def _start_again(self, jobs: Sequence[Job], now: datetime, batch: Batch) -> None:
        """Start what a worker held before, unless somebody asked to kill it in its former life."""
        if not jobs:
            return
        engine = self._engine
        asked = await engine.store.kills.requested([job.id for job in jobs])
        for job in jobs:
            definition = engine.registry.get(job.name)
            if job.id in asked and definition is not None:
                engine.executor.settle_unbegun(job, definition, killed_unbegun(engine.clock.now()))
            else:
                self._start(job, now, batch)

    async def _wait(self, exhausted: bool) -> None:
        """Wait for a free slot, or when nothing is due for a hint, the next due time, the sweep."""
        if not exhausted:
            if self._engine.runs.free_slots(self._engine.settings.concurrency) <= 0:
                await self._wake.wait()
            return
        if self._look_ahead and not self._wake.is_set():
            self._look_ahead = False
            try:
                self._next_due = await self._find_next_due()
            except NotSetUpError:
                raise
            except Exception:  # noqa: BLE001  # a claim that fails as well says so
                self._look_ahead = True
        seconds = self._until_next_due()
        await self._pause(min(seconds, self._rates.until_next()) if self._rates.lanes else seconds)

    async def _find_next_due(self) -> datetime | None:
        names = self._names()
        if self._rates.lanes:
            names = self._rates.open_names(names)
        if not names:
            return None
        engine, full = self._engine, self._asks.full(names)
        open_names = tuple(name for name in names if name not in full) if full else names
        due = await engine.store.queue.next_due(open_names)
        limited = self._asks.limited(names)
        if not limited:
            return due
        after = engine.clock.now() if self._freed.awaited else None
        ready = await engine.store.lanes.next_ready(limited, after)
        return min((each for each in (due, ready) if each is not None), default=None)

    def _until_next_due(self) -> float:
        """Return the seconds to wait: until the next due time, at most until the sweep."""
        interval = self._sweep()
        if self._next_due is None:
            return interval
        seconds = (self._next_due - self._engine.clock.now()).total_seconds()
        if seconds <= 0:  # due, and yet not ours to claim: others have it, or we must not yet
            self._look_ahead = self._wants_slots = True
            seconds = self._overdue_pause
            self._overdue_pause = ON.after_vain(seconds, interval)
        return min(seconds, interval)

    def _sweep(self) -> float:
        """Return the seconds until a look without a hint; fewer where hints are late."""
        engine = self._engine
        interval = engine.settings.poll_interval
        if engine.store.abilities.hints_are_prompt:
            return interval
        idle = time.monotonic() - self._last_work
        return ON.sweep(idle, interval, questions=ceil(len(self._names()) / CLAIM_NAMES))

    async def _pause(self, seconds: float) -> None:
        await set_within(self._wake, seconds)
