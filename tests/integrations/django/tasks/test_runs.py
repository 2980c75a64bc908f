"""Tasks while they run and after: statuses, kills, signals, the dashboard."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from bson import ObjectId

from job_processor import JobStatus, SimpleJob
from job_processor.integrations.django.tasks.results import result_of
from job_processor.store.requests import Settlement
from job_processor.worker.outcomes import rescue
from tests.integrations.django.conftest import Shop
from tests.integrations.django.tasks.conftest import Board
from tests.processors import WAIT


@contextmanager
def received(*signals: Any) -> Iterator[list[tuple[Any, str, str]]]:
    """Collect what these signals send: sender, id and status of the result."""
    got: list[tuple[Any, str, str]] = []

    def receiver(sender: Any, task_result: Any, **_: Any) -> None:
        got.append((sender, task_result.id, str(task_result.status)))

    for signal in signals:
        signal.connect(receiver)
    try:
        yield got
    finally:
        for signal in signals:
            signal.disconnect(receiver)


async def run_held(board: Board, meanwhile: Any) -> Any:
    """Run the task that waits for us, do something while it runs; return its result at the end."""
    board.samples.began.clear()
    board.samples.may_end.clear()
    result = await board.samples.hold.aenqueue()
    async with board.processor.twin() as processor, asyncio.timeout(WAIT):
        worker = asyncio.create_task(processor.run_worker(burst=True))
        try:
            await asyncio.to_thread(board.samples.began.wait, WAIT)
            await meanwhile(processor, result)
        finally:
            board.samples.may_end.set()
        await worker
    await result.arefresh()
    return result


async def test_while_it_runs(both: Board) -> None:
    """It is RUNNING, with the worker that runs it; that counts as an attempt."""

    async def look(processor: Any, result: Any) -> None:
        await result.arefresh()
        assert result.status == "RUNNING"
        assert not result.is_finished
        assert result.started_at is not None
        assert (result.started_at, result.finished_at) == (result.last_attempted_at, None)
        assert result.attempts == len(result.worker_ids) == 1
        assert ObjectId.is_valid(result.worker_ids[0])

    result = await run_held(both, look)
    assert (result.status, result.return_value) == ("SUCCESSFUL", "RUNNING")


async def test_a_kill(both: Board) -> None:
    """The task is asked to stop by its context; it has failed, and says that it was killed."""

    async def kill(processor: Any, result: Any) -> None:
        await processor.kill_job(result.id)
        await processor.wait_for_job(result.id)

    result = await run_held(both, kill)
    assert (result.status, result.attempts) == ("FAILED", 1)
    (error,) = result.errors
    assert error.exception_class.__name__ == "JobFailed"
    assert error.traceback == "Killed\n"
    job = await asyncio.to_thread(both.job, result)
    assert job.progress is not None
    assert job.progress.message == "half"


def test_killed_while_it_waits(both: Board) -> None:
    """It has failed without an attempt."""
    from job_processor.integrations.django import get_client  # noqa: PLC0415  # after the settings

    result = both.samples.noop.enqueue()
    get_client().kill_job(result.id)
    result.refresh()
    assert (result.status, result.attempts, len(result.errors)) == ("FAILED", 0, 1)


def test_a_worker_that_crashed(board: Board) -> None:
    """What it ran has failed, for no exception of the task."""
    job = board.job(board.samples.noop.enqueue())
    worker = ObjectId()
    changed = {"status": JobStatus.RUNNING, "worker_id": worker, "started_at": job.created_at}
    running = SimpleJob(**{**vars(job), **changed})
    outcome = rescue(running, None, killed=False, at=job.created_at)
    settled = Settlement(running, outcome, worker).written()
    assert isinstance(settled, SimpleJob)
    result = result_of(settled, board.samples.noop)
    assert (result.status, result.attempts) == ("FAILED", 1)
    assert result.errors[0].traceback == "Worker crashed unexpectedly\n"
    assert result.errors[0].exception_class.__name__ == "JobFailed"


def test_what_is_paused(board: Board) -> None:
    """One that was interrupted is ready to be run again; it has begun."""
    job = board.job(board.samples.noop.enqueue())
    changed = {"status": JobStatus.PAUSED, "started_at": job.created_at}
    result = result_of(SimpleJob(**{**vars(job), **changed}), board.samples.noop)
    assert (result.status, result.attempts, result.worker_ids) == ("READY", 1, ["unknown"])


def test_more_attempts_than_are_kept(board: Board) -> None:
    """All count; of the first ones nobody knows the worker."""
    job = board.job(board.samples.noop.enqueue())
    result = result_of(SimpleJob(**{**vars(job), "attempt": 31}), board.samples.noop)
    assert result.attempts == 30


@pytest.mark.parametrize("name", ["answer", "noop_async"])
def test_signals(both: Board, name: str) -> None:
    """Enqueued, started, finished: each once, by the class of the backend, with the result."""
    api, kind = both.api, type(both.backend)
    with received(api.task_enqueued, api.task_started, api.task_finished) as got:
        result = getattr(both.samples, name).enqueue()
        assert got == [(kind, result.id, "READY")]
        both.work()
    assert got[1:] == [(kind, result.id, "RUNNING"), (kind, result.id, "SUCCESSFUL")]


async def test_signals_of_async_code(board: Board) -> None:
    """The same where it is enqueued from async code."""
    with received(board.api.task_enqueued) as got:
        result = await board.samples.noop.aenqueue()
    assert got == [(type(board.backend), result.id, "READY")]


def test_signals_of_attempts(both: Board) -> None:
    """It is finished once, after the last attempt; started with each."""
    api = both.api
    with received(api.task_started, api.task_finished) as got:
        both.done(both.samples.always.enqueue())
    assert [status for _, _, status in got] == ["RUNNING", "RUNNING", "FAILED"]


def test_a_receiver_that_fails(board: Board) -> None:
    """It harms no task."""

    def receiver(**_: Any) -> None:
        raise KeyError("of the receiver")

    signals = (board.api.task_started, board.api.task_finished)
    for signal in signals:
        signal.connect(receiver)
    try:
        result = board.done(board.samples.answer.enqueue())
    finally:
        for signal in signals:
            signal.disconnect(receiver)
    assert (result.status, result.return_value) == ("SUCCESSFUL", 42)


def test_lines_of_the_log(board: Board, caplog: pytest.LogCaptureFixture) -> None:
    """Django's own: enqueued, running, successful, each with the id, none with a None."""
    caplog.set_level(logging.DEBUG, logger=board.logger)
    result = board.done(board.samples.noop.enqueue())
    lines = [record.message for record in caplog.records if record.name == board.logger]
    assert len(lines) == 3
    assert all(result.id in line for line in lines)
    for line, text in zip(lines, ("enqueued", "state=RUNNING", "state=SUCCESSFUL"), strict=True):
        assert text in line
    assert "None" not in "".join(lines)


def test_the_dashboard_behind_the_login(board: Board, shop: Shop) -> None:
    """It shows a task under its place, with its arguments; a secret among them is hidden."""
    result = board.samples.echo.enqueue("Ada", password="hunter2")  # noqa: S106  # nobody has it
    browser = shop.browser(username="ada", is_staff=True)
    html = {"accept": "text/html"}
    place = board.samples.echo.module_path
    assert place in browser.get("/queue/jobs", headers=html).text
    page = browser.get(f"/queue/jobs/{result.id}", headers=html).text
    assert place in page
    assert "Ada" in page
    assert "hunter2" not in page
    told = browser.get(f"/queue/api/jobs/{result.id}").json()
    assert told["payload"] == {"args": ["Ada"], "kwargs": {"password": "[redacted]"}}
