"""`top`: one frame as text and as JSON, and a view that ends with Ctrl-C."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGINT

import pytest
from rich.console import Console

from job_processor import Context, JobDef, JobProcessor
from job_processor.cli.views.frame import Frame
from job_processor.store.rollups import MINUTE, Rollup
from tests.cli import apps
from tests.cli.conftest import Cli, Start
from tests.processors import QUICK, eventually, working


async def tell(context: Context) -> None:
    """Tell of its progress, and wait to be stopped."""
    context.progress(0.25, "a quarter \x1b[31m")
    await context.signal.wait()


def fail() -> None:
    """Fail."""
    raise ValueError("no luck")


def test_one_frame(cli: Cli, db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has workers, counts, what runs with its progress, rates and failing names."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> tuple[str, dict[str, str]]:
        jobs = {"tell": JobDef(tell), "fail": JobDef(fail)}
        async with JobProcessor(db_url, jobs=jobs, **QUICK) as processor:
            await processor.schedule_jobs([("fail",)] * 3)
            await processor.run_worker(burst=True)  # its end writes what it has counted
            job = await processor.schedule_job("tell")

            async def told() -> bool:
                found = await processor.get_job(job.id)
                return found is not None and found.progress is not None

            async with working(processor):
                await eventually(told)
                return str(job.id), await asyncio.to_thread(_frames, cli)

    job_id, frames = asyncio.run(fill())
    for part in ("1 worker, 0 jobs due", "3 errored", "0.3 errored", job_id, "25%", "a quarter"):
        assert part in frames["text"]
    assert "Failed attempts, last 10 minutes" in frames["text"]
    assert "\x1b" not in frames["text"]


def _frames(cli: Cli) -> dict[str, str]:
    frame = cli("top", "--json").json
    assert frame["counts"]["errored"] == 3
    assert frame["counts"]["running"] == 1
    assert frame["per_minute"] == {"errored": 0.3}
    assert (len(frame["minutes"]), sum(frame["minutes"])) == (10, 3)
    assert frame["failing"] == [{"name": "fail", "failures": 3}]
    assert frame["running"][0]["progress"]["fraction"] == 0.25
    assert len(frame["workers"]) == 1
    return {"text": cli("top", "--once").text}


async def test_a_view_on_a_terminal(start: Start, sqlite_db_url: str, tmp_path: Path) -> None:
    """It follows what happens, and Ctrl-C stops it with 0 and gives the screen back."""
    async with apps.make(db=sqlite_db_url) as processor:
        process = start("top", "--interval", "0.1", db=sqlite_db_url, terminal=True)
        process.until("0 jobs due")
        await processor.schedule_job("greet", {"name": "Ada"})
        process.until("1 job due")
        process.send(SIGINT)
        assert process.wait() == 0
    assert process.output.rstrip().endswith("\x1b[?25h") or "\x1b[?1049l" in process.output
    assert "Traceback" not in process.output


@pytest.mark.parametrize("rows", [24, 40])
@pytest.mark.parametrize("failing", [0, 2, 9])
@pytest.mark.parametrize("note", ["", "away"])
def test_a_frame_fills_the_terminal(rows: int, failing: int, note: str) -> None:
    """However much there is, it neither overflows nor leaves lines unused."""
    now = "2030-01-01T00:00:30.000Z"
    task = {"_id": "0" * 24, "name": "render", "updated_at": now}
    worker = {"_id": "1" * 24, "hostname": "m", "pid": 1, "tags": None, "concurrency": 9}
    worker |= {"memory": 1, "alive": True, "lastSeen": now, "started_at": now}
    groups = [{"worker": worker, "tasks": [task] * 9}] * 30
    status = {"now": now, "workers": groups, "queue": [], "jobs": [], "crons": []}
    failures = {f"job{n}": 3 for n in range(failing)}
    ended = Rollup(MINUTE, datetime(2030, 1, 1, tzinfo=UTC), {"errored": 3}, failures)
    out = Console(file=io.StringIO(), width=80, height=rows)
    with out.capture() as capture:
        out.print(Frame("jobs.db", status, [ended], note).rendered(rows))
    lines = capture.get().splitlines()
    assert len(lines) == rows - 1
    assert lines[0].startswith("00:00:30 UTC  30 workers, 0 jobs due")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("interval", ["0", "x", "nan", "3601"])
def test_intervals_that_are_not_allowed(cli: Cli, interval: str) -> None:
    """The message names the option, the value and what is allowed."""
    cli("top", "--interval", interval).refused(f"--interval: '{interval}'", "0.1 to 3600")
