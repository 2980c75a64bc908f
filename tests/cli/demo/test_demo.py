"""`demo`, played once to its end."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from job_processor import JobProcessor
from job_processor.cli.demo.checks import Check, summary_json
from job_processor.cli.demo.jobs import PREFIX
from job_processor.cli.demo.watcher import Snapshot
from job_processor.cli.views.tables import STYLES
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
    assert f"job-processor status --db {db} --prefix {PREFIX}" in process.output
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
