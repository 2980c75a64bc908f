"""Workers find tasks: in the modules of apps, and by the names that are listed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.core.management import call_command

from job_processor import Event, EventKind, JobDef, JobProcessor
from job_processor.integrations.django import get_client
from job_processor.integrations.django.tasks import listing
from job_processor.integrations.django.tasks.discovery import Finder
from job_processor.integrations.django.tasks.task import decorated
from job_processor.jobs.services import KIND, names_of
from job_processor.parts import ready_parts_of
from job_processor.sync import portal_of
from tests.integrations.django.tasks.conftest import Board
from tests.processors import WAIT

MODULE = "tests.integrations.django.tasks.elsewhere"
FAR = f"{MODULE}.far"


@pytest.fixture
def far(both: Board) -> Iterator[Any]:
    """A task of a module that no app has; forgotten at the end."""
    yield import_module(MODULE).far
    forget(both)


def forget(board: Board) -> None:
    """Let this process be one that has never imported that module."""
    sys.modules.pop(MODULE, None)
    decorated.pop(FAR, None)
    for name in [name for name in board.processor.registry.jobs if name.startswith(FAR)]:
        del board.processor.registry.jobs[name]
    board.processor.registry.served(None)
    board.processor.registry._served.clear()


def listed() -> set[str]:
    """Return the names that this service has listed; none is listed for being asked."""

    async def read(processor: JobProcessor) -> set[str]:
        return names_of("default", await ready_parts_of(processor).store.settings.all(KIND))

    return portal_of(get_client()).call(read)


def test_the_tasks_of_apps(board: Board) -> None:
    """Their modules `tasks` are imported as Django starts, and define their jobs."""
    jobs = board.processor.registry.jobs
    assert jobs["shop.tasks.send_receipt"].tag == "mail"
    assert jobs["shop.tasks.send_receipt"].retry == 3  # of the OPTIONS of the shop
    assert jobs["shop.tasks.remind"].tag == "default"


def test_a_module_that_no_worker_imports(
    both: Board, far: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever enqueues lists the name, and a worker imports the task before it begins."""

    async def never(_: Finder) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Finder, "run", never)
    forget(both)
    both.samples.noop.enqueue()  # what is known by now was listed as this connected
    result = import_module(MODULE).far.enqueue()
    assert FAR in listed()
    forget(both)
    both.done(result)
    assert (result.status, result.return_value) == ("SUCCESSFUL", "found")


async def test_while_a_worker_runs(both: Board, far: Any) -> None:
    """It hears of a name that another process lists later."""
    forget(both)
    started, ran = asyncio.Event(), asyncio.Event()

    def on_event(event: Event) -> None:
        if event.kind is EventKind.WORKER_STARTED:
            started.set()
        if event.kind is EventKind.FINISHED and event.job and event.job.name == FAR:
            ran.set()

    async with both.processor.twin() as processor, asyncio.timeout(WAIT):
        forget_listener = processor.listen(on_event)
        worker = asyncio.create_task(processor.run_worker())
        try:
            await started.wait()
            assert FAR not in both.processor.registry.jobs
            async with JobProcessor(both.db_url, jobs={FAR: JobDef(lambda: None)}) as other:
                await other.schedule_job(FAR, {"args": [], "kwargs": {}})
            await ran.wait()
        finally:
            worker.cancel()
            await asyncio.wait([worker])
            forget_listener()


def test_what_workers_find_is_not_listed(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task of an app's module costs no statement more; of another module only the first."""
    calls: list[str] = []

    async def count(*_: Any) -> None:
        calls.append("listed")

    monkeypatch.setattr(listing, "list_names", count)
    shop = import_module("shop.tasks")
    shop.remind.enqueue()
    assert calls == []
    board.samples.noop.enqueue()
    board.samples.noop.enqueue()
    assert calls == ["listed"]
    shop.remind.using(queue_name="urgent").enqueue()
    assert calls == ["listed"] * 2


def test_another_queue(both: Board, far: Any) -> None:
    """It follows in the name of the job, and is its tag; the result has it."""
    result = far.using(queue_name="urgent").enqueue()
    job = both.job(result)
    assert job.name == f"{FAR}@urgent"
    assert both.processor.registry.jobs[job.name].tag == "urgent"
    assert both.backend.get_result(result.id).task == far.using(queue_name="urgent")
    forget(both)
    assert both.done(result).return_value == "found"


def test_queues_are_tags(both: Board) -> None:
    """A worker with tags takes the tasks of those queues alone."""
    usual = both.samples.answer.enqueue()
    urgent = both.samples.answer.using(queue_name="urgent").enqueue()
    undo = both.processor.override(worker_tags=["urgent"])
    try:
        both.work()
    finally:
        undo()
    statuses = [both.backend.get_result(each.id).status for each in (usual, urgent)]
    assert statuses == ["READY", "SUCCESSFUL"]
    assert both.done(usual).status == "SUCCESSFUL"


def test_names_that_are_no_tasks(
    both: Board, far: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Other jobs are listed, too: what is no task of this project is let be."""
    registry = both.processor.registry
    for name in ("shop.models.Order", "no.such.place", "plain", "a b.c", "sys.path@queue"):
        registry.jobs[name] = registry.jobs["count"]
    try:
        result = far.enqueue()
        assert "no.such.place" in listed()
    finally:
        for name in ("shop.models.Order", "no.such.place", "plain", "a b.c", "sys.path@queue"):
            del registry.jobs[name]
        registry._served.clear()
    forget(both)
    assert both.done(result).status == "SUCCESSFUL"
    assert "no.such.place" not in registry.jobs
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_task_that_is_gone(both: Board, far: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a worker that has it; its result says why there is none here."""
    result = far.enqueue()
    forget(both)
    monkeypatch.setitem(sys.modules, MODULE, None)  # as if it was removed
    both.work()
    assert both.job(result).status == "pending"
    with pytest.raises(both.api.TaskResultDoesNotExist, match=f"no task '{FAR}'"):
        both.backend.get_result(result.id)


def test_tasks_that_workers_cannot_find(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a script, under the name of another, or removed since: refused as they are enqueued."""
    lost = board.samples.plain(lost_function)
    with pytest.raises(board.api.InvalidTask, match="what is there is a function"):
        lost.enqueue()
    other = board.samples.plain(function_of_another_name)
    with pytest.raises(board.api.InvalidTask, match="workers find another one there"):
        other.enqueue()
    monkeypatch.setattr(lost_function, "__module__", "__main__")
    with pytest.raises(board.api.InvalidTask, match="defined in a script"):
        lost.enqueue()
    del decorated[f"{__name__}.lost_function"]


def test_from_the_command_line(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    """A task is scheduled as any job is, with its arguments as the payload, or none."""
    call_command(
        "job_processor", "schedule", "shop.tasks.remind", "--payload", '{"kwargs": {"days": 3}}'
    )
    call_command("job_processor", "schedule", "shop.tasks.remind")
    board.work()
    capsys.readouterr()
    call_command("job_processor", "jobs", "--status", "finished")
    assert capsys.readouterr().out.count("shop.tasks.remind") == 2


def lost_function() -> None:
    """Stand where a task would be looked for."""


def function_of_another_name() -> None:
    """Say that it is another one."""


function_of_another_name.__qualname__ = "answer"
function_of_another_name.__module__ = "tests.integrations.django.tasks.samples"
