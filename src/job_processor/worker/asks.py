"""What a worker asks the database for: which names in one claim, and how many of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

from job_processor.errors import InvalidArgumentError
from job_processor.models import CronTask, Job, Lane, SimpleJob
from job_processor.node.rules import refuses_own_fields
from job_processor.settings import CLAIM_NAMES
from job_processor.store.requests import Outcome, Settlement
from job_processor.worker.engine import Engine
from job_processor.worker.outcomes import give_back, is_expired

_KNOWN = 1000  # tuples of names that are remembered


@dataclass(frozen=True, slots=True)
class Ask:
    """One claim."""

    names: tuple[str, ...]
    of_lanes: bool = False
    """True for jobs that stand in the lines of lanes, False for all others."""
    others: bool = False
    """True for all others of these names as well."""
    amount: int | None = None
    """How many of these this worker may run at a time; None: as many as it has slots."""
    batch: int | None = None
    """How many of them one call of their handler takes; None: they are run one by one."""


class Lanes(NamedTuple):
    """What a job waits in."""

    limit: Lane | None = None
    rate: str | None = None


_NO_LANES = Lanes()


class Asks:
    """Parts the names that a worker may claim by what limits them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[int, tuple[tuple[str, ...], list[Ask]]] = {}
        """By the identity of the names, which are the same from one turn to the next."""

    def of(self, names: tuple[str, ...]) -> list[Ask]:
        """Return the claims for these names."""
        known = self._known.get(id(names))
        if known is not None and known[0] is names:
            return known[1]
        if len(self._known) > _KNOWN:
            self._known.clear()
        asks = self._parted(names)
        self._known[id(names)] = (names, asks)
        return asks

    def forget(self) -> None:
        """Part all names anew: a limit has changed."""
        self._known.clear()

    def full(self, names: tuple[str, ...]) -> set[str]:
        """Return those of the names of which this worker runs as many as it may."""
        return {
            name
            for ask in self.of(names)
            if ask.amount is not None and self.free(ask) <= 0
            for name in ask.names
        }

    def limited(self, names: Collection[str]) -> list[str]:
        """Return those of the names whose jobs stand in the lines of lanes.

        They have a limit wherever they run, or a rate with a key.
        """
        registry = self._engine.registry
        if not registry.limits and not registry.keyed_rates:
            return []
        return [name for name in names if registry.limited(name) or registry.keyed_rate(name)]

    def free(self, ask: Ask) -> int:
        """Return how many of an ask may begin here."""
        engine = self._engine
        free = engine.runs.free_slots(engine.settings.concurrency)
        if ask.batch is not None:
            free = engine.executor.batches.room(ask.names[0], ask.batch, free)
        if ask.amount is None:
            return free
        names = set(ask.names)
        running = sum(run.of_worker and run.job.name in names for run in engine.runs)
        return min(free, ask.amount - running)

    def _parted(self, names: tuple[str, ...]) -> list[Ask]:
        groups: dict[str, list[str]] = {}
        amounts: dict[str, int] = {}
        others: list[str] = []
        limited = self.limited(names)
        by_lanes = set(limited) if self._brings_all else set[str]()
        for name in names:
            here = self._engine.registry.per_worker(name)
            if here is None and name not in by_lanes:
                others.append(name)
            elif here is None:
                continue
            else:
                groups.setdefault(here[0], []).append(name)
                amounts[here[0]] = self._engine.store.lanes.book.set.get(*here)
        asks = self._asks(others)
        asks += self._asks(limited, of_lanes=True, others=self._brings_all)
        for group, of_group in groups.items():
            asks += self._asks(of_group, amount=amounts[group])
        return asks

    @property
    def _brings_all(self) -> bool:
        """True where nothing is asked but of lanes for names whose jobs wait there.

        The longest wait is looked for outside of them only.
        """
        engine = self._engine
        return engine.store.abilities.lanes_bring_all and engine.settings.ageing is None

    def _asks(self, names: Sequence[str], **of_all: Any) -> list[Ask]:
        """Return the claims for these names, each that is run in batches by itself."""
        sizes = {name: definition.batch for name, definition in self._engine.registry}
        alone = [name for name in names if sizes.get(name) is None]
        asks = [Ask(part, **of_all) for part in _parts(alone)]
        batched = [name for name in names if sizes.get(name) is not None]
        return [*asks, *(Ask((name,), batch=sizes[name], **of_all) for name in batched)]

    # --- jobs that are claimed without their lane -----------------------------------------------

    def without_lane(
        self, jobs: Sequence[Job], now: datetime, *, of_lanes: bool
    ) -> list[tuple[Job, Lanes]]:
        """Return those claimed at `now` that should wait in a lane, each with those that it is of.

        Whoever made them knew no limit: an occurrence of a cron, a job of a process that does not
        define one, or one that stood in the queue before there was one. What expired is to end.
        """
        engine = self._engine
        registry = engine.registry
        if not registry.limits and not registry.keyed_rates:
            return []
        if refuses_own_fields(engine.store):
            return []
        if not registry.keyed_rates and None not in [job.slot for job in jobs]:
            return []
        unexpired = (job for job in jobs if not is_expired(job, now))
        found = ((job, self._missing(job, of_lanes=of_lanes)) for job in unexpired)
        return [(job, lanes) for job, lanes in found if lanes != _NO_LANES]

    async def enrol(self, found: Sequence[tuple[Job, Lanes]]) -> None:
        """Running, unbegun → waiting in its lane; raises StoreError."""
        if not found:
            return
        engine, now = self._engine, self._engine.clock.now()
        ends = [
            Settlement(job, _in_lanes(job, lanes, give_back(job, now)), engine.worker_id)
            for job, lanes in found
        ]
        await engine.store.runs.settle(ends)

    def _missing(self, job: Job, *, of_lanes: bool) -> Lanes:
        """Return what a job was claimed without; one that came by its lanes lacks no other."""
        limited = job.slot is not None or (of_lanes and job.lane is not None)
        rated = of_lanes and job.rate_lane is not None
        return Lanes(
            None if limited else self._lane_of(job), None if rated else self._rate_lane_of(job)
        )

    def _rate_lane_of(self, job: Job) -> str | None:
        rate = self._engine.registry.keyed_rate(job.name)
        if rate is None:
            return None
        if job.rate_lane is not None:
            return job.rate_lane
        try:
            return rate.lane_of(job.name, job.payload if isinstance(job, SimpleJob) else None)
        except InvalidArgumentError as error:
            self._engine.logger.warning(
                "job %r (%s) starts without a rate: %s", job.name, job.id, error
            )
            return None

    def _lane_of(self, job: Job) -> Lane | None:
        limit = self._engine.registry.limited(job.name)
        if limit is None:
            return None
        if job.lane is not None:
            return Lane(job.lane, job.ordered)
        payload = job.payload if isinstance(job, SimpleJob) else None
        try:
            return limit.lane_of(job.name, payload)
        except InvalidArgumentError as error:
            self._engine.logger.warning(
                "job %r (%s) runs without a limit: %s", job.name, job.id, error
            )
            return None


def _in_lanes(job: Job, lanes: Lanes, outcome: Outcome) -> Outcome:
    # The time of an occurrence is noted as its planned one, so that it is not taken for one that
    # a later definition of its cron has left behind.
    time = job.scheduled_for if isinstance(job, CronTask) else None
    return replace(outcome, lane=lanes.limit, rate_lane=lanes.rate, scheduled_for=time)


def _parts(names: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(names[i : i + CLAIM_NAMES]) for i in range(0, len(names), CLAIM_NAMES)]
