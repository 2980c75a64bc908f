"""`pause` and `resume`: names and tags that nobody has are asked about."""

from __future__ import annotations

import asyncio

import pytest

from tests.cli import apps
from tests.cli.conftest import Cli, Start


@pytest.fixture
def db(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A database in which a program has listed its names, and nothing ran."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> None:
        async with apps.make():
            pass

    asyncio.run(fill())
    return db_url


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("greeet",), "nobody defines 'greeet', and no job has this name (did you mean 'greet'?)"),
        (("xyz",), "(there are: exits_in_a_task, fail, greet, "),
        (("--tag", "taged"), "has the tag 'taged' (did you mean 'tagged'?)"),
    ],
)
def test_a_stranger(cli: Cli, db: str, arguments: tuple[str, ...], told: str) -> None:
    """Is refused where nobody can be asked, with what may have been meant; `--force` does it."""
    cli("pause", *arguments).refused(told, "--force")
    assert cli("pause", "greet", "--json").json == {"names": ["greet"], "tags": []}
    cli("resume", *arguments).refused(told, "nothing of it is paused")
    assert "Paused" in cli("pause", *arguments, "--force").text
    assert "Resumed" in cli("resume", *arguments).text
    assert "Paused are: greet." in cli("resume", "fail").text


def test_whom_somebody_has(cli: Cli, db: str) -> None:
    """A name of a program that was there, of a cron, or of a job alone; a tag of a definition."""
    for arguments in (["greet"], ["new_year"], ["--tag", "tagged"]):
        assert "Paused" in cli("pause", *arguments).text

    async def leave() -> None:
        async with apps.make(service="gone") as processor:
            processor.job("once")(lambda: None)
            await processor.schedule_job("once")
        async with apps.make() as processor:
            await processor.run_worker(burst=True)

    asyncio.run(leave())
    assert "Paused 'once'" in cli("pause", "once").text


def test_what_is_not_paused(cli: Cli, db: str) -> None:
    """There is nothing to do, which is said, and is no failure."""
    assert cli("resume", "greet").text == "Nothing to do: 'greet' is not paused.\n"
    assert cli("resume", "greet", "--json").json == {"names": [], "tags": []}
    assert "'new_year' is not paused" in cli("crons", "resume", "new_year").text
    cli("crons", "resume", "new_yaer").refused("did you mean 'new_year'?")


@pytest.mark.parametrize("name", ["", "x" * 201, "\udcff"])
def test_what_can_be_no_name(cli: Cli, db: str, name: str) -> None:
    """Is refused, `--force` or not."""
    cli("pause", name, "--force").refused("NAME: ", "allowed is")
    cli("pause", "--tag", name).refused("--tag: ", "allowed is")


@pytest.mark.parametrize(("answer", "code", "told"), [("y", 0, "Paused"), ("n", 1, "Nothing was")])
def test_on_a_terminal_it_asks(
    start: Start, sqlite_db_url: str, answer: str, code: int, told: str
) -> None:
    """Whoever does not agree changes nothing, and the exit code says so."""

    async def fill() -> None:
        async with apps.make(db=sqlite_db_url):
            pass

    asyncio.run(fill())
    process = start("pause", "nosuchname", db=sqlite_db_url, terminal=True)
    process.until("Pause it anyway? [y/N]")
    process.type(f"{answer}\n")
    process.until(told)
    assert process.wait() == code


def test_a_selection_of_a_stranger(cli: Cli, db: str) -> None:
    """A name that nobody has is refused; with `--yes`, or of a known name, nothing is selected."""
    for action in ("kill", "retry", "delete"):
        cli("jobs", action, "--name", "greeet").refused(
            "--name: nobody defines 'greeet'", "'greet'"
        )
        assert "Nothing to do" in cli("jobs", action, "--name", "greeet", "--yes").text
        assert "no job is selected" in cli("jobs", action, "--name", "greet").text
