"""`PROCESSOR`: tasks on another processor than that of the project."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from job_processor import InvalidArgumentError, JobProcessor
from job_processor.integrations.django import isolation
from job_processor.integrations.django.connections import _wrapped
from job_processor.parts import parts_of
from tests.integrations.django.conftest import Shop
from tests.integrations.django.tasks.conftest import BACKEND, Board
from tests.integrations.django.tasks.processors import reports as given

REPORTS = {
    "BACKEND": BACKEND,
    "QUEUES": [],
    "OPTIONS": {"PROCESSOR": "tests.integrations.django.tasks.processors.reports"},
}


@pytest.fixture
def reports(board: Board, db_url: str) -> Iterator[JobProcessor]:
    """A processor with a database of its own, and a backend of that name."""
    from job_processor.integrations.django.tasks.places import place_of  # noqa: PLC0415  # after the settings

    undo = given.override(db=db_url)
    with board.also(reports=REPORTS):
        place_of(REPORTS["OPTIONS"]["PROCESSOR"])  # type: ignore[index]  # as the backend does
        yield given
        place_of(REPORTS["OPTIONS"]["PROCESSOR"]).client.close()  # type: ignore[index]  # a dictionary
    asyncio.run(given.close())
    undo()


def work(processor: JobProcessor) -> None:
    """Run what is due on a processor."""

    async def burst() -> None:
        async with processor.twin() as twin:
            await twin.run_worker(burst=True)

    asyncio.run(burst())


def test_it_is_stored_and_run_there(board: Board, shop: Shop, reports: JobProcessor) -> None:
    """The project's own workers do not see it; its result is read from there."""
    task = board.samples.echo.using(backend="reports")
    result = task.enqueue(1)
    board.work()
    assert shop.jobs() == []
    assert task.get_result(result.id).status == "READY"
    work(reports)
    result.refresh()
    assert (result.return_value, result.backend) == ([[1], {}], "reports")
    with pytest.raises(board.api.TaskResultDoesNotExist):
        board.samples.echo.get_result(result.id)


async def test_from_async_code(board: Board, reports: JobProcessor) -> None:
    """The same from async code."""
    task = board.samples.echo.using(backend="reports")
    result = await task.aenqueue(1)
    assert (await task.aget_result(result.id)).status == "READY"


def test_what_it_has_of_the_project(board: Board, reports: JobProcessor) -> None:
    """Its workers find tasks that were made in another process; Django's connections are closed."""
    result = board.samples.echo.using(backend="reports", queue_name="made up").enqueue(3)
    definition = reports.registry.jobs.pop(f"{board.samples.echo.module_path}@made up")
    reports.registry._served.clear()
    assert definition.tag == "made up"
    work(reports)
    result.refresh()
    assert result.return_value == [[3], {}]
    assert _wrapped in parts_of(reports).scopes.wrappers.all


def test_the_command_line(board: Board, reports: JobProcessor, capfd: Any) -> None:
    """`--backend` has each command on that processor, its worker too."""
    result = board.samples.echo.using(backend="reports").enqueue(2)
    call_command("job_processor", "--backend", "reports", "worker", "--burst")
    result.refresh()
    assert result.return_value == [[2], {}]
    call_command("job_processor", "--backend", "reports", "jobs", "--json")
    assert result.id in capfd.readouterr().out


def test_a_backend_that_there_is_not(board: Board) -> None:
    """The command says which there are."""
    with pytest.raises(SystemExit) as left:
        call_command("job_processor", "--backend", "nothing", "worker", "--burst")
    assert left.value.code == 2


def test_while_tests_run(
    board: Board, reports: JobProcessor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on the tests' database, as the processor of the project is."""
    address = f"sqlite:///{tmp_path}/tests.db"
    monkeypatch.setenv("JOB_PROCESSOR_DJANGO_TEST_DB", f"{os.getppid()} {address}")
    assert isolation.test_database() == address
    chosen, reports._chosen = reports._chosen, reports._db  # type: ignore[attr-defined]  # it was adopted
    try:
        assert reports.twin().address == f"{tmp_path}/tests.db"
    finally:
        reports._chosen = chosen  # type: ignore[attr-defined]  # the same
    with pytest.raises(InvalidArgumentError):
        JobProcessor("sqlite://").twin()
