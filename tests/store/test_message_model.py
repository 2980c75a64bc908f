"""The protocol of messages in all interleavings: whoever waits, whoever sends, and who dies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest


@dataclass(frozen=True)
class State:
    """How a waiter and a sender stand, each at its step, and what is written."""

    waiter: int = 0
    sender: int = 0
    waits: str = "not yet"
    is_sent: bool = False


@dataclass(frozen=True)
class Rules:
    """What is done."""

    looks: bool = True
    """Whoever waits looks for the message after that was written."""
    dies: bool = False
    """Either may die before each of its writes."""
    sweeps: bool = False
    """Somebody looks after both, once they are through."""


def following(state: State, rules: Rules) -> Iterator[State]:
    """Give each state that one step leads to."""
    woken = "woken" if state.waits == "parked" else state.waits
    if state.waiter == 0:
        yield replace(state, waiter=1, waits="parked")
    elif state.waiter == 1:
        found = rules.looks and state.is_sent
        yield replace(state, waiter=2, waits=woken if found else state.waits)
        if rules.dies:
            yield replace(state, waiter=2)
    if state.sender == 0:
        yield replace(state, sender=1, is_sent=True)
    elif state.sender == 1:
        yield replace(state, sender=2, waits=woken)
        if rules.dies:
            yield replace(state, sender=2)
    if rules.sweeps and state.waiter == state.sender == 2 and state.waits == "parked":
        yield replace(state, waits="woken")


def stalls(rules: Rules) -> int:
    """Return in how many ends it waits still, though the message was sent."""
    seen, todo, ends = {State()}, [State()], set[State]()
    while todo:
        state = todo.pop()
        after = set(following(state, rules))
        ends |= set() if after else {state}
        todo += after - seen
        seen |= after
    return sum(end.waits == "parked" for end in ends)


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (Rules(looks=False), 1),
        (Rules(), 0),
        (Rules(dies=True), 1),
        (Rules(dies=True, sweeps=True), 0),
    ],
    ids=["without a look", "with it", "who dies in between", "with the sweep"],
)
def test_nobody_waits_for_what_was_sent(rules: Rules, found: int) -> None:
    """Of a wait and a sending that race, one sees the other; the sweep does what the dead owed."""
    assert stalls(rules) == found
