"""The wall clock of a machine, or of one process, steps: nobody lives or dies by it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from job_processor import JobStatus
from tests.acceptance.test_schedules import until_made
from tests.acceptance.workers import Site, WorkerProcess

pytestmark = pytest.mark.timeout(240)

TEN_YEARS = 10 * 365 * 86_400
STEPS = [1, -1, 600, -600, TEN_YEARS, -TEN_YEARS]
"""Seconds by which it is set forward or back; between two steps it is right again."""


class WallClock:
    """The wall clock of the processes that were started with `environment`."""

    def __init__(self, folder: Path, library: Path) -> None:
        self._file = folder / "shift.txt"
        self.set(0)
        self.environment = {"LD_PRELOAD": str(library), "SHIFT_FILE": str(self._file)}

    def set(self, seconds: int) -> None:
        """Let it be so many seconds ahead."""
        new = self._file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._file)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled `shift.c`."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler, which makes what sets a process's clock")
    built = tmp_path_factory.mktemp("shift") / "shift.so"
    source = Path(__file__).with_name("shift.c")
    command = [compiler, "-shared", "-fPIC", "-o", str(built), str(source), "-ldl"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"what sets a process's clock cannot be compiled here: {made.stderr[:200]}")
    return built


async def test_schedules_outlive_steps_of_the_wall_clock(
    make_site: Callable[..., Any], sqlite_db_url: str, tmp_path: Path, library: Path
) -> None:
    """An hour ahead and back again: whatever the clock says, the next moment comes soon."""
    site: Site = await make_site(sqlite_db_url)
    clock = WallClock(tmp_path, library)
    site.environment = clock.environment
    await site.processor.put_schedule("each", every=1, job="plain")
    site.start_worker()
    for step in (0, 3600, 0, -3600, 0):
        clock.set(step)
        schedule = await site.processor.get_schedule("each")
        assert schedule is not None
        await until_made(site, schedule.made + 3)


@pytest.mark.parametrize("whose", ["everybody's", "one worker's"])
async def test_steps_of_the_wall_clock(
    make_site: Callable[..., Any], sqlite_db_url: str, tmp_path: Path, library: Path, whose: str
) -> None:
    """Each way, from a second to ten years: runs go on; then a death is noticed all the same."""
    site: Site = await make_site(sqlite_db_url, concurrency=2)
    clock = WallClock(tmp_path, library)
    site.environment = clock.environment
    first = site.start_worker()
    site.environment = clock.environment if whose == "everybody's" else {}
    site.start_worker()
    await site.until_workers(2)
    for step in STEPS:
        started = len(site.lines("start"))
        # Longer than the timeout of 1.5 s, with time for two rescuers to make up their mind.
        jobs = await site.processor.schedule_jobs([("deaf", {"seconds": 3.5})] * 4)
        await site.until_started(started + 4)
        clock.set(step)
        for done in await site.settled(jobs):
            assert (done.status, done.crashes) == (JobStatus.FINISHED, 0), step
        clock.set(0)
    assert len(site.lines("start")) == 4 * len(STEPS)
    for worker in site.workers:
        assert "is dead" not in worker.log
    assert "this machine's clock was set" in first.log
    await assert_a_death_is_noticed(site, clock)


async def assert_a_death_is_noticed(site: Site, clock: WallClock) -> None:
    """Whoever dies with its clock far ahead leaves nothing running."""
    clock.set(TEN_YEARS)
    started = len(site.lines("start"))
    clock.set(0)
    until = site.folder / "released"
    (job,) = await site.processor.schedule_jobs([("resumable", {"until": str(until)})])
    lines = await site.until_started(started + 1)
    line = next(line for line in lines if line["job"] == str(job.id))
    clock.set(TEN_YEARS)
    holder = worker_of(site, line["pid"])
    holder.kill()
    until.touch()
    clock.set(0)
    (done,) = await site.settled([job])
    assert done.status is JobStatus.FINISHED
    assert len(site.lines("start")) == started + 2


def worker_of(site: Site, pid: int) -> WorkerProcess:
    """Return the worker with this process id."""
    return next(worker for worker in site.workers if worker.pid == pid)
