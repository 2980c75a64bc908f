"""`top`: one frame as text and as JSON, and a view that ends with Ctrl-C."""

from __future__ import annotations

import asyncio
from pathlib import Path
from signal import SIGINT

import pytest

from job_processor import Context, JobDef, JobProcessor
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
    """It follows what happens, and Ctrl-C ends it with 0 and gives the screen back."""
    async with apps.make(db=sqlite_db_url) as processor:
        process = start("top", "--interval", "0.1", db=sqlite_db_url, terminal=True)
        process.until("0 jobs due")
        await processor.schedule_job("greet", {"name": "Ada"})
        process.until("1 job due")
        process.send(SIGINT)
        assert process.wait() == 0
    assert process.output.rstrip().endswith("\x1b[?25h") or "\x1b[?1049l" in process.output
    assert "Traceback" not in process.output


@pytest.mark.parametrize("interval", ["0", "x", "nan", "3601"])
def test_intervals_that_are_not_allowed(cli: Cli, interval: str) -> None:
    """The message names the option, the value and what is allowed."""
    cli("top", "--interval", interval).refused(f"--interval: '{interval}'", "0.1 to 3600")
