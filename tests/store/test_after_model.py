"""How a job begins to follow another, in all interleavings, and what each rule is for."""

from __future__ import annotations

import pytest

from tests.store.after_model import Rules, explore


@pytest.mark.parametrize("marks_first", [False, True], ids=["insert first", "mark first"])
@pytest.mark.parametrize(("looks", "fenced"), [(True, False), (False, True), (False, False)])
def test_what_a_rule_is_for(looks: bool, fenced: bool, marks_first: bool) -> None:
    """Without the look, or without the fence, a child waits for ever in some interleaving."""
    assert explore(Rules(looks=looks, fenced=fenced, marks_first=marks_first)).stalls > 0


@pytest.mark.parametrize("marks_first", [False, True], ids=["insert first", "mark first"])
def test_nothing_stands(marks_first: bool) -> None:
    """With both, in no interleaving, whichever of the two writes comes first."""
    found = explore(Rules(marks_first=marks_first))
    assert found.stalls == 0
    assert found.ends > 1


@pytest.mark.parametrize("marks_first", [False, True], ids=["insert first", "mark first"])
def test_what_the_sweep_is_for(marks_first: bool) -> None:
    """Of those that die between two writes it does the rest: without it a child stands."""
    assert explore(Rules(marks_first=marks_first, crashes=True)).stalls > 0
    assert explore(Rules(marks_first=marks_first, crashes=True, sweeps=True)).stalls == 0


def test_the_numbers_of_the_design() -> None:
    """Those that were found when the protocol was chosen."""
    stalls = {
        (looks, fenced): explore(Rules(looks=looks, fenced=fenced)).stalls
        for looks in (False, True)
        for fenced in (False, True)
    }
    assert stalls == {
        (False, False): 2,
        (False, True): 1,
        (True, False): 1,
        (True, True): 0,
    }
