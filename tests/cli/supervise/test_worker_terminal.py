"""`worker` on a terminal: a live view, and one line at its end."""

from __future__ import annotations

import re
from pathlib import Path
from signal import SIGINT

import pytest

from tests.cli import apps
from tests.cli.conftest import Start
from tests.cli.processes import COLUMNS

APP = "tests.cli.apps:make"
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


async def test_live_view(start: Start, sqlite_db_url: str, tmp_path: Path) -> None:
    """The view has the slots, what runs and what ended; nothing is wider than the terminal."""
    async with apps.make(db=sqlite_db_url) as processor:
        fail = await processor.schedule_job("fail")
        job = await processor.schedule_job("until_released")
        process = start("worker", APP, db=sqlite_db_url, terminal=True)
        process.until("1 of 10 slots")
        process.until(str(job.id))
        process.until("Last ended here")
        process.until(str(fail.id))
        process.send(SIGINT)
        process.until("stopping; running jobs")
        (tmp_path / apps.RELEASE).touch()
        assert process.wait() == 0
    assert "\x1b[" in process.output
    shown = CODES.sub("", process.output).replace("\r", "\n").splitlines()
    assert max(map(len, shown)) <= COLUMNS
    assert re.fullmatch(r"The worker stopped after .*: 1 errored, 1 finished\.", shown[-1])
    assert not any("Traceback" in line for line in shown)
    assert any("fail failed (ValueError:  [31mno; luck) after " in line for line in shown)
    assert "\x1b[31mno" not in process.output


@pytest.mark.slow
async def test_tables_on_a_terminal(start: Start, sqlite_db_url: str) -> None:
    """A table is coloured and fits the terminal; JSON is indented, and plain."""
    async with apps.make(db=sqlite_db_url):
        pass  # commands that look make no database
    process = start("status", db=sqlite_db_url, terminal=True)
    assert process.wait() == 0
    assert "\x1b[" in process.output
    process = start("status", "--json", db=sqlite_db_url, terminal=True)
    assert process.wait() == 0
    assert process.output.startswith('{\n  "now": ')
    assert "\x1b" not in process.output
