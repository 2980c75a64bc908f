"""Tasks enqueued, run and read again, on both stores."""

from __future__ import annotations

import dataclasses
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from job_processor import JobStatus
from tests.integrations.django.tasks.conftest import Board

ENQUEUED = ["noop", "noop_async"]


def is_fresh(result: Any, task: Any, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Check that a result is one of a task that nobody has begun."""
    assert result.status == "READY"
    assert not result.is_finished
    assert result.enqueued_at is not None
    times = (result.started_at, result.last_attempted_at, result.finished_at)
    assert times == (None, None, None)
    with pytest.raises(ValueError, match="Task has not finished yet"):
        _ = result.return_value
    assert result.task == task
    assert (result.args, result.kwargs, result.errors) == (args, kwargs, [])
    assert (result.attempts, result.worker_ids) == (0, [])
    assert len(result.id) < 64


def is_over(result: Any) -> None:
    """Check that a result is one of a task that has ended, in one attempt."""
    assert result.is_finished
    assert result.enqueued_at <= result.started_at <= result.finished_at
    assert result.started_at == result.last_attempted_at
    assert result.attempts == len(result.worker_ids) == 1


@pytest.mark.parametrize("name", ENQUEUED)
def test_enqueued(both: Board, name: str) -> None:
    """It waits with its arguments; read again it is the same; a worker runs it."""
    task = getattr(both.samples, name)
    result = task.enqueue(1, two=3)
    is_fresh(result, task, [1], {"two": 3})
    assert task.get_result(result.id) == result
    assert both.backend.get_result(result.id) == result
    both.done(result)
    is_over(result)
    assert (result.status, result.return_value) == ("SUCCESSFUL", None)
    assert result.task == task


@pytest.mark.parametrize("name", ENQUEUED)
async def test_enqueued_async(both: Board, name: str) -> None:
    """The same from async code."""
    task = getattr(both.samples, name)
    result = await task.aenqueue()
    is_fresh(result, task, [], {})
    assert await task.aget_result(result.id) == result
    assert await both.backend.aget_result(result.id) == result
    await both.work_async()
    await result.arefresh()
    is_over(result)
    assert (result.status, result.return_value) == ("SUCCESSFUL", None)


async def test_refreshed_while_it_waits(board: Board) -> None:
    """Nothing changes."""
    result = await board.samples.noop.aenqueue()
    before = dataclasses.asdict(result)
    result.refresh()
    assert dataclasses.asdict(result) == before
    await result.arefresh()
    assert dataclasses.asdict(result) == before


@pytest.mark.parametrize("name", ["echo", "echo_async"])
def test_arguments_and_return_values(both: Board, name: str) -> None:
    """They are what JSON makes of them, as deep as they are."""
    given = [1, 2.5, None, True, "é", {"a": [b"bytes", (1, 2)]}]
    plain = [1, 2.5, None, True, "é", {"a": ["bytes", [1, 2]]}]
    result = getattr(both.samples, name).enqueue(*given, key={"b": {"c": []}})
    assert (result.args, result.kwargs) == (plain, {"key": {"b": {"c": []}}})
    assert both.done(result).return_value == [plain, {"key": {"b": {"c": []}}}]
    assert both.backend.get_result(result.id).args == plain


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("refuse", ValueError, "refused by a ValueError"),
        ("leave", SystemExit, "refused by a SystemExit"),
    ],
)
def test_failed(
    both: Board,
    name: str,
    error: type[BaseException],
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its error has the class and the traceback, which ends with its message; Django logs it."""
    caplog.set_level(logging.ERROR, logger=both.logger)
    task = getattr(both.samples, name)
    result = both.done(task.enqueue())
    is_over(result)
    assert result.status == "FAILED"
    with pytest.raises(ValueError, match="Task failed"):
        _ = result.return_value
    assert [each.exception_class for each in result.errors] == [error]
    (traceback,) = [each.traceback for each in result.errors]
    assert traceback.startswith("Traceback (most recent call last):\n")
    assert f"in {name}\n" in traceback
    assert traceback.endswith(f"{error.__name__}: {text}\n")
    (line,) = [record for record in caplog.records if record.name == both.logger]
    assert f"id={result.id}" in line.message
    assert line.exc_text is not None
    assert text in line.exc_text


def test_an_exception_of_the_application(both: Board) -> None:
    """Its class is found by its place."""
    result = both.done(both.samples.refuse_async.enqueue())
    (error,) = result.errors
    assert error.exception_class is both.samples.RefusedError
    assert "refused by one of ours" in error.traceback


def test_an_exception_that_has_one(board: Board) -> None:
    """The traceback shows the line of the task."""
    result = board.done(board.samples.refuse_nested.enqueue())
    assert result.errors[0].exception_class is ValueError
    assert 'ValueError(ValueError("inside"))' in result.errors[0].traceback


def test_a_return_value_that_json_does_not_have(board: Board) -> None:
    """The task has failed."""
    result = board.done(board.samples.unstorable.enqueue())
    assert result.status == "FAILED"
    assert result._return_value is None
    assert result.errors[0].exception_class is TypeError
    assert "Unsupported type" in result.errors[0].traceback


def test_results_that_are_not_there(both: Board) -> None:
    """No id at all, one that nobody has, and the job of no task."""
    from job_processor.integrations.django import get_client  # noqa: PLC0415  # after the settings

    job = get_client().schedule_job("count", {"confirmed": True})
    for missing in ("123", "f" * 24, str(job.id)):
        with pytest.raises(both.api.TaskResultDoesNotExist, match=missing):
            both.backend.get_result(missing)
        with pytest.raises(both.api.TaskResultDoesNotExist):
            both.samples.noop.get_result(missing)


async def test_results_that_are_not_there_async(board: Board) -> None:
    """The same from async code."""
    for missing in ("123", "f" * 24):
        with pytest.raises(board.api.TaskResultDoesNotExist):
            await board.samples.noop.aget_result(missing)


async def test_the_result_of_another_task(board: Board) -> None:
    """It is told apart."""
    result = await board.samples.noop_async.aenqueue()
    with pytest.raises(Exception, match="Task does not match"):
        board.samples.noop.get_result(result.id)
    with pytest.raises(Exception, match="Task does not match"):
        await board.samples.noop.aget_result(result.id)


def test_the_context(both: Board) -> None:
    """It has the result as it stands, with this attempt."""
    own, attempt = both.samples.own_id.enqueue(), both.samples.attempt_async.enqueue(10)
    both.work()
    own.refresh()
    attempt.refresh()
    assert own.return_value == own.id
    assert attempt.return_value == 11


def test_run_after(both: Board) -> None:
    """It waits until then; the past is now; a span counts from now."""
    now = timezone.now()
    late = both.samples.answer.using(run_after=now + timedelta(hours=1)).enqueue()
    early = both.samples.answer.using(run_after=now - timedelta(hours=1)).enqueue()
    span = both.samples.answer.using(run_after=timedelta(hours=2)).enqueue()
    both.work()
    assert [both.backend.get_result(each.id).status for each in (late, early, span)] == [
        "READY",
        "SUCCESSFUL",
        "READY",
    ]
    assert both.job(late).scheduled_for == _to_ms(now + timedelta(hours=1))
    assert both.job(span).scheduled_for > now + timedelta(hours=1, minutes=59)
    assert both.backend.get_result(late.id).task.run_after == _to_ms(now + timedelta(hours=1))


def test_without_time_zones(board: Board, settings_without_zones: None) -> None:
    """Times go in and come out naive, in the zone of the project."""
    moment = timezone.now() + timedelta(hours=1)
    result = board.samples.noop.using(run_after=moment).enqueue()
    assert timezone.is_naive(result.enqueued_at)
    found = board.backend.get_result(result.id)
    assert timezone.is_naive(found.task.run_after)
    assert abs(found.task.run_after - moment) < timedelta(milliseconds=1)
    scheduled = board.job(result).scheduled_for
    assert abs(scheduled - timezone.make_aware(moment)) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("priority", "ours"), [(-100, 0), (-1, 0), (0, 0), (1, 1), (11, 1), (12, 2), (50, 5), (100, 9)]
)
def test_priorities(board: Board, priority: int, ours: int) -> None:
    """What is above Django's usual is above ours, in order; the result has the one it was given."""
    result = board.samples.noop.using(priority=priority).enqueue()
    assert board.job(result).priority == ours
    assert board.backend.get_result(result.id).task.priority == priority


def test_the_highest_priority_is_run_first(both: Board) -> None:
    """A worker takes what matters most, and what came first of the same."""
    asked = {
        priority: both.samples.answer.using(priority=priority).enqueue()
        for priority in (0, 100, -50, 50)
    }
    undo = both.processor.override(concurrency=1)
    try:
        both.work()
    finally:
        undo()
    started = {name: both.backend.get_result(each.id).started_at for name, each in asked.items()}
    assert sorted(started, key=lambda name: started[name]) == [100, 50, 0, -50]


def test_inside_of_a_transaction(board: Board) -> None:
    """By default a task is there at once, as with Django's own backends."""
    with transaction.atomic():
        result = board.samples.noop.enqueue()
        assert result.enqueued_at is not None
        assert board.job(result).status is JobStatus.PENDING


def test_nothing_to_complain_about(board: Board) -> None:
    """The check of good settings is silent."""
    assert list(board.backend.check()) == []


def _to_ms(moment: Any) -> Any:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.fixture
def settings_without_zones(board: Board) -> Any:
    """Settings with naive times, east of Greenwich."""
    from django.test import override_settings  # noqa: PLC0415  # one fixture needs it

    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        yield
