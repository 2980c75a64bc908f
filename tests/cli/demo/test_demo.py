"""`demo`, played once to its end."""

from __future__ import annotations

import re
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from job_processor import JobProcessor, JobStatus, SimpleJob
from job_processor.cli.app.program import program
from job_processor.cli.demo.checks import Check, summary_json
from job_processor.cli.demo.figures import figures_of
from job_processor.cli.demo.jobs import PREFIX
from job_processor.cli.demo.keeping import leave, make_folder
from job_processor.cli.demo.story import Story
from job_processor.cli.demo.watcher import Snapshot
from job_processor.cli.views.tables import STYLES
from tests import samples
from tests.cli.conftest import Start


async def counted(db: str) -> dict[str, Counter[str]]:
    """Return how many jobs of each name the database has in each status."""
    counts: dict[str, Counter[str]] = {}
    async with JobProcessor(db, collection_prefix=PREFIX) as processor:
        page = await processor.find_jobs(limit=1000)
        assert page.next is None
        for job in page.jobs:
            counts.setdefault(job.name, Counter())[job.status.value] += 1
        assert not (await processor.get_healthcheck())["workers"]
    return counts


def printed(output: str) -> dict[str, Counter[str]]:
    """Return the counts of the summary."""
    counts = {}
    for line in output.partition("What the database says")[2].splitlines():
        name, *numbers = line.split() or [""]
        if len(numbers) == len(STYLES) and all(re.fullmatch(r"\d+|-", each) for each in numbers):
            pairs = zip(STYLES, numbers, strict=True)
            counts[name] = Counter({status: int(n) for status, n in pairs if n != "-"})
    return counts


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_whole_demo(start: Start, tmp_path: Path) -> None:
    """It ends by itself with exit code 0; each check is met, and the counts are the database's."""
    db = f"sqlite:///{tmp_path / 'demo.db'}"
    process = start("demo", "--db", db)
    assert process.wait(timeout=120) == 0, process.output
    for part in ("workers are ready", "are scheduled", "is dead (SIGKILL)", "All jobs have ended"):
        process.until(part)
    assert process.output.count("✓") == 9
    assert "✗" not in process.output
    assert "All went as expected." in process.output
    figures = process.output.partition("What the database says")[2]
    for part in (
        r"done +4\d\d jobs in [\d.]+ s: 4\d\d finished, 2 errored, ",
        r"retried +2 failed attempts",
        r"rescued +[1-4] jobs? of the killed worker, by others, [\d.]+ s after its death",
        r"picked up +half within [\d.]+ m?s of their time, nine in ten within [\d.]+ m?s",
        rf"Next\n.*\n  python -m job_processor web --db {db} --prefix {PREFIX}\n",
        rf"\n  python -m job_processor jobs --db {db} --prefix {PREFIX} --status errored\n",
        r"\n  python -m job_processor init shop\n",
    ):
        assert re.search(part, figures), (part, figures)
    assert "\x1b" not in process.output
    assert printed(process.output) == await counted(db)


def test_its_summary_as_json() -> None:
    """It has the checks as they were made, and is met only when there are some and all are."""
    checks = [Check("a", "finished", "finished", True), Check("b", "finished", "killed", False)]
    seen = Snapshot(datetime.now(UTC))
    told = summary_json(seen, checks)
    assert (told["met"], told["counts"]) == (False, {})
    assert told["checks"][1] == {
        "name": "b",
        "expected": "finished",
        "happened": "killed",
        "met": False,
    }
    assert summary_json(seen, checks[:1])["met"] is True
    assert summary_json(seen, [])["met"] is False


def test_the_figures() -> None:
    """Come from the times in the database; what a crash did counts as no retry and as no delay."""
    began = datetime(2026, 3, 2, 12, tzinfo=UTC)

    def job(n: int, late: float, **fields: Any) -> SimpleJob:
        due = began + timedelta(seconds=n)
        values = {
            "scheduled_for": due,
            "started_at": due + timedelta(seconds=late),
            "ended_at": due + timedelta(seconds=20),
            "status": JobStatus.FINISHED,
        }
        return samples.simple(at=began, **{**values, **fields})

    jobs = [job(n, n / 1000) for n in range(1, 11)]
    again = job(11, 5, attempt=3, status=JobStatus.ERRORED)
    at_once = job(0, 7)
    orphan = job(12, 9, attempt=2)
    waiting = job(13, 0, ended_at=None, started_at=None, status=JobStatus.PENDING)
    story = SimpleNamespace(orphans={orphan.id}, noticed_after=4.25)
    seen = Snapshot(began, (*jobs, again, at_once, orphan, waiting))
    figures = figures_of(seen, cast(Story, story))
    assert figures.as_json() == {
        "ended": {"finished": 12, "errored": 1},
        "seconds": 32.0,
        "retries": 2,
        "rescued": 1,
        "noticed_after": 4.25,
        "picked_up": {"half": 0.005, "nine_in_ten": 0.009},
    }
    assert figures.lines()["picked up"] == "half within 5 ms of their time, nine in ten within 9 ms"
    nothing = figures_of(
        Snapshot(began), cast(Story, SimpleNamespace(orphans=(), noticed_after=None))
    )
    assert nothing.lines() == {
        "done": "0 jobs in 0 ms: ",
        "retried": "0 failed attempts, each after a pause",
    }


def test_a_database_stays_until_the_next_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing else does: neither logs, nor what went wrong, nor an earlier one."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first, playing = make_folder(), make_folder()
    for name in ("demo.db", "demo.db-wal", "worker-1.log"):
        (first / name).touch()
    leave(first, keep=True)
    assert {path.name for path in first.iterdir()} == {"demo.db", "demo.db-wal", "ended"}
    second = make_folder()
    assert not first.exists()
    assert playing.exists()
    (second / "demo.db").touch()
    leave(second, keep=False)
    leave(playing, keep=True)
    assert list(tmp_path.iterdir()) == []


def test_commands_can_be_typed_as_they_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the name alone where the shell finds this program by it, else by its path."""
    script = tmp_path / "bin" / "job-processor"
    script.parent.mkdir()
    script.touch(mode=0o755)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", [str(script)])
    assert program() == "bin/job-processor"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "job-processor"
    monkeypatch.setattr(sys, "argv", ["/lib/job_processor/__main__.py"])
    assert program() == "python -m job_processor"
    monkeypatch.setattr(sys, "argv", ["manage.py"])
    assert program() == "job-processor"
