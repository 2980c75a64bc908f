"""Listeners, which each know only how to take themselves out."""

from __future__ import annotations

from job_processor.listeners import Listeners


def test_each_takes_out_itself_alone() -> None:
    """The same listener added twice is there twice; what ends one leaves the other, also twice."""
    listeners: Listeners[str] = Listeners()
    forget = listeners.add("a")
    listeners.add("b")
    listeners.add("a")
    assert list(listeners.all) == ["a", "b", "a"]
    forget()
    forget()
    assert list(listeners.all) == ["b", "a"]


def test_they_may_change_while_they_are_walked_through() -> None:
    """Who is told first may take out another one: who began to tell tells that one still."""
    listeners: Listeners[str] = Listeners()
    forget = [listeners.add(name) for name in "abc"]
    told = []
    for each in listeners.all:
        told.append(each)
        forget[1]()
    assert told == ["a", "b", "c"]
    assert listeners.all == ("a", "c")
