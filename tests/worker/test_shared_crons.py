"""What a scheduler leaves to Node's for a moment: a cron that is being moved."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from job_processor.models import Cron
from job_processor.store.base import ANYTHING, Hint
from job_processor.worker.shared_crons import SharedCrons
from tests.store.mongo.samples import NOW, SECOND, cron

NEXT = NOW + timedelta(days=1)


def shared(*, node: bool = True) -> SharedCrons:
    """Return what a scheduler remembers, on a database that has Node's validator or not."""
    engine: Any = SimpleNamespace(store=SimpleNamespace(refuses_own_fields=node))
    ownership: Any = None
    made = SharedCrons(engine, ownership)
    made.remember("nightly", NOW, None)
    return made


def moved(at: datetime) -> Cron:
    """Return the cron with its pointer at the next occurrence, moved there at this time."""
    return cron(scheduled_for=NEXT, updated_at=at)


def test_a_cron_that_node_has_just_moved_is_left_for_a_moment() -> None:
    """Its occurrence follows; the next pass, which comes soon, takes what there is."""
    crons = shared()
    assert crons.is_being_moved(moved(NOW), NOW + SECOND)
    assert crons.pause(30) == 2
    assert not crons.is_being_moved(moved(NOW), NOW + SECOND)
    assert crons.pause(30) == 30


@pytest.mark.parametrize(
    ("found", "node"),
    [
        (moved(NOW - 3 * SECOND), True),  # whoever did it has had the time to insert
        (cron(updated_at=NOW), True),  # it stands where we left it
        (moved(NOW), False),  # nobody but ours is there
        (None, True),
    ],
)
def test_any_other_cron_is_not_left(found: Cron | None, node: bool) -> None:
    """Moved long ago, not moved, on a database of ours alone, or gone."""
    assert not shared(node=node).is_being_moved(found, NOW)


@pytest.mark.parametrize(
    ("hint", "at_once"),
    [
        (Hint.NODE, True),
        (Hint.NODE | Hint.WORK, True),
        (Hint.WORK | Hint.SETTINGS, False),
        (ANYTHING, False),
    ],
)
def test_only_a_node_worker_calls_for_a_pass(hint: Hint, at_once: bool) -> None:
    """That anything may have changed is said after every write on SQLite, and calls for none."""
    assert shared().hear(hint) is at_once
