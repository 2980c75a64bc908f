"""What a worker says when it starts: who it is, where it works, and what it serves."""

from __future__ import annotations

import logging
import os

import pytest

from job_processor import CronDef, JobDef, JobProcessor
from job_processor.parts import parts_of
from job_processor.version import version
from job_processor.worker.serving import lines
from tests.definitions import nothing
from tests.processors import Processors


def told(processor: JobProcessor) -> list[str]:
    """Return the lines."""
    return list(lines(parts_of(processor), "ID"))


async def test_a_worker_lists_what_it_serves(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """At INFO: names by tag, crons with their next times, the database, the version."""
    caplog.set_level(logging.INFO, "job_processor")
    jobs = {"mail": JobDef(nothing), "resize": JobDef(nothing, tag="gpu"), "far": JobDef(None)}
    crons = {"nightly": CronDef("0 2 * * *", nothing, timezone="Europe/Paris")}
    processor, _ = await processors.start(jobs=jobs, crons=crons, worker_tags=None)
    text = "\n".join(caplog.messages)
    for part in (processor.address, f":{os.getpid()}", version(), "all tags", "10 at a time"):
        assert part in text
    assert "jobs: mail\n" in text
    assert "jobs with tag 'gpu': resize\n" in text
    assert "cron nightly: 0 2 * * * in Europe/Paris, next 20" in text
    assert "far" not in text.replace("ffar", "")


def test_what_others_serve_is_named() -> None:
    """What this worker leaves is told, so that nobody waits for it here."""
    jobs = {"mail": JobDef(nothing), "resize": JobDef(nothing, tag="gpu")}
    processor = JobProcessor("sqlite://", jobs=jobs, worker_tags=["mail"])
    first, *rest = told(processor)
    assert "tags mail" in first
    assert rest == ["jobs: mail", "left to workers with other tags: resize"]


def test_nothing_is_served() -> None:
    """Whoever started the wrong module sees it at once."""
    assert told(JobProcessor("sqlite://"))[1:] == [
        "it serves nothing: no job and no cron has a handler here"
    ]


def test_hundreds_of_names_are_few_lines() -> None:
    """However many there are, what is told stays readable, and says how many more there are."""
    jobs = {f"job{n}": JobDef(nothing, tag=f"tag{n % 50}") for n in range(900)}
    crons = {f"cron{n}": CronDef("* * * * *", nothing) for n in range(300)}
    text = told(JobProcessor("sqlite://", jobs=jobs, crons=crons))
    assert len(text) < 30
    assert max(map(len, text)) < 1000
    assert "and 720 more jobs with 40 other tags" in text
    assert any(line.startswith("and 290 more crons: cron10, ") for line in text)
    many = told(JobProcessor("sqlite://", jobs={f"j{n}": JobDef(nothing) for n in range(500)}))
    assert many[1].endswith("j19 and 480 more")


@pytest.mark.parametrize("url", ["mongodb://ada:pass-word@db.example/shop?authSource=x"])
def test_no_credentials(url: str) -> None:
    """The address of the database is told without them."""
    (line, *_) = told(JobProcessor(url))
    assert "db.example" in line
    assert "pass-word" not in line
    assert "ada" not in line
