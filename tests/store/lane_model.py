"""A model of the protocol of lanes, and every state that it can get into.

Each operation of the database is one step on one job, guarded by its state, as on MongoDB; a slot
that somebody has cannot be taken, as by a unique index. Workers take turns in any order, and may
die at any step; jobs come at any time. What is looked for: two holders of one slot, more running
than the limit, a job of an ordered lane (its limit is 1) that starts before an earlier one has
ended, and a stall: nothing can move any more, and a job waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

Job: TypeAlias = tuple[str | int, ...]
"""("absent",), ("ready",), ("parked",), ("admitted", slot), ("running", slot, worker), ("done",)"""
Step: TypeAlias = tuple[str | int, ...]
"""What a worker does next, with what it knows."""

ABSENT, READY, PARKED, DONE, IDLE = ("absent",), ("ready",), ("parked",), ("done",), ("idle",)
NEXT, RECHECK, DEAD = ("next",), ("recheck",), ("dead",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A variant of the protocol, and how many take part."""

    jobs: int = 3
    workers: int = 2
    limit: int = 1
    crashes: int = 0
    for_the_head: bool = False
    """A slot is taken for the job that was met, and not for the lane's next."""
    rechecks: bool = True
    """Who parked a job looks whether a slot is free now."""
    sweeps: bool = False
    keeps: bool = False
    """A job that is rescued keeps its slot while it waits to run again."""


class State(NamedTuple):
    """Where everybody stands."""

    jobs: tuple[Job, ...]
    workers: tuple[Step, ...]
    crashes_left: int
    crashed: bool

    def with_job(self, number: int, job: Job) -> State:
        """Return this with another state of a job."""
        return self._replace(jobs=(*self.jobs[:number], job, *self.jobs[number + 1 :]))

    def with_step(self, worker: int, step: Step) -> State:
        """Return this with another step of a worker."""
        workers = (*self.workers[:worker], step, *self.workers[worker + 1 :])
        return self._replace(workers=workers)

    @property
    def taken(self) -> list[int]:
        """The slots that somebody has."""
        return [int(job[1]) for job in self.jobs if job[0] in ("admitted", "running")]

    @property
    def running(self) -> int:
        """How many jobs run."""
        return sum(job[0] == "running" for job in self.jobs)

    def first(self, *kinds: str) -> int | None:
        """Return the first job in one of these states."""
        return next((n for n, job in enumerate(self.jobs) if job[0] in kinds), None)

    def runs_of(self, worker: int) -> list[int]:
        """Return the jobs that a worker runs."""
        return [n for n, job in enumerate(self.jobs) if job[0] == "running" and job[2] == worker]


@dataclass(slots=True)
class Found:
    """What all the states together have shown."""

    states: int = 0
    over_limit: int = 0
    out_of_order: int = 0
    stalls: int = 0


