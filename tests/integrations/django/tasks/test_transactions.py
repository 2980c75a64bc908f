"""`ENQUEUE_IN_TRANSACTION`: a task is part of the transaction of Django's own SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import connection, connections, transaction

from job_processor import JobConflictError
from tests.integrations.django.conftest import Shop
from tests.integrations.django.tasks.conftest import Board

INSIDE = {"ENQUEUE_IN_TRANSACTION": True}
COUNT = "SELECT count(*) FROM job_processor_jobs"


@pytest.fixture
def inside(shared: Board) -> Iterator[Board]:
    """The tasks, with that option, before Django has connected."""
    with shared.settings(QUEUES=[], OPTIONS=INSIDE):
        assert shared.backend.follows.inside
        connections.close_all()
        yield shared
        connections.close_all()


def stored_inside() -> int:
    """Return how many jobs the transaction that is open sees."""
    with connection.cursor() as cursor:
        return int(cursor.execute(COUNT).fetchone()[0])


def stored_outside(shop: Shop) -> int:
    """Return how many jobs everybody else sees."""
    other = sqlite3.connect(shop.data / "shop.sqlite3")
    try:
        return int(other.execute(COUNT).fetchone()[0])
    finally:
        other.close()


def test_it_is_part_of_the_transaction(inside: Board, shop: Shop) -> None:
    """It is stored there at once, though the file is locked; others see both after the commit."""
    with transaction.atomic():
        shop.orders.create(customer="Ada")
        result = inside.samples.echo.enqueue(1)
        assert (result.status, result.enqueued_at) == ("READY", None)
        assert (stored_inside(), stored_outside(shop)) == (1, 0)
        with pytest.raises(inside.api.TaskResultDoesNotExist):
            inside.backend.get_result(result.id)
    assert result.enqueued_at is not None
    assert inside.backend.get_result(result.id) == result
    assert inside.done(result).return_value == [[1], {}]


def test_nothing_can_come_between(inside: Board, shop: Shop) -> None:
    """A process that ends as soon as the commit is done has stored the job with the order."""
    connection.ensure_connection()
    with transaction.atomic():
        shop.orders.create(customer="Ada")
        inside.samples.noop.enqueue()
        connection.run_on_commit = []  # what the process would have done after the commit
    assert (shop.orders.count(), stored_outside(shop)) == (1, 1)


def fail_after(task: Any, shop: Shop) -> None:
    """Write an order and enqueue a task, in a transaction that is rolled back."""
    with transaction.atomic():
        shop.orders.create(customer="Ada")
        raise KeyError(task.enqueue())


def test_rolled_back(inside: Board, shop: Shop) -> None:
    """There is neither, and a savepoint takes its own tasks back alone."""
    with pytest.raises(KeyError):
        fail_after(inside.samples.noop, shop)
    assert (shop.orders.count(), stored_outside(shop)) == (0, 0)
    with transaction.atomic():
        kept = inside.samples.noop.enqueue()
        with pytest.raises(KeyError):
            fail_after(inside.samples.noop, shop)
    assert [str(job.id) for job in shop.jobs()] == [kept.id]


def test_the_signal_comes_after_the_commit(inside: Board, shop: Shop) -> None:
    """Nobody is told of a task that may be rolled back."""
    sent: list[Any] = []

    def receiver(task_result: Any, **_: Any) -> None:
        sent.append(task_result.id)

    inside.api.task_enqueued.connect(receiver)
    try:
        with transaction.atomic():
            result = inside.samples.noop.enqueue()
            assert sent == []
        assert sent == [result.id]
    finally:
        inside.api.task_enqueued.disconnect(receiver)


def test_without_a_transaction(inside: Board) -> None:
    """It is there at once."""
    result = inside.samples.noop.enqueue()
    assert result.enqueued_at is not None
    assert inside.backend.get_result(result.id) == result


def test_from_async_code(inside: Board, shop: Shop) -> None:
    """The transaction is that of the thread which calls the async code."""
    with transaction.atomic():
        async_to_sync(inside.samples.noop.aenqueue)()
        assert (stored_inside(), stored_outside(shop)) == (1, 0)


def test_a_key_that_is_held(inside: Board, shop: Shop) -> None:
    """In a transaction that is an error, since nobody knows yet whose job it will be."""
    once = inside.samples.echo.using(unique_key="a")
    first = once.enqueue(1)
    with pytest.raises(JobConflictError):
        fail_after(once, shop)
    assert shop.orders.count() == 0
    assert [str(job.id) for job in shop.jobs()] == [first.id]


def test_a_key_for_a_time_follows_the_commit(inside: Board, shop: Shop) -> None:
    """To give back one that is over is a write of ours, which would wait for the transaction."""
    once = inside.samples.echo.using(unique_key="a", unique_for=60)
    with transaction.atomic():
        shop.orders.create(customer="Ada")
        once.enqueue(1)
        assert stored_inside() == 0
    assert stored_outside(shop) == 1


def test_a_task_elsewhere_is_listed(inside: Board, shop: Shop) -> None:
    """Workers are told of its name once the file is not locked any more, and run it."""
    with transaction.atomic():
        shop.orders.create(customer="Ada")
        result = inside.samples.echo.using(queue_name="made up").enqueue(3)
        assert stored_inside() == 1
    registry = inside.processor.registry  # a worker has not enqueued it itself
    del registry.jobs[f"{inside.samples.echo.module_path}@made up"]
    registry._served.clear()
    assert inside.done(result).return_value == [[3], {}]


def test_another_database_follows_the_commit(both: Board, shop: Shop) -> None:
    """Where the jobs are not in Django's file, there is no transaction for both."""
    with both.settings(QUEUES=[], OPTIONS=INSIDE):
        with transaction.atomic():
            result = both.samples.echo.enqueue(1)
            with pytest.raises(both.api.TaskResultDoesNotExist):
                both.backend.get_result(result.id)
        assert both.done(result).return_value == [[1], {}]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ENQUEUE_IN_TRANSACTION": 1}, "IN_TRANSACTION'.: 1 is not allowed; allowed are True"),
        ({"ENQUEUE_ON_COMMIT": [], **INSIDE}, "ON_COMMIT'.: .. is not allowed"),
        ({"ENQUEUE_ON_COMMIT": True, **INSIDE}, "give one of them"),
    ],
)
def test_options_that_cannot_be_meant(board: Board, options: Any, told: str) -> None:
    """One of the two, as True or as the alias of a database."""
    with (
        board.settings(OPTIONS=options),
        pytest.raises(board.api.InvalidTaskBackend, match=told),
    ):
        assert board.backend
