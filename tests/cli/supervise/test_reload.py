"""`worker --reload`: a real worker starts again when a file changes, and outlives a slip."""

from __future__ import annotations

from pathlib import Path
from signal import SIGINT

import pytest

from tests.cli.conftest import Start

APP = """from job_processor import JobProcessor

processor = JobProcessor(logger=None)
processor.logger.warning("version {}")
"""


@pytest.mark.slow
def test_a_change_starts_it_again(start: Start, tmp_path: Path, sqlite_db_url: str) -> None:
    """An error in the file is shown and waits for the next change; other files change nothing."""
    file = tmp_path / "app.py"
    file.write_text(APP.format("one"))
    process = start("worker", "app:processor", "--reload", db=sqlite_db_url)
    process.until("version one")
    process.until("worker started")
    (tmp_path / "notes.txt").write_text("no Python")
    file.write_text("def broken(:\n")
    process.until("app.py changed: starting again")
    process.until("worker stopped")
    process.until("Error: APP: importing 'app' failed: SyntaxError")
    process.until("app.py, line 1")
    process.until("it is started again at the next change of a Python file")
    file.write_text(APP.format("number two"))
    process.until("version number two")
    process.until("worker started")
    process.send(SIGINT)
    assert process.wait() == 0, process.output
    assert "notes.txt" not in process.output
    assert "Traceback" not in process.output
