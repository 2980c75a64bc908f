"""`ENQUEUE_ON_COMMIT`: a task follows the transaction that is open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import transaction

from job_processor import PayloadError
from tests.integrations.django.conftest import Shop
from tests.integrations.django.tasks.conftest import Board


@pytest.fixture(params=[True, "default"])
def committed(request: pytest.FixtureRequest, both: Board) -> Iterator[Board]:
    """The tasks, with that option: True, or the alias of a database."""
    with both.settings(QUEUES=[], OPTIONS={"ENQUEUE_ON_COMMIT": request.param}):
        yield both


def test_it_is_there_after_the_commit(committed: Board, shop: Shop) -> None:
    """Before, nobody finds it, though its id is known; then it was enqueued, and is run."""
    sent: list[Any] = []

    def receiver(task_result: Any, **_: Any) -> None:
        sent.append(task_result.id)

    committed.api.task_enqueued.connect(receiver)
    try:
        with transaction.atomic():
            shop.orders.create(customer="Ada")
            result = committed.samples.echo.enqueue(1)
            known = result.id
            assert (result.status, result.enqueued_at, sent) == ("READY", None, [])
            with pytest.raises(committed.api.TaskResultDoesNotExist):
                committed.backend.get_result(result.id)
    finally:
        committed.api.task_enqueued.disconnect(receiver)
    assert sent == [result.id] == [known]
    assert result.enqueued_at is not None
    assert committed.backend.get_result(result.id) == result
    assert committed.done(result).return_value == [[1], {}]


def enqueue(task: Any, shop: Shop, *arguments: Any) -> None:
    """Write an order and enqueue a task, in a transaction that is rolled back."""
    with transaction.atomic():
        shop.orders.create(customer="Ada")
        raise KeyError(task.enqueue(*arguments))


def test_rolled_back(committed: Board, shop: Shop) -> None:
    """There is no task."""
    with pytest.raises(KeyError) as raised:
        enqueue(committed.samples.noop, shop)
    (result,) = raised.value.args
    with pytest.raises(committed.api.TaskResultDoesNotExist):
        committed.backend.get_result(result.id)
    assert shop.jobs() == []


def test_without_a_transaction(committed: Board) -> None:
    """It is there at once."""
    result = committed.samples.noop.enqueue()
    assert result.enqueued_at is not None
    assert committed.backend.get_result(result.id) == result


def test_from_async_code(committed: Board) -> None:
    """The transaction is that of the thread which calls the async code."""
    results: list[Any] = []
    with transaction.atomic():
        results.append(async_to_sync(committed.samples.noop.aenqueue)())
        assert [each.enqueued_at for each in results] == [None]
    (result,) = results
    assert result.enqueued_at is not None
    assert committed.backend.get_result(result.id) == result


def test_another_one_holds_its_key(committed: Board) -> None:
    """The result is then that of the one that waits."""
    first = committed.samples.once.enqueue(1)
    with transaction.atomic():
        second = committed.samples.once.enqueue(1)
        assert second.id != first.id
    assert second.id == first.id
    assert committed.backend.get_result(second.id) == second


def test_bad_input_is_refused_inside_the_transaction(committed: Board, shop: Shop) -> None:
    """What cannot be enqueued is told while it can still be rolled back."""
    with pytest.raises(PayloadError, match="payload"):
        enqueue(committed.samples.noop, shop, 2**70)
    assert shop.orders.count() == 0
