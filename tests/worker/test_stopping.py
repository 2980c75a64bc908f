"""The budget of a stop: one deadline, of which each phase gets what is left."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from job_processor.settings import LEAVE_TIMEOUT, STOP_SPARE, Settings, graceful_stop_seconds
from job_processor.worker import stopping
from job_processor.worker.stopping import Budget

SETTINGS = Settings(shutdown_grace=20, kill_grace=5)


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed, to be changed."""
    now = [1000.0]
    monkeypatch.setattr(stopping, "time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_a_stop_takes_its_graces_and_five_seconds() -> None:
    """By default 35 s, as the documentation says."""
    assert graceful_stop_seconds(Settings()) == 35
    assert graceful_stop_seconds(SETTINGS) == 20 + 2 * 5 + STOP_SPARE


def test_each_phase_gets_what_is_left(passed: list[float]) -> None:
    """What one leaves, the next one has; all of it is within the time of the stop."""
    budget = Budget.graceful(SETTINGS)
    assert 30 < budget.for_runs < budget.for_writes < 35
    assert budget.for_leaving == LEAVE_TIMEOUT  # nobody leaves for half a minute
    passed[0] += 30
    assert 0 < budget.for_runs < budget.for_writes < budget.for_leaving + 5 <= 10
    passed[0] += STOP_SPARE
    assert (budget.for_runs, budget.for_writes, budget.for_leaving) == (0, 0, 0)


def test_a_forced_stop_has_the_grace_of_a_kill(passed: list[float]) -> None:
    """Handlers are forced at once, and given up `kill_grace` later."""
    budget = Budget.forced(SETTINGS)
    passed[0] += 5 + STOP_SPARE
    assert budget.for_leaving == 0
