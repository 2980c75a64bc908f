"""`--db`, `$JOB_PROCESSOR_DB` and `--prefix`: where commands look, and what is said otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Start
from tests.mongo_server import free_port

COMMANDS = [["status"], ["jobs"], ["crons"], ["kill", "0" * 24], ["demo"]]
APP_COMMANDS = [["worker", "tests.cli.apps:make"], ["schedule", "tests.cli.apps:make", "greet"]]
commands = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])


def test_a_database_that_nobody_set_up(cli: Cli, db_url: str) -> None:
    """A database without our tables or collections is empty, and the messages say which it is."""
    name = db_url.partition("?")[0].rpartition("/")[2]
    if name.endswith(".db"):
        Path(db_url.removeprefix("sqlite:///")).touch()
    for command, says in (
        ("status", "There are no jobs yet."),
        ("jobs", "There are no such jobs in "),
        ("crons", "There are no crons in "),
    ):
        text = cli(command, "--db", db_url).text
        assert says in text
        assert name in text


def test_the_default_and_the_variable(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without --db it is $JOB_PROCESSOR_DB, and without that the file job_processor.db."""
    for name in ("job_processor", "other", "third"):
        (tmp_path / f"{name}.db").touch()
    assert f"{tmp_path}/job_processor.db" in cli("jobs").text
    monkeypatch.setenv("JOB_PROCESSOR_DB", "sqlite:///other.db")
    assert f"{tmp_path}/other.db" in cli("jobs").text
    assert f"{tmp_path}/third.db" in cli("jobs", "--db", "sqlite:///third.db").text


LOOKING = [
    *(["status"], ["top"], ["jobs"], ["jobs", "list", "--json"], ["jobs", "show", "0" * 24]),
    *(["jobs", "watch", "0" * 24], ["jobs", "retry", "0" * 24], ["kill", "0" * 24]),
    *(["jobs", "delete", "--status", "killed", "--yes"], ["pause", "x"], ["resume", "--tag", "x"]),
    *(["crons"], ["crons", "show", "x"], ["crons", "run", "x"], ["crons", "remove", "x", "--yes"]),
    *(["web", "--no-login"], ["shell"]),
]


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
@pytest.mark.parametrize("by", ["--db", "$JOB_PROCESSOR_DB", "job_processor.db"])
def test_looking_makes_no_file(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str], by: str
) -> None:
    """A file that is not there is told, with what named it and what to do, and stays away."""
    if by == "$JOB_PROCESSOR_DB":
        monkeypatch.setenv("JOB_PROCESSOR_DB", "sqlite:///mine.db")
    options = ["--db", "sqlite:///mine.db"] if by == "--db" else []
    told = "$JOB_PROCESSOR_APP" if by == "job_processor.db" else "A worker makes it"
    cli(*command, *options).refused(by, "there is no file", told)
    assert list(tmp_path.iterdir()) == []


@commands
@pytest.mark.parametrize(
    ("db", "problem"),
    [
        ("sqlite:///garbage", "garbage is not an SQLite database"),
        ("sqlite:///folder", "folder is a folder"),
        ("sqlite:///missing/x.db", "missing does not exist"),
        ("mysql://host/name", "--db: 'mysql://host/name' is not allowed; allowed are 'mongodb://"),
        ("name.db", "--db: 'name.db'"),
        ("mongodb://host", "names a database"),
        ("mongodb://host:99999/name", "names a database"),
        ("sqlite:///x.db?colour=red", "--db: 'sqlite:///x.db?colour=red'"),
    ],
)
def test_databases_that_cannot_be(
    cli: Cli, tmp_path: Path, command: list[str], db: str, problem: str
) -> None:
    """A URL or a file that is no database of ours is refused, with what is wrong about it."""
    (tmp_path / "garbage").write_bytes(b"no database " * 100)
    (tmp_path / "folder").mkdir()
    result = cli(*command, "--db", db)
    if command == ["demo"]:
        result = type(result)(result.code, "", result.err)  # it has said where it will play
    result.refused(problem)


@pytest.mark.parametrize("command", APP_COMMANDS, ids=lambda command: command[0])
def test_an_application_whose_database_is_none(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: list[str]
) -> None:
    """The database of an application is judged in the same way."""
    (tmp_path / "garbage").write_bytes(b"no database " * 100)
    monkeypatch.setenv("JOB_PROCESSOR_DB", "sqlite:///garbage")
    cli(*command).refused("garbage is not an SQLite database")


def test_a_variable_that_is_no_database(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the variable that somebody has to mend."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", "name.db")
    cli("jobs").refused("$JOB_PROCESSOR_DB: 'name.db'")
    cli("jobs", "--app", "tests.cli.apps:make").refused("$JOB_PROCESSOR_DB: 'name.db'", "--app: ")


@pytest.mark.parametrize(
    "command",
    [
        ["status"],
        pytest.param(["demo"], marks=pytest.mark.slow),
        pytest.param(APP_COMMANDS[1], marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_mongodb_that_is_away(start: Start, command: list[str]) -> None:
    """It fails soon, with its address but without its password."""
    host = f"127.0.0.1:{free_port()}"
    url = f"mongodb://user:secret@{host}/app?serverSelectionTimeoutMS=100"
    option = ["--db", url] if "tests.cli.apps:make" not in command else []
    process = start(*command, *option, db=url)
    assert process.wait() == 1
    assert f"Error: mongodb://{host}/app does not answer" in process.output
    assert "secret" not in process.output
    assert "Traceback" not in process.output


@pytest.mark.parametrize("prefix", ["", "a$b", "\udcff", "x" * 201])
def test_prefixes_that_are_not_allowed(cli: Cli, prefix: str) -> None:
    """A prefix that can name no collection is refused."""
    cli("status", "--prefix", prefix).refused("--prefix", "allowed is")


def test_a_demo_needs_a_database_that_processes_share(cli: Cli) -> None:
    """Its workers could not see a database in memory."""
    cli("demo", "--db", "sqlite://").refused("--db: 'sqlite://'", "processes can share")
