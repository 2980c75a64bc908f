"""The model of groups: in every interleaving the callback is made once, and never too early."""

from __future__ import annotations

import pytest

from tests.store.group_model import ends_of, group


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("members", [1, 2, 3])
def test_one_callback_in_every_end(members: int, adds: bool) -> None:
    """Members that end at once, one that adds another, and whoever seals, in any order."""
    states, ends = group(members, adds=adds)
    assert states > 10
    assert ends
    assert [wrong for end in ends for wrong in ends_of(end)] == []


def test_whoever_seals_has_to_look() -> None:
    """Without that a group whose members have ended by then would stand for ever."""
    _, ends = group(2, adds=False, looks=False)
    assert any("called 0 times" in ends_of(end) for end in ends)


@pytest.mark.parametrize("members", [1, 2])
def test_who_dies_owes_what_a_sweep_does(members: int) -> None:
    """A death between two writes leaves something undone without a sweep, and nothing with one."""
    _, ends = group(members, adds=True, crashes=True)
    assert any("called 0 times" in ends_of(end) for end in ends)
    _, swept = group(members, adds=True, crashes=True, sweeps=True)
    assert [wrong for end in swept for wrong in ends_of(end)] == []
