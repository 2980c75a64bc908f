"""Integrations: installed once, around handlers and on jobs; one that fails harms nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

import pytest

from job_processor import CronDef, InvalidArgumentError, Job, JobDef, JobProcessor, JobStatus
from job_processor.integrations.base import HandlerRun, Host, Scope
from tests.processors import Processors

inside: ContextVar[str] = ContextVar("inside", default="nothing")


class Around:
    """Puts a scope around each handler."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def install(self, host: Host) -> None:
        """Install it."""
        host.around_handlers(self._scope)


class Recording:
    """A scope that is visible to the handler, and remembers how it was left."""

    def __init__(self) -> None:
        self.left: list[tuple[str, JobStatus | None, str, str]] = []

    @contextmanager
    def scope(self, run: HandlerRun) -> Iterator[None]:
        """Tell the handler its name."""
        token = inside.set(run.job.name)
        raised = "None"
        try:
            yield
        except BaseException as error:
            raised = repr(error)
            raise
        finally:
            inside.reset(token)
            self.left.append((run.job.name, run.status, raised, repr(run.error)))


async def test_a_scope_is_around_every_handler(processors: Processors) -> None:
    """Async and plain ones are inside, in their thread too, and end as without it."""
    seen: list[tuple[str, bool]] = []

    def note() -> str:
        seen.append((inside.get(), threading.current_thread() is threading.main_thread()))
        return inside.get()

    async def coroutine() -> str:
        return note()

    def fail() -> None:
        note()
        raise ValueError("as told")

    recording = Recording()
    jobs = {"coroutine": JobDef(coroutine), "plain": JobDef(note), "fail": JobDef(fail)}
    processor = await processors.make(jobs=jobs, integrations=[Around(recording.scope)])
    assert (await processor.run_job("coroutine")).result() == "coroutine"
    assert (await processor.run_job("plain")).result() == "plain"
    assert (await processor.run_job("fail")).status is JobStatus.ERRORED
    assert seen == [("coroutine", True), ("plain", False), ("fail", False)]
    error = "ValueError('as told')"
    assert recording.left == [
        ("coroutine", JobStatus.FINISHED, "None", "None"),
        ("plain", JobStatus.FINISHED, "None", "None"),
        ("fail", JobStatus.ERRORED, error, error),
    ]


async def test_a_failing_scope_harms_nothing(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """One that fails on its way in or out is logged; the others and the handler go on."""

    def never(run: HandlerRun) -> Any:
        raise RuntimeError("no way in")

    @contextmanager
    def trap(run: HandlerRun) -> Iterator[None]:
        yield
        raise RuntimeError("no way out")

    @contextmanager
    def swallow(run: HandlerRun) -> Iterator[None]:
        with suppress(ValueError):
            yield

    async def fine() -> str:
        return inside.get()

    async def fail() -> None:
        raise ValueError("as told")

    recording = Recording()
    scopes = [Around(scope) for scope in (never, recording.scope, trap, swallow)]
    jobs = {"fine": JobDef(fine), "fail": JobDef(fail)}
    processor = await processors.make(jobs=jobs, integrations=scopes)
    assert (await processor.run_job("fine")).result() == "fine"
    assert (await processor.run_job("fail")).status is JobStatus.ERRORED
    assert [status for _, status, _, _ in recording.left] == ["finished", "errored"]
    assert caplog.text.count("failed as it was entered") == 2
    assert caplog.text.count("failed as it was left") == 1


async def test_stamps_are_stored(processors: Processors, caplog: pytest.LogCaptureFixture) -> None:
    """What a stamp adds to a cron task is in the database; one that fails is logged."""

    class Stamping:
        def install(self, host: Host) -> None:
            host.stamp(self.fail)
            host.stamp(self.stamp)

        def fail(self, job: Job) -> None:
            raise RuntimeError("no ink")

        def stamp(self, job: Job) -> Mapping[str, Any] | None:
            return {"sentry_id": f"of {job.name}"} if job.type == "cron_task" else None

    async def nothing() -> None: ...

    processor = await processors.make(
        jobs={"a": JobDef(nothing)},
        crons={"yearly": CronDef("@yearly", nothing)},
        integrations=[Stamping()],
    )
    job = await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    by_hand = await processor.run_cron("yearly")
    page = await processor.find_jobs(type="cron_task")
    stored = {each.id: each for each in page.jobs}
    assert by_hand.id in stored
    assert [getattr(each, "sentry_id", None) for each in stored.values()] == ["of yearly"] * 2
    assert (await processor.wait_for_job(job.id)).status is JobStatus.FINISHED
    assert "a stamp failed on job 'a'" in caplog.text


@pytest.mark.parametrize("wrong", ["sentry", Around, None, object()])
def test_what_is_no_integration_is_refused(wrong: Any, sqlite_db_url: str) -> None:
    """A name, a class, nothing: the error says what one is."""
    with pytest.raises(InvalidArgumentError, match=r"integrations: .*with a method install"):
        JobProcessor(sqlite_db_url, integrations=[wrong])


async def test_two_processors_have_their_own(processors: Processors) -> None:
    """What is installed in one does not touch another of the same process."""
    recording = Recording()

    async def nothing() -> str:
        return inside.get()

    jobs = {"a": JobDef(nothing)}
    watched, other = await processors.make(jobs=jobs), await processors.make(jobs=jobs)
    watched.install(Around(recording.scope))
    assert (await other.run_job("a")).result() == "nothing"
    assert (await watched.run_job("a")).result() == "a"
    assert len(recording.left) == 1
