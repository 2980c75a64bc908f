"""The protocol of lanes in all interleavings, and what goes wrong without each of its rules."""

from __future__ import annotations

import pytest

from tests.store.lane_model import Explorer, Found, Rules


@pytest.mark.parametrize(
    ("rules", "found"),
    [
        (Rules(rechecks=False, for_the_head=True), Found(1587, 0, 18, 1)),
        (Rules(for_the_head=True), Found(1728, 0, 10, 0)),
        (Rules(crashes=1), Found(9671, 0, 92, 2)),
        (Rules(crashes=1, sweeps=True), Found(9671, 0, 92, 0)),
    ],
    ids=["without a look after parking", "for the head", "without a sweep", "without keeping"],
)
def test_what_a_rule_is_for(rules: Rules, found: Found) -> None:
    """Each rule that is left out stalls a lane or breaks its order, and none breaks its limit."""
    assert Explorer(rules).explore() == found
    assert found.out_of_order or found.stalls


@pytest.mark.parametrize(
    ("rules", "states"),
    [
        (Rules(jobs=4), 7444),
        (Rules(jobs=4, limit=2), 25_763),
        (Rules(crashes=1, sweeps=True, keeps=True), 7420),
        (Rules(crashes=2, sweeps=True, keeps=True), 12_877),
        pytest.param(Rules(workers=3), 70_523, marks=pytest.mark.slow),
        pytest.param(
            Rules(jobs=4, limit=2, crashes=1, sweeps=True), 133_181, marks=pytest.mark.slow
        ),
    ],
)
def test_the_protocol_holds(rules: Rules, states: int) -> None:
    """In no state there are more than the limit, one out of turn, or one that waits for ever."""
    assert Explorer(rules).explore() == Found(states, 0, 0, 0)
