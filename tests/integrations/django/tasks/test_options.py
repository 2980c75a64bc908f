"""Options of ours: of a task, of one job, of all tasks of a backend."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import pytest

from job_processor import Retry
from job_processor.integrations.django.tasks.task import JobTask
from tests.integrations.django.tasks.conftest import Board


def define_task(backend: Any, task: Any, queue_name: str) -> str:
    """Define the jobs of a task in a queue; return their name."""
    from job_processor.integrations.django.tasks import backend as module  # noqa: PLC0415  # after the settings

    return module.define_task(backend, task, queue_name)


def made(board: Board, **options: Any) -> JobTask:
    """Return a task of the same function as `answer` with other options."""
    task: JobTask = board.samples.with_options(**options)(board.samples.answer.func)
    return task


def test_retry(both: Board) -> None:
    """An attempt that failed is followed by the next; each has its worker and its error."""
    result = both.done(both.samples.second_time.enqueue())
    assert (result.status, result.return_value) == ("SUCCESSFUL", 2)
    assert result.attempts == len(result.worker_ids) == 2
    (error,) = result.errors
    assert error.exception_class is both.samples.RefusedError
    assert result.started_at < result.last_attempted_at <= result.finished_at


def test_no_attempt_is_left(both: Board) -> None:
    """The task has failed, with an error for each attempt."""
    result = both.done(both.samples.always.enqueue())
    assert (result.status, result.attempts) == ("FAILED", 2)
    kinds = [each.exception_class for each in result.errors]
    assert kinds == [both.samples.RefusedError] * 2


def test_between_two_attempts(both: Board) -> None:
    """It is ready to be run again; the first attempt counts, with its worker and its error."""
    result = both.done(both.samples.later.enqueue())
    assert (result.status, result.attempts, result.finished_at) == ("READY", 1, None)
    assert result.started_at <= result.last_attempted_at
    (error,) = result.errors
    assert error.exception_class.__name__ == "JobFailed"  # it raised a wish, no error
    assert error.traceback == "later: not yet\n"


def test_one_at_a_time(both: Board) -> None:
    """A second one of an exclusive task is skipped: it has failed, and says why."""
    first, second = both.samples.alone.enqueue(), both.samples.alone.enqueue()
    assert (first.status, second.status) == ("READY", "FAILED")
    (error,) = second.errors
    assert error.exception_class.__name__ == "JobFailed"
    assert "kipped" in error.traceback
    assert (second.attempts, second.worker_ids) == (0, [])


def test_a_process_of_its_own(board: Board) -> None:
    """The task runs elsewhere, where Django is set up as well."""
    result = board.done(board.samples.process_id.enqueue())
    assert result.status == "SUCCESSFUL", result.errors
    assert result.return_value != os.getpid()


def test_a_unique_key(both: Board) -> None:
    """Of the task's arguments: the task that waits is returned in place of a second."""
    first, again, other = (both.samples.once.enqueue(order) for order in (1, 1, 2))
    assert first.id == again.id != other.id
    assert both.job(first).unique_key == "order-1"


def test_options_of_one_job(board: Board) -> None:
    """They are given by `using`, beside Django's own; a later one counts."""
    task = board.samples.noop.using(unique_key="a", unique_for=60)
    result = task.using(unique_key="b", expires_at=timedelta(hours=1), priority=20).enqueue()
    job = board.job(result)
    assert (job.unique_key, job.priority) == ("b", 2)
    assert job.expires_at is not None
    assert job.unique_until is not None
    assert board.backend.get_result(result.id) == result


def test_options_of_all_tasks(board: Board) -> None:
    """Those of the backend hold for tasks that say nothing else."""
    options = {
        "RETRY": 7,
        "MAX_RUNTIME": timedelta(minutes=3),
        "UNIQUE_KEY": "same",
        "RATE": "100/m",
    }
    jobs = board.processor.registry.jobs
    with board.settings(QUEUES=[], OPTIONS=options):
        name = define_task(board.backend, board.samples.echo, "options")
        assert (jobs[name].retry, jobs[name].limit_seconds) == (7, 180)
        assert jobs[name].rate == "100/m"
        name = define_task(board.backend, board.samples.second_time, "options")
        assert jobs[name].retry == Retry(3, delay=0)
        name = define_task(board.backend, made(board, max_runtime_in_minutes=1), "options")
        assert jobs[name].limit_seconds == 60
        assert board.job(board.samples.noop.enqueue()).unique_key == "same"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_retries": 2}, r"max_retries.*write retry="),
        ({"unknown": 2}, r"a task has no such option; its options are .*retry"),
        ({"tag": "a"}, r'write queue_name="emails"'),
        ({"on_job_exited": print}, r"task_finished"),
    ],
)
def test_options_that_there_are_not(board: Board, options: dict[str, Any], text: str) -> None:
    """A TypeError, as of a parameter, which says what to write."""
    with pytest.raises(TypeError, match=text):
        made(board, **options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"retry": "often"}, r"retry: 'often' is not allowed"),
        ({"executor": "fork"}, r"executor: 'fork' is not allowed"),
        ({"max_runtime": -1}, r"max_runtime: -1 is not allowed"),
    ],
)
def test_values_that_are_not_allowed(board: Board, options: dict[str, Any], text: str) -> None:
    """The task is invalid from the start."""
    with pytest.raises(board.api.InvalidTask, match=text):
        made(board, **options)


def test_an_option_of_the_task_for_one_job(board: Board) -> None:
    """Workers read it where the task is defined, so `using` cannot change it, and says so."""
    with pytest.raises(TypeError, match=r"where it is defined: @task\(retry=…\)"):
        board.samples.noop.using(retry=3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"RETRY": "often"}, r"TASKS\['default'\]\['OPTIONS'\]\['RETRY'\]: 'often' is not allowed"),
        ({"ENQUEUE_ON_COMMIT": 3}, r"\['ENQUEUE_ON_COMMIT'\]: 3 is not allowed"),
        ({"RETRIES": 3}, r"\['RETRIES'\].*write retry="),
    ],
)
def test_options_of_a_backend_that_are_wrong(
    board: Board, options: dict[str, Any], text: str
) -> None:
    """The setting is named, with what is allowed."""
    with board.settings(OPTIONS=options), pytest.raises(board.api.InvalidTaskBackend, match=text):
        _ = board.backend.alias
