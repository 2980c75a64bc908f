"""Every interleaving of members that end, a member that adds another, and whoever seals the group.

Each database operation is one step. A member ends in two: it leaves (`open_in` goes), and it looks
whether anything is open in a sealed group; whoever finds nothing ends the group by a guarded write,
and then makes the callback. Whoever seals writes that and looks likewise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

State: TypeAlias = dict[str, str | bool | int]
Frozen: TypeAlias = tuple[tuple[str, str | bool | int], ...]
Actor: TypeAlias = Callable[[State], list[State]]

LATE = "m9"
"""The member that another one adds."""


def explore(start: State, actors: list[Actor]) -> tuple[int, list[State]]:
    """Return how many states there are, and those in which nobody has anything left to do."""
    seen, todo, ends = {_frozen(start)}, [start], []
    while todo:
        state = todo.pop()
        following = [after for actor in actors for after in actor(dict(state))]
        if not following:
            ends.append(state)
        for after in following:
            if _frozen(after) not in seen:
                seen.add(_frozen(after))
                todo.append(after)
    return len(seen), ends


def group(
    members: int, *, adds: bool, looks: bool = True, crashes: bool = False, sweeps: bool = False
) -> tuple[int, list[State]]:
    """Explore a group; `looks`: whether whoever seals looks afterwards.

    crashes: one actor may die between two of its writes. sweeps: somebody looks at last.
    """
    names = [f"m{i}" for i in range(members)]
    start: State = {
        **dict.fromkeys(names, "open"),
        LATE: "none",
        "sealer": "open",
        "sealed": False,
        "ended": False,
        "calls": 0,
        "called": False,
        "crashed": False,
    }
    actors = [_member(name, adds and name == "m0") for name in (*names, LATE)]
    actors.append(_sealer(looks=looks))
    if crashes:
        actors += [_dies(name) for name in (*names, LATE, "sealer")]
    if sweeps:
        actors.append(_sweep)
    return explore(start, actors)


def is_open(state: State) -> bool:
    """Tell whether any member is."""
    return any(value == "open" for name, value in state.items() if name.startswith("m"))


def _member(name: str, adds: bool) -> Actor:
    def steps(state: State) -> list[State]:
        following = []
        if state[name] == "open":
            if adds and state[LATE] == "none":
                following.append(state | {LATE: "open"})
            following.append(state | {name: "look"})
        following += _looking(state, name)
        return following

    return steps


def _sealer(*, looks: bool) -> Actor:
    def steps(state: State) -> list[State]:
        if state["sealer"] == "open":
            return [state | {"sealer": "look" if looks else "done", "sealed": True}]
        return _looking(state, "sealer")

    return steps


def _looking(state: State, name: str) -> list[State]:
    """Ask, write the end where it is still to be written, make the callback: three steps."""
    if state[name] == "look":
        free = state["sealed"] and not is_open(state)
        return [state | {name: "write" if free else "done"}]
    if state[name] == "write":
        if state["ended"]:
            return [state | {name: "done"}]
        return [state | {name: "call", "ended": True}]
    if state[name] == "call":
        return [state | {name: "done"} | _called(state)]
    return []


def _called(state: State) -> State:
    """Return what an insert of the callback changes: a second one is a duplicate of its id."""
    return {"called": True, "calls": int(state["calls"]) + (0 if state["called"] else 1)}


def _dies(name: str) -> Actor:
    def steps(state: State) -> list[State]:
        if state["crashed"] or state[name] not in ("look", "write", "call"):
            return []
        return [state | {name: "done", "crashed": True}]

    return steps


def _sweep(state: State) -> list[State]:
    """Look at a sealed group that has not ended, and do what is owed for one that has."""
    if state["ended"] and not state["called"]:
        return [state | _called(state)]
    if state["sealed"] and not state["ended"] and not is_open(state):
        return [state | {"ended": True}]
    return []


def _frozen(state: State) -> Frozen:
    return tuple(sorted(state.items()))


def ends_of(state: State) -> Iterator[str]:
    """Give what is wrong with a state in which everybody has finished."""
    if state["calls"] != 1:
        yield f"called {state['calls']} times"
    if is_open(state):
        yield "a member is open"