class Explorer:
    """Goes through all states of one variant."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._found = Found()

    def explore(self) -> Found:
        """Return what was found."""
        rules = self._rules
        start = State((ABSENT,) * rules.jobs, (IDLE,) * rules.workers, rules.crashes, False)
        seen, queue = {start}, deque([start])
        while queue:
            state = queue.popleft()
            self._judge(state)
            following = list(self._following(state)) or list(self._swept(state))
            if not following and any(job != DONE for job in state.jobs):
                self._found.stalls += 1
            for each in following:
                if each not in seen:
                    seen.add(each)
                    queue.append(each)
        self._found.states = len(seen)
        return self._found

    def _judge(self, state: State) -> None:
        taken = state.taken
        if len(set(taken)) != len(taken) or state.running > self._rules.limit:
            self._found.over_limit += 1

    def _following(self, state: State) -> Iterator[State]:
        """Give every state that one step leads to."""
        arriving = state.first("absent")
        if arriving is not None:
            yield state.with_job(arriving, READY)
        for worker, step in enumerate(state.workers):
            if step == DEAD:
                yield self._rescued(state, worker)
                continue
            if state.crashes_left and (step != IDLE or state.runs_of(worker)):
                dead = state.with_step(worker, DEAD)
                yield dead._replace(crashes_left=state.crashes_left - 1, crashed=True)
            yield from getattr(self, f"_{step[0]}")(state, worker, *step[1:])

    def _rescued(self, state: State, worker: int) -> State:
        """Let a run of a dead worker wait again; whoever does so hands its slot over."""
        runs = state.runs_of(worker)
        if not runs:
            return state.with_step(worker, IDLE)  # nobody knows what else it was about to do
        slot = state.jobs[runs[0]][1]
        back: Job = ("admitted", slot) if self._rules.keeps else READY
        return state.with_job(runs[0], back).with_step(worker, NEXT)

    def _idle(self, state: State, worker: int) -> Iterator[State]:
        """Meet the job at the head of the line, or end one of its own runs."""
        head = state.first("ready", "admitted")
        if head is not None:
            admitted = state.jobs[head][0] == "admitted"
            yield state.with_step(worker, ("take" if admitted else "lane", head))
        for number in state.runs_of(worker):
            yield state.with_job(number, DONE).with_step(worker, NEXT)

    def _take(self, state: State, worker: int, number: int) -> Iterator[State]:
        """Start a job that has its slot."""
        job = state.jobs[number]
        if job[0] == "admitted":
            yield self._started(state, number, int(job[1]), worker)
        else:
            yield state.with_step(worker, IDLE)

    def _lane(self, state: State, worker: int, head: int) -> Iterator[State]:
        """Look whose turn it is in the lane of the job that was met."""
        turn = head if self._rules.for_the_head else state.first("ready", "parked")
        yield state.with_step(worker, IDLE if turn is None else ("slot", head, turn, 0))

    def _slot(self, state: State, worker: int, head: int, turn: int, slot: int) -> Iterator[State]:
        """Try one slot after the other."""
        if state.jobs[turn] not in (READY, PARKED):
            yield state.with_step(worker, IDLE)
        elif slot == self._rules.limit:
            yield state.with_step(worker, ("park", head))
        elif slot in state.taken:
            yield state.with_step(worker, ("slot", head, turn, slot + 1))
        else:
            yield self._started(state, turn, slot, worker)

    def _park(self, state: State, worker: int, number: int) -> Iterator[State]:
        """Park the job that was met."""
        parked = state.with_job(number, PARKED) if state.jobs[number] == READY else state
        yield parked.with_step(worker, RECHECK if self._rules.rechecks else IDLE)

    def _recheck(self, state: State, worker: int) -> Iterator[State]:
        """Look whether a slot is free by now."""
        free = len(state.taken) < self._rules.limit
        yield state.with_step(worker, NEXT if free else IDLE)

    def _next(self, state: State, worker: int) -> Iterator[State]:
        """Look for whom a slot is that is free."""
        kinds = ("parked",) if self._rules.for_the_head else ("ready", "parked")
        turn = state.first(*kinds)
        yield state.with_step(worker, IDLE if turn is None else ("give", turn, 0))

    def _give(self, state: State, worker: int, turn: int, slot: int) -> Iterator[State]:
        """Hand a slot over: try one after the other."""
        if state.jobs[turn] not in (READY, PARKED):
            yield state.with_step(worker, NEXT)
        elif slot == self._rules.limit:
            yield state.with_step(worker, IDLE)
        elif slot in state.taken:
            yield state.with_step(worker, ("give", turn, slot + 1))
        else:
            yield state.with_job(turn, ("admitted", slot)).with_step(worker, RECHECK)

    def _started(self, state: State, number: int, slot: int, worker: int) -> State:
        if self._rules.limit == 1 and any(job != DONE for job in state.jobs[:number]):
            self._found.out_of_order += 1
        running = state.with_job(number, ("running", slot, worker))
        return running.with_step(worker, IDLE)

    def _swept(self, state: State) -> Iterator[State]:
        """Admit what waits while a slot is free."""
        turn = state.first("ready", "parked")
        free = set(range(self._rules.limit)) - set(state.taken)
        if self._rules.sweeps and free and turn is not None:
            yield state.with_job(turn, ("admitted", min(free)))
