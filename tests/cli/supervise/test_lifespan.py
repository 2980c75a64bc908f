"""The lifespan of an application, as `worker` enters it and leaves it."""

from __future__ import annotations

from pathlib import Path
from signal import SIGTERM

import pytest

from tests.cli import apps
from tests.cli.conftest import Start

APP = "tests.cli.apps:make_opening"


async def test_it_is_left_after_the_last_job(
    start: Start, sqlite_db_url: str, tmp_path: Path
) -> None:
    """The job that runs when the signal comes ends before; the worker leaves with 0."""
    async with apps.make(db=sqlite_db_url) as processor:
        job = await processor.schedule_job("until_released")
        process = start("worker", APP, "--log-level", "debug", db=sqlite_db_url)
        process.until("opened")
        process.until(f"claimed job 'until_released' ({job.id})")
        process.send(SIGTERM)
        process.until("SIGTERM: stopping")
        (tmp_path / apps.RELEASE).touch()
        assert process.wait() == 0
        said = process.output
        assert said.index("finished job 'until_released'") < said.index("closed")
        assert (said.count("opened"), said.count("closed")) == (1, 1)
        assert not (await processor.get_healthcheck())["workers"]


@pytest.mark.parametrize(("own", "found"), [(None, 10_000), ("1234", 1234)])
async def test_what_it_consists_of_is_no_garbage(
    start: Start,
    sqlite_db_url: str,
    monkeypatch: pytest.MonkeyPatch,
    own: str | None,
    found: int,
) -> None:
    """The collector does not go through a worker, or what it runs, again and again."""
    async with apps.make_telling_what_is_spared(db=sqlite_db_url) as processor:
        job = await processor.schedule_job("tell")
        if own is not None:
            monkeypatch.setenv("GC_THRESHOLD", own)
        process = start(
            "worker", "tests.cli.apps:make_telling_what_is_spared", "--burst", db=sqlite_db_url
        )
        assert process.wait() == 0
        frozen, threshold = (await processor.wait_for_job(job.id)).result()
        assert frozen > 10_000
        assert threshold == found


def test_one_that_fails_is_told_once(start: Start, sqlite_db_url: str) -> None:
    """By the traceback of the application, and by the exit code 1; no worker was there."""
    process = start("worker", "tests.cli.apps:make_unopened", db=sqlite_db_url)
    assert process.wait() == 1
    told = "the lifespan tests.cli.apps.fails failed as it was entered: ConnectionError: no pool"
    assert f"CRITICAL {told}; the worker does not start" in process.output
    assert process.output.count("Traceback") == 1
    assert "worker/resources.py" not in process.output
    assert "worker started" not in process.output


@pytest.mark.slow
def test_each_process_has_its_own(start: Start, sqlite_db_url: str) -> None:
    """As many are entered and left as there are processes."""
    process = start("worker", APP, "--processes", "2", db=sqlite_db_url)
    process.until("process 1 works")
    process.until("process 2 works")
    process.send(SIGTERM)
    assert process.wait() == 0
    assert (process.output.count("opened"), process.output.count("closed")) == (2, 2)
