"""What `manage.py check` says of the settings of a backend."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.core import checks

from tests.integrations.django.conftest import Shop
from tests.integrations.django.tasks.conftest import Board


def told(board: Board) -> list[tuple[str | None, int, str]]:
    """Return what it says."""
    return [(each.id, each.level, str(each.msg)) for each in board.backend.check()]


def test_workers_that_do_not_serve_a_queue(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check warns of queues that are no tag of the project's workers, and of a missing app."""
    undo = board.processor.override(worker_tags=["mail"])
    with board.settings(QUEUES=["default", "mail", "slow"]):
        ((id, level, text),) = told(board)
    undo()
    assert (id, level) == ("job_processor.W002", checks.WARNING)
    assert "default, slow" in text
    monkeypatch.setattr(apps, "is_installed", lambda name: False)
    ((id, level, _),) = told(board)
    assert (id, level) == ("job_processor.E002", checks.ERROR)


def test_one_file_for_jobs_and_orders(shared: Board) -> None:
    """The check warns: a transaction locks out what is enqueued inside; not where that follows."""
    ((id, level, text),) = told(shared)
    assert (id, level) == ("job_processor.W003", checks.WARNING)
    assert "'default'" in text
    for option in ("ENQUEUE_ON_COMMIT", "ENQUEUE_IN_TRANSACTION"):
        with shared.settings(QUEUES=[], OPTIONS={option: True}):
            assert told(shared) == []


def test_a_transaction_that_cannot_take_jobs(board: Board, shop: Shop) -> None:
    """The check warns where jobs are in another database than the transaction that is to take them.

    Not while the project's tests run, whose jobs have a database of their own.
    """
    with board.settings(QUEUES=[], OPTIONS={"ENQUEUE_IN_TRANSACTION": True}):
        ((id, level, text),) = told(board)
        assert (id, level) == ("job_processor.W004", checks.WARNING)
        assert "'default'" in text


@pytest.mark.parametrize(
    ("processor", "text"),
    [
        ("shop.nothing.reports", "shop.nothing"),
        ("shop.settings.DATA", "is not allowed, being of"),
        (7, "7 is not allowed"),
        ("tests.integrations.django.tasks.processors.in_memory", "'sqlite://' is not allowed"),
    ],
)
def test_a_processor_that_is_none(board: Board, processor: Any, text: str) -> None:
    """The check says which option it is, and what is allowed."""
    with board.settings(OPTIONS={"PROCESSOR": processor}):
        ((id, level, error),) = told(board)
        assert (id, level) == ("job_processor.E003", checks.ERROR)
        assert error.startswith("TASKS['default']['OPTIONS']['PROCESSOR']: ")
        assert text in error
