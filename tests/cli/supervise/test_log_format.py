"""`worker --log-format`: lines for people or for programs, each with its job."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from job_processor import JobDef, JobProcessor
from job_processor.cli.supervise import logs
from job_processor.parts import parts_of
from tests.cli.processes import environment

APP = """
import logging
from job_processor import JobProcessor

logging.basicConfig(format="mine: %(message)s", level="INFO")
processor = JobProcessor("sqlite:///jobs.db")

@processor.job()
def work():
    logging.getLogger("library").warning("working")

@processor.job()
def fail():
    raise ValueError("as told")
"""
SCHEDULE = """
import asyncio
from app import processor

async def main():
    async with processor:
        await processor.schedule_jobs(["work", "fail"])

asyncio.run(main())
"""


def work(folder: Path, *options: str) -> list[str]:
    """Run two jobs in a folder; return the lines of the log."""
    (folder / "app.py").write_text(APP)
    run_python(folder, "-c", SCHEDULE)
    worker = ("-m", "job_processor", "worker", "app:processor", "--burst")
    return run_python(folder, *worker, *options).splitlines()


def run_python(folder: Path, *arguments: str) -> str:
    """Run Python in a folder; return what it writes to stderr."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={**environment(None), "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        capture_output=True,
        text=True,
        check=True,
    ).stderr


def test_json(tmp_path: Path) -> None:
    """Each line is an object; those of a run and of its end have the job."""
    lines = [json.loads(line) for line in work(tmp_path, "--log-format", "json")]
    (working,) = [line for line in lines if line["message"] == "working"]
    assert (working["logger"], working["level"], working["job_name"]) == (
        "library",
        "warning",
        "work",
    )
    ends = {line["job_name"]: line for line in lines if "duration_ms" in line}
    assert ends["work"]["job_id"] == working["job_id"]
    assert ends["work"]["total_ms"] >= ends["work"]["duration_ms"] >= 0
    assert ends["fail"]["level"] == "error"
    assert ends["fail"]["where"] == "app.py:14 in fail"
    assert ends["fail"]["exception"].endswith('line 14, in fail\n    raise ValueError("as told")')
    assert "job_id" not in lines[0]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--log-format", "console"), r"[-\d]+ [:,\d]+ WARNING  working \[work [0-9a-f]{24}\]"),
        ((), "mine: working"),
    ],
)
def test_console(tmp_path: Path, options: tuple[str, ...], expected: str) -> None:
    """Asked for, the line names the job; else what the application has set up stays."""
    assert any(re.fullmatch(expected, line) for line in work(tmp_path, *options))


@pytest.mark.parametrize(("level", "listens"), [("INFO", False), ("DEBUG", True)])
async def test_who_writes_no_line_of_a_job_listens_to_none(
    caplog: pytest.LogCaptureFixture, level: str, listens: bool
) -> None:
    """Each event costs a little, also where nothing comes of it."""
    caplog.set_level(level, "job_processor")
    async with JobProcessor("sqlite://", jobs={"echo": JobDef(lambda: None)}) as processor:
        forget = logs.log_events(processor)
        assert bool(parts_of(processor).events.listeners.all) is listens
        forget()
        assert not parts_of(processor).events.listeners.all
