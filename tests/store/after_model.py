"""A model of how a job begins to follow one that runs, and every state that it can get into.

Each operation of the database is one step on one document. A worker has claimed the parent before
anybody followed it, so its copy may be old; the attacher inserts the child, marks the parent, and
looks. What is looked for is a stall: everybody has finished, and the child waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """A variant of the protocol."""

    looks: bool = True
    """Who marked the parent and inserted the child looks whether the parent has ended."""
    fenced: bool = True
    """A settlement whose copy says that nobody follows misses where somebody does."""
    marks_first: bool = False
    """The parent is marked before the child is inserted."""
    crashes: bool = False
    """The attacher and the settler may die at any step."""
    sweeps: bool = False
    """Somebody looks, in the end, at what is waited for."""


@dataclass(frozen=True, slots=True)
class State:
    """Where everybody stands."""

    attached: int = 0
    """Steps that the attacher has done; 9: it is through, or dead."""
    settled: int = 0
    """The same of the worker of the parent."""
    child: Literal["none", "parked", "ready"] = "none"
    parent: Literal["running", "ended"] = "running"
    followed: bool = False
    copy: bool = False
    """What the worker believes of `followed`."""
    crashed: bool = False
    rescued: bool = False


Step: TypeAlias = Callable[[Rules, State], Iterable[State]]
_OVER = 9


class Found(NamedTuple):
    """What there is in all interleavings."""

    states: int
    ends: int
    stalls: int


def _insert(state: State) -> State:
    return replace(state, child="parked")


def _mark(state: State) -> State:
    return replace(state, followed=state.followed or state.parent == "running")


def attacher(rules: Rules, state: State) -> Iterable[State]:
    """Insert, mark, look, release: in one order or the other."""
    at = state.attached
    first, second = (_mark, _insert) if rules.marks_first else (_insert, _mark)
    if at == 0:
        yield replace(first(state), attached=1)
    elif at == 1:
        yield replace(second(state), attached=2)
    elif at == 2:  # the look
        ended = rules.looks and state.parent == "ended"
        yield replace(state, attached=3 if ended else _OVER)
    elif at == 3:  # the release
        yield replace(_released(state), attached=_OVER)
    if rules.crashes and not state.crashed and at != _OVER:
        yield replace(state, attached=_OVER, crashed=True)


def settler(rules: Rules, state: State) -> Iterable[State]:
    """Settle by the copy, by what was read again where that missed, then release."""
    at = state.settled
    if at == 0:  # the claim
        yield replace(state, settled=1, copy=state.followed)
    elif at == 1:
        if rules.fenced and state.followed and not state.copy:
            yield replace(state, copy=True)
        else:
            yield replace(state, settled=2 if state.copy else _OVER, parent="ended")
    elif at == 2:  # the release
        yield replace(_released(state), settled=_OVER)
    if rules.crashes and not state.crashed and at not in (0, _OVER):
        yield replace(state, settled=_OVER, crashed=True)


def rescuer(rules: Rules, state: State) -> Iterable[State]:
    """Settle what a dead worker left, by a copy of now."""
    del rules
    if state.settled == _OVER and state.parent == "running":
        yield replace(state, settled=1, copy=state.followed, rescued=True)


def sweep(rules: Rules, state: State) -> Iterable[State]:
    """Release whoever waits for what has ended, once all others are through."""
    through = state.attached == state.settled == _OVER
    if rules.sweeps and through and state.parent == "ended" and state.child == "parked":
        yield _released(state)


def _released(state: State) -> State:
    return replace(state, child="ready") if state.child == "parked" else state


def explore(rules: Rules) -> Found:
    """Go through all interleavings."""
    seen, todo, ends = {State()}, [State()], list[State]()
    steps: list[Step] = [attacher, settler, rescuer, sweep]
    while todo:
        state = todo.pop()
        reached = [after for step in steps for after in step(rules, state)]
        if not reached:
            ends.append(state)
        for after in reached:
            if after not in seen:
                seen.add(after)
                todo.append(after)
    return Found(len(seen), len(ends), sum(end.child == "parked" for end in ends))
