"""stdout that is closed, full, read no further, or in an old encoding: never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli import apps
from tests.cli.conftest import Shell

FULL = "No space left on device"
ROOT = Path(__file__).parents[3]
on_linux = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


async def _fill(db: str) -> None:
    async with apps.make(db=db) as processor:
        await processor.schedule_jobs([("greet", {"name": "é"}) for _ in range(3)])
        await processor.run_worker(burst=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("jobs >&-", 0, ""),
        pytest.param("jobs > /dev/full", 1, FULL, marks=on_linux),
        pytest.param("jobs --json > /dev/full", 1, FULL, marks=on_linux),
        pytest.param("--help > /dev/full", 1, FULL, marks=on_linux),
    ],
)
async def test_stdout_that_takes_nothing(
    shell: Shell, sqlite_db_url: str, line: str, code: int, message: str
) -> None:
    """A closed stdout is nobody's loss; a full disk is an error of one line."""
    await _fill(sqlite_db_url)
    done = shell(f"$job_processor {line}", JOB_PROCESSOR_DB=sqlite_db_url)
    assert done.returncode == code
    assert message in done.stderr
    assert done.stderr.count("\n") == bool(message)


async def test_stdout_that_is_read_no_further(shell: Shell, sqlite_db_url: str) -> None:
    """Whoever closes the pipe early, as `head` does, gets no complaint."""
    await _fill(sqlite_db_url)
    line = "{ $job_processor jobs --json; echo $? >&2; } | true"
    done = shell(line, JOB_PROCESSOR_DB=sqlite_db_url)
    assert done.stderr in ("0\n", "1\n")  # 0: it wrote before `true` had ended


@pytest.mark.slow
async def test_stdout_in_ascii(shell: Shell, sqlite_db_url: str) -> None:
    """Tables and JSON can be read in an encoding that lacks our lines and their letters."""
    await _fill(sqlite_db_url)
    variables = {"JOB_PROCESSOR_DB": sqlite_db_url, "PYTHONIOENCODING": "ascii"}
    done = shell("$job_processor jobs && $job_processor jobs --json", **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert '"Hello, ?!"' in done.stdout
    assert '"\\u00e9"' in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("columns", ["0", "-1", "1", "", "wide"])
async def test_odd_widths(shell: Shell, sqlite_db_url: str, columns: str) -> None:
    """A terminal that says that it has no columns gets its table all the same."""
    await _fill(sqlite_db_url)
    for command in ("status", "--help"):
        done = shell(f"$job_processor {command}", JOB_PROCESSOR_DB=sqlite_db_url, COLUMNS=columns)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.strip()


def test_what_an_application_prints_is_no_answer(
    shell: Shell, sqlite_db_url: str, tmp_path: Path
) -> None:
    """Stdout has the JSON that was asked for and nothing else; the rest is on stderr."""
    (tmp_path / "loud.py").write_text(
        "from tests.cli import apps\n"
        "print('imported')\n"
        "def make():\n"
        "    print('made')\n"
        f"    return apps.make(db={sqlite_db_url!r})\n"
    )
    done = shell("$job_processor schedule loud:make greet --json", PYTHONPATH=f"{tmp_path}:{ROOT}")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "greet"
    assert done.stderr.split() == ["imported", "made"]
