"""Text that UTF-8 cannot hold: refused where a caller gives it, replaced where somebody says it."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from job_processor import (
    CronDef,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobProcessorError,
    JobRequest,
)
from job_processor.models import Attempt, LogLine, Output, Progress
from job_processor.parts import parts_of
from job_processor.texts import shown, storable, told
from tests.processors import Processors

ODD = os.fsdecode(b"caf\xe9")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def nothing() -> None:
    """Do nothing."""


CALLS: dict[str, Callable[[JobProcessor], Any]] = {
    "schedule_job name": lambda p: p.schedule_job(ODD),
    "schedule_job payload value": lambda p: p.schedule_job("a", {"deep": [{"x": ODD}]}),
    "schedule_job payload key": lambda p: p.schedule_job("a", {ODD: 1}),
    "schedule_job unique_key": lambda p: p.schedule_job("a", unique_key=ODD),
    "schedule_job on_conflict": lambda p: p.schedule_job("a", unique_key="k", on_conflict=ODD),  # type: ignore[arg-type]  # bad input
    "schedule_jobs": lambda p: p.schedule_jobs([JobRequest("a", {"x": ODD})]),
    "run_job": lambda p: p.run_job("a", {"x": ODD}),
    "get_job": lambda p: p.get_job(ODD),
    "kill_job": lambda p: p.kill_job(ODD),
    "retry_job": lambda p: p.retry_job(ODD),
    "delete_job": lambda p: p.delete_job(ODD),
    "wait_for_job": lambda p: p.wait_for_job(ODD),
    "stop_worker": lambda p: p.stop_worker(ODD),
    "find_jobs name": lambda p: p.find_jobs(ODD),
    "find_jobs status": lambda p: p.find_jobs(status=ODD),
    "find_jobs type": lambda p: p.find_jobs(type=ODD),  # type: ignore[arg-type]  # bad input
    "find_jobs after": lambda p: p.find_jobs(after=ODD),
    "find_jobs error": lambda p: p.find_jobs(error=ODD),
    "find_jobs payload value": lambda p: p.find_jobs(payload={"x": ODD}),
    "find_jobs payload key": lambda p: p.find_jobs(payload={f"a.{ODD}": 1}),
    "act_on_jobs": lambda p: p.act_on_jobs("kill", error=ODD),
    "pause name": lambda p: p.pause(ODD),
    "pause tag": lambda p: p.pause(tag=ODD),
    "resume": lambda p: p.resume(tag=ODD),
    "run_cron": lambda p: p.run_cron(ODD),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_what_a_caller_gives_is_refused(
    processors: Processors, call: Callable[[JobProcessor], Any]
) -> None:
    """With one of our errors, which names the argument, and nothing is stored."""
    processor = await processors.make(jobs={"a": JobDef(nothing)})
    with pytest.raises(JobProcessorError) as raised:
        await call(processor)
    str(raised.value).encode()
    assert (await processor.find_jobs()).jobs == ()


@pytest.mark.parametrize(
    "make",
    [
        lambda: JobDef(nothing, tag=ODD),
        lambda: CronDef(ODD, nothing),
        lambda: CronDef("* * * * *", nothing, timezone=ODD),
        lambda: CronDef("* * * * *", nothing, tag=ODD),
        lambda: JobProcessor("sqlite://", worker_tags=[ODD]),
        lambda: JobProcessor("sqlite://", service=ODD),
        lambda: JobProcessor("sqlite://", timezone=ODD),
        lambda: JobProcessor("sqlite://", collection_prefix=ODD),
        lambda: JobProcessor("sqlite://", jobs={ODD: JobDef(nothing)}),
        lambda: JobProcessor("sqlite://").job(ODD)(nothing),
        lambda: JobProcessor("sqlite://").cron("* * * * *", ODD)(nothing),
    ],
)
def test_what_a_definition_names_is_refused(make: Callable[[], Any]) -> None:
    """When it is defined, long before anything of it reaches a database."""
    with pytest.raises(InvalidArgumentError) as raised:
        make()
    str(raised.value).encode()


async def test_what_a_host_and_a_dashboard_say(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The name of a machine and the notes of the audit are kept and told, with a replacement."""
    caplog.set_level(logging.INFO, "job_processor")
    monkeypatch.setattr(socket, "gethostname", lambda: f"host-{ODD}")
    processor, _ = await processors.start()
    assert f"as host-caf?:{os.getpid()}" in caplog.text
    caplog.text.encode()
    (worker,) = (await processor.get_registrations()).workers
    assert worker.hostname == "host-caf?"
    await processor.add_audit(ODD, ODD, ODD)
    (entry, *_) = await processor.get_audit()
    assert (entry.who, entry.action, entry.subject) == ("caf?", "caf?", "caf?")


async def test_what_an_integration_stamps(processors: Processors) -> None:
    """Text that a stamp adds to a job is kept, with a replacement."""
    processor = await processors.make(jobs={"a": JobDef(nothing)})
    parts_of(processor).stamps.add(lambda job: {"traceparent": ODD})  # as an integration may
    job = await processor.schedule_job("a")
    assert await processor.get_job(job.id) == job
    assert job.traceparent == "caf?"


@given(st.text(st.characters(exclude_categories=())))
def test_whatever_is_told_can_be_kept(text: str) -> None:
    """Log, progress, output and attempts hold only text that UTF-8 can hold."""
    made = [
        LogLine(NOW, text).text,
        Progress(0.5, text, NOW).message,
        Output("1 s", error=text).error,
        Attempt(1, NOW, NOW, text, ObjectId()).error,
        told(text, 1000),
        shown(text, 1000),
        storable(text),
    ]
    for each in made:
        assert each is not None
        each.encode()
    if storable(text) == text:
        assert made[:4] == [text] * 4


class Silent:
    """What raises when it is asked what it is."""

    def __str__(self) -> str:
        raise KeyboardInterrupt

    def __repr__(self) -> str:
        raise GeneratorExit


class Loud(str):
    """A text with a mind of its own."""

    __slots__ = ()

    def __len__(self) -> int:
        return 3

    def isascii(self) -> bool:
        """Raise."""
        raise ValueError

    def __str__(self) -> str:
        return self


def test_telling_never_raises() -> None:
    """What says nothing is named by its class; a derived class of text has no say."""
    assert told(Silent(), 100) == "<Silent whose str() raised KeyboardInterrupt>"
    assert shown(Silent(), 100) == "<Silent whose repr() raised GeneratorExit>"
    assert told(Loud(ODD * 100), 50).startswith("caf?caf?")
    assert type(told(Loud("abc"), 50)) is str
