"""What keeps workers out of each other's way, and that each of it can be turned off."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from job_processor.errors import InvalidArgumentError
from job_processor.settings import RETRY_DELAY_MIN
from job_processor.store import contention
from job_processor.store.contention import (
    EAGER,
    EARLY_IN_A_ROW,
    HEAD,
    HEAD_MAX,
    OFF_VARIABLE,
    ON,
    SHORTEST,
    SPREAD_MAX,
    TRIES,
    Contention,
    Turns,
    spread,
)
from tests.samples import worker

IDLE = st.floats(0, 1e6)
INTERVALS = st.floats(0.001, 3600)


def without(*names: str) -> Contention:
    """Return all switches but these."""
    return replace(Contention(), **dict.fromkeys(names, False))


@pytest.mark.parametrize("name", Contention.names())
def test_each_is_turned_off_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """All of them are on, and the environment turns off what it names, and no more."""
    monkeypatch.delenv(OFF_VARIABLE, raising=False)
    assert Contention.from_environment() == Contention()
    monkeypatch.setenv(OFF_VARIABLE, name)
    assert Contention.from_environment() == without(name)
    assert without(name) != Contention()


def test_a_name_that_there_is_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement of nothing would say that it brings nothing."""
    monkeypatch.setenv(OFF_VARIABLE, "turns,tuns")
    with pytest.raises(InvalidArgumentError, match=r"tuns.*allowed are turns, spread"):
        Contention.from_environment()


def test_without_it_each_claim_is_made_once_and_reads_what_it_needs() -> None:
    """A claim that lost its candidates is tried again, and picks from more and more of them."""
    assert (ON.lost_claim_tries(), without("tries").lost_claim_tries()) == (TRIES, 1)
    factor, factors = 1, []
    for _ in range(5):
        factor = ON.next_spread(factor, lost=True)
        factors.append(factor)
    assert factors == [2, 4, 8, SPREAD_MAX, SPREAD_MAX]
    assert ON.next_spread(factor, lost=False) == SPREAD_MAX // 2
    assert ON.next_spread(1, lost=False) == 1
    assert without("spread").next_spread(SPREAD_MAX, lost=True) == 1


def test_a_claim_beside_others_picks_from_a_longer_head() -> None:
    """Of one job for each slot and rival several; alone, off, or of many jobs, of what it needs."""
    assert ON.head(1, 7) == HEAD_MAX >= HEAD * 8
    assert ON.head(1, 1) == HEAD * 2
    assert ON.head(10, 7) == HEAD_MAX
    assert [ON.head(1, 0), ON.head(500, 7), without("crowd").head(1, 7)] == [1, 500, 1]


def test_rivals_are_those_that_may_take_the_same_jobs() -> None:
    """Of the same tags, with a name in common; nobody has any before it takes part."""
    own = replace(worker(), id=ObjectId(), names=("resize", "scale"))
    others = [
        replace(own, id=ObjectId(), names=("scale",)),
        replace(own, id=ObjectId(), names=("upload",)),
        replace(own, id=ObjectId(), tags=("video",)),
    ]
    turns = Turns()
    turns.see([own, *others])
    assert turns.rivals(["resize", "scale"]) == 0
    turns.join(own)
    assert turns.rivals(["resize", "scale"]) == 1
    assert turns.rivals(["resize"]) == 0
    turns.leave(own.id)
    assert turns.rivals(["scale"]) == 0


def test_without_it_pauses_are_all_alike() -> None:
    """Sweeps, claims in vain and early answers have pauses that grow, or one for all."""
    assert without("eager_polling").sweep(0.0, 1.0) == 1.0
    assert (ON.after_vain(0.4, 1.0), ON.after_vain(0.8, 1.0)) == (0.8, 1.0)
    assert without("patience").after_vain(0.4, 1.0) == 0.4
    assert ON.after_early(EARLY_IN_A_ROW) == 0.0
    assert ON.after_early(EARLY_IN_A_ROW + 1) == RETRY_DELAY_MIN
    assert without("early_answers").after_early(1) == RETRY_DELAY_MIN


def test_without_turns_everybody_tries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many workers some wait for their turn; with the switch off nobody does."""
    everybody = [replace(worker(), id=ObjectId(), names=("resize",)) for _ in range(9)]
    turns = Turns()
    turns.join(everybody[0])
    turns.see(everybody)
    jobs = [ObjectId() for _ in range(50)]
    assert any(turns.delay([(job, "resize")]) for job in jobs)
    monkeypatch.setattr(contention, "ON", without("turns"))
    assert not any(turns.delay([(job, "resize")]) for job in jobs)


def test_a_sweep_is_eager_after_work() -> None:
    """As long as jobs may follow the last one, half of a pause is a part of 60 milliseconds."""
    assert {ON.sweep(idle, 1.0) for idle in (0.0, 1.0, EAGER)} == {SHORTEST}
    assert SHORTEST / 2 <= 0.01


def test_a_sweep_is_calm_when_idle() -> None:
    """From seven seconds after the last job on it asks five times a second at most, then less."""
    assert ON.sweep(7.0, 60.0) >= 1 / 5
    assert ON.sweep(15.0, 60.0) == 1.0
    assert ON.sweep(inf, 60.0) == 60.0


@given(idle=IDLE, more=IDLE, interval=INTERVALS, questions=st.integers(1, 20))
def test_sweeps_grow_up_to_the_interval(
    idle: float, more: float, interval: float, questions: int
) -> None:
    """The longer it is idle the longer the pause, the more questions the longer; never too long."""
    now, later = ON.sweep(idle, interval, questions), ON.sweep(idle + more, interval, questions)
    assert 0 < now <= later <= interval
    assert now == interval or now >= questions * SHORTEST
    assert ON.sweep(idle, interval) <= now


@given(
    priorities=st.lists(st.integers(0, 9), max_size=80).map(lambda some: sorted(some)[::-1]),
    limit=st.integers(1, 10),
)
def test_chance_decides_among_equals_only(priorities: list[int], limit: int) -> None:
    """Of the head of a queue no job is chosen before a more urgent one, and each once."""
    head = [(priority, ObjectId()) for priority in priorities]
    chosen = spread(head, limit)
    urgency = {job_id: priority for priority, job_id in head}
    assert len(set(chosen)) == len(chosen) == min(limit, len(head))
    assert [urgency[job_id] for job_id in chosen] == priorities[:limit]


def test_equals_are_chosen_by_chance() -> None:
    """Whoever claims at the same moment tries for others."""
    head = [(0, ObjectId()) for _ in range(80)]
    assert len({tuple(spread(head, 10)) for _ in range(20)}) > 1
