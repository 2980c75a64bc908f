"""`check`: lines for people, JSON for programs, and the exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cli

APP = "tests.cli.apps:make"


def test_it_is_well(cli: Cli, sqlite_db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings leave with 0; the same as lines and as JSON."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", sqlite_db_url)
    text = cli("check", APP).text
    assert "ok       cron 'new_year'" in text
    assert "warning  connection" in text
    assert "→ start a worker: job-processor worker\n" in re.sub(" +\n", "\n", text)
    hint = "A job that does not run: job-processor check --job ID\n"
    assert text.endswith(f"0 errors, 1 warning, 7 ok\n{hint}")
    found = cli("check", APP, "--json").json
    assert found["ok"] is True
    assert {"subject", "level", "text"} == set(found["findings"][0])
    (advised,) = [each for each in found["findings"] if "advice" in each]
    assert (advised["level"], advised["advice"]) == (
        "warning",
        "start a worker: job-processor worker",
    )


def test_errors_leave_with_1(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So does an application that fails by itself; a misspelled one is bad input, as ever."""
    (tmp_path / "jobs.db").write_text("no database" * 100)
    monkeypatch.setenv("JOB_PROCESSOR_DB", f"sqlite:///{tmp_path / 'jobs.db'}")
    result = cli("check", APP)
    assert (result.code, result.err) == (1, "")
    assert "error  connection" in result.out
    assert "→ give the application another database" in result.out
    result = cli("check", "tests.cli.apps:make_failing")
    assert (result.code, result.err) == (1, "")
    assert "error  application" in result.out
    assert "KeyError: 'SHOP_KEY'" in result.out
    assert "→ correct that place" in result.out
    cli("check", "tests.cli.apps:nobody").refused("APP: ", "nobody")
    cli("check", "tests.cli.apps").refused("APP: ", "module:attribute")


def test_a_definition_that_cannot_work(cli: Cli, tmp_path: Path) -> None:
    """What is refused when it is defined is an error with its place."""
    (tmp_path / "wrong.py").write_text(
        "from job_processor import JobProcessor\n"
        "processor = JobProcessor()\n"
        "@processor.cron('61 * * * *')\n"
        "def tick(): ...\n"
    )
    result = cli("check", "wrong:processor")
    assert result.code == 1
    assert "DefinitionError: cron_string: '61 * * * *'" in result.out
    assert "wrong.py, line 3" in result.out


def test_why_a_job_does_not_run(
    cli: Cli, sqlite_db_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--job ID` answers the questions in their order; what is no id is bad input."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", sqlite_db_url)
    job = cli("schedule", APP, "greet", "--json").json
    found = cli("check", APP, "--job", job["_id"], "--json").json
    assert [each["subject"] for each in found["findings"]] == [
        *("stored", "state", "time", "waits for", "pause", "workers")
    ]
    text = cli("check", APP, "--job", job["_id"]).text
    assert "warning  workers    no worker is running, so no job runs" in text
    assert "→ start a worker: job-processor worker" in text
    assert "--job" not in text
    cli("check", APP, "--job", "12").refused("ID", "24 hex digits")
