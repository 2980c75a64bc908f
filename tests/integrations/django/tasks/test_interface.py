"""Tasks as Django defines them: decorated, changed by `using`, called, refused."""

from __future__ import annotations

import dataclasses
import pickle
from datetime import datetime, timedelta
from typing import Any

import django
import pytest
from django.test import override_settings
from django.utils import timezone
from django.utils.module_loading import import_string

from tests.integrations.django.tasks.conftest import BACKEND, Board

PLACE = "tests.integrations.django.tasks.samples"


def test_the_backend_is_that_of_the_settings(board: Board) -> None:
    """The default one, under its alias, with the options as they were given."""
    with board.settings(OPTIONS={"RETRY": 2}):
        assert type(board.backend).__name__ == "TasksBackend"
        assert board.backend.alias == "default"
        assert board.backend.options == {"RETRY": 2}
    assert board.backend.options == {}


def test_everything_is_supported(board: Board) -> None:
    """Times, coroutines, results and priorities."""
    names = ("defer", "async_task", "get_result", "priority")
    assert all(getattr(board.backend, f"supports_{name}") for name in names)


def test_decorated(board: Board) -> None:
    """With and without parentheses, plain and async; name and place are those of the function."""
    for name in ("noop", "bare", "noop_async"):
        task = getattr(board.samples, name)
        assert isinstance(task, board.api.Task)
        assert task.name == name
        assert task.module_path == f"{PLACE}.{name}"
        assert import_string(task.module_path) is task


def test_using(board: Board) -> None:
    """Another task with other defaults; what was there stays as it is."""
    noop, now = board.samples.noop, timezone.now()
    assert noop.using() == noop
    assert noop.using() is not noop
    changed = noop.using(run_after=now).using(priority=10).using(queue_name="slow")
    assert (changed.run_after, changed.priority, changed.queue_name) == (now, 10, "slow")
    assert (noop.run_after, noop.priority, noop.queue_name) == (None, 0, "default")


def test_other_backends(board: Board) -> None:
    """One that there is not, or that cannot be imported, is named."""
    with override_settings(
        TASKS={"default": {"BACKEND": BACKEND}, "missing": {"BACKEND": "does.not.exist"}}
    ):
        with pytest.raises(board.api.InvalidTaskBackend, match="The connection 'unknown'"):
            board.samples.noop.using(backend="unknown")
        with pytest.raises(board.api.InvalidTaskBackend, match=r"Could not find.*does\.not\.exist"):
            board.samples.noop.using(backend="missing")


@pytest.mark.parametrize("priority", [-101, 101, 3.1])
def test_priorities_that_are_none(board: Board, priority: float) -> None:
    """Allowed are whole numbers from -100 to 100."""
    with pytest.raises(board.api.InvalidTask, match="whole number between -100 and 100"):
        board.samples.noop.using(priority=priority)
    for allowed in (-100, 0, 100):
        assert board.samples.noop.using(priority=allowed).priority == allowed


def test_a_naive_time(board: Board) -> None:
    """It is refused where the project has time zones."""
    with pytest.raises(board.api.InvalidTask, match="must be an aware datetime"):
        board.samples.noop.using(run_after=datetime(2030, 1, 1))  # noqa: DTZ001  # it is the point


def test_queues(board: Board) -> None:
    """Those of QUEUES; any where that is empty, but for one without a name."""
    assert board.samples.noop.using(queue_name="any").queue_name == "any"
    with pytest.raises(board.api.InvalidTask, match="has no name"):
        board.samples.noop.using(queue_name=" ")
    with board.settings(QUEUES=["default", "mail"]):
        assert board.samples.noop.using(queue_name="mail").queue_name == "mail"
        with pytest.raises(board.api.InvalidTask, match="Queue 'any' is not valid"):
            board.samples.noop.using(queue_name="any")


async def test_called(board: Board) -> None:
    """Here and now, from code of either kind."""
    assert board.samples.answer.call() == 42
    assert await board.samples.answer.acall() == 42
    assert await board.samples.noop_async.acall() is None


def test_a_coroutine_is_called_from_plain_code(board: Board) -> None:
    """`call` waits for it."""
    assert board.samples.echo_async.call(1, two=2) == [[1], {"two": 2}]


def test_functions_that_are_no_tasks(board: Board) -> None:
    """A builtin, a method, a function inside of another."""

    def inside() -> None: ...

    for function in (any, board.work, inside):
        with pytest.raises(board.api.InvalidTask, match="at a module level"):
            board.samples.plain(function)


def test_a_context_that_is_not_taken(board: Board) -> None:
    """Its parameter is the first, and has its name."""
    with pytest.raises(board.api.InvalidTask, match="first argument of 'context'"):
        board.samples.plain(takes_context=True)(board.samples.answer.func)


def test_arguments_that_json_does_not_have(board: Board) -> None:
    """A TypeError, and nothing is stored."""
    with pytest.raises(TypeError, match="Unsupported type"):
        board.samples.noop.enqueue(datetime.now(tz=None))  # noqa: DTZ005  # whichever
    with pytest.raises(TypeError, match="Unsupported type"):
        board.samples.noop.enqueue(when=timedelta(1))


async def test_arguments_that_json_does_not_have_async(board: Board) -> None:
    """The same from async code."""
    with pytest.raises(TypeError, match="Unsupported type"):
        await board.samples.noop.aenqueue(object())


def test_a_task_is_looked_at_when_it_is_enqueued(board: Board) -> None:
    """The settings may be others than when it was made."""
    other = board.samples.noop.using(queue_name="unknown")
    with (
        board.settings(QUEUES=["queue-1"]),
        pytest.raises(board.api.InvalidTask, match="Queue 'unknown'"),
    ):
        other.enqueue()


async def test_a_task_is_looked_at_when_it_is_enqueued_async(board: Board) -> None:
    """The same from async code."""
    other = board.samples.noop.using(queue_name="unknown")
    with (
        board.settings(QUEUES=["queue-1"]),
        pytest.raises(board.api.InvalidTask, match="Queue 'unknown'"),
    ):
        await other.aenqueue()


@pytest.mark.skipif(django.VERSION < (6,), reason="without any django-tasks has one of its own")
def test_no_backends(board: Board) -> None:
    """Where the settings have none, nothing is enqueued."""
    with override_settings(TASKS={}), pytest.raises(board.api.InvalidTaskBackend):
        board.samples.noop.enqueue()


@pytest.mark.skipif(django.VERSION < (6, 1), reason="Django 6.1 is the first that allows it")
def test_pickled(board: Board) -> None:
    """A task, one with options of ours, and a result are the same in another process."""
    for kept in (board.samples.noop, board.samples.second_time, board.samples.noop.enqueue()):
        assert pickle.loads(pickle.dumps(kept)) == kept  # noqa: S301  # our own
    again: Any = pickle.loads(pickle.dumps(board.samples.second_time))  # noqa: S301  # our own
    assert again.options == board.samples.second_time.options


def test_fields_cannot_be_changed(board: Board) -> None:
    """A task is immutable."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        board.samples.noop.priority = 5
