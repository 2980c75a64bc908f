"""`init`: what it writes runs at once, and nothing is ever overwritten."""

from __future__ import annotations

import tomllib
from pathlib import Path
from signal import SIGTERM

import pytest

from job_processor.cli.commands.init import _package
from tests.cli.conftest import Cli, Start


def test_what_it_writes_runs(
    cli: Cli, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commands that it names work: a check, a worker, a job that is scheduled and ends."""
    told = cli("init", "my-shop").text
    folder = tmp_path / "my-shop"
    assert "cd my-shop\n" in told
    for command in ("check", "worker", "schedule"):
        assert f"job-processor {command}" in told
    assert "my_shop.app:processor" not in told
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert written == {
        *(".gitignore", "README.md", "pyproject.toml"),
        *("my_shop/__init__.py", "my_shop/app.py", "my_shop/jobs.py"),
    }
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["dependencies"][0].startswith("job-processor")
    assert not any("{{" in (folder / name).read_text() for name in written)
    named = tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["job-processor"]
    assert named == {"app": "my_shop.app:processor"}
    monkeypatch.chdir(folder)
    db = f"sqlite:///{folder / 'jobs.db'}"
    process = start("worker", "--log-level", "info", db=db, folder=folder)
    process.until("worker started")
    monkeypatch.setenv("JOB_PROCESSOR_DB", db)
    assert cli("check", "--json").json["ok"]
    job = cli("schedule", "greet", "--payload", '{"name": "Ada"}', "--json").json
    process.until(f"finished job 'greet' ({job['_id']})")
    unnamed = cli("schedule", "greet", "--json").json
    process.until(f"finished job 'greet' ({unnamed['_id']})")
    shown = cli("jobs", "show", job["_id"], "--json").json
    assert shown["output"]["result"] == "Hello, Ada!"
    assert [line["text"] for line in shown["log"]] == ["greeting Ada"]
    assert [group["cron"]["name"] for group in cli("crons", "--json").json] == ["tick"]
    process.send(SIGTERM)
    assert process.wait() == 0


def test_what_it_wrote_as_json(cli: Cli, tmp_path: Path) -> None:
    """A program gets the files, the package and the next commands."""
    told = cli("init", "shop", "--json").json
    assert told["package"] == "shop"
    assert all((tmp_path / file).is_file() for file in told["files"])
    assert told["next"][:2] == ["cd shop", "job-processor check"]


def test_nothing_is_overwritten(cli: Cli, tmp_path: Path) -> None:
    """The file that is in the way is named, and none is written."""
    (tmp_path / "README.md").write_text("mine")
    cli("init").refused("DIR: '.'", "README.md is there already", "allowed is a folder without it")
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"
    cli("init", "README.md").refused("DIR: 'README.md'", "it is a file")


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("My Shop", "my_shop"),
        ("2024", "app_2024"),
        ("json", "json_app"),
        ("class", "class_app"),
        ("job_processor", "job_processor_app"),
        ("été", "t"),
        ("…", "app"),
    ],
)
def test_the_package_has_a_name_that_can_be_imported(folder: str, package: str) -> None:
    """It hides no module of Python, nor ours."""
    assert _package(Path(folder)) == package
