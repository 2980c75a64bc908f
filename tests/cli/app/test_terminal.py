"""Whatever a database holds, and whatever a file is called, a terminal is not steered by it."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from rich.table import Table
from rich.text import Text

from job_processor import Context, JobProcessor
from job_processor.cli.app import output
from job_processor.cli.app.terminal import PlainConsole
from job_processor.integrations.logs import ConsoleFormatter
from tests.cli.conftest import Cli

STEERING = "\x1b[2J\x1b]0;title\x07\x9b31m\x85\x7f\u202egnp"
HOSTILE = f"{STEERING}[/nope][bold]:smile:[link=x]"


def is_harmless(text: str) -> bool:
    """Return whether nothing in a text of lines can steer."""
    return text.replace("\n", "").isprintable()


async def boil(context: Context) -> None:
    """Tell of itself what nobody should print."""
    context.progress(0.5, HOSTILE)
    context.log(HOSTILE)
    raise ValueError(HOSTILE)


async def give(payload: Any) -> Any:
    """Return what it was given."""
    return payload


@pytest.fixture
async def job_id(sqlite_db_url: str) -> str:
    """The id of a job whose name, log, progress and error are hostile; another one's result is."""
    async with JobProcessor(sqlite_db_url) as processor:
        processor.job(HOSTILE)(boil)
        processor.job("give")(give)
        job = await processor.schedule_job(HOSTILE)
        await processor.schedule_job("give", {HOSTILE: [HOSTILE]})
        await processor.run_worker(burst=True)
        await processor.pause(HOSTILE)
    return str(job.id)


@pytest.mark.parametrize("json_too", [[], ["--json"]])
def test_every_command_prints_plain_text(
    cli: Cli, sqlite_db_url: str, job_id: str, json_too: list[str]
) -> None:
    """Tables and JSON alike, of every command that reads; markup is text, too."""
    commands = [["jobs"], ["jobs", "show", job_id], ["jobs", "watch", job_id], ["status"]]
    commands += [["top", "--once"], ["crons"], ["kill", job_id], ["resume", HOSTILE]]
    commands += [["jobs", "retry", job_id], ["jobs", "delete", job_id]]
    for command in commands:
        result = cli(*command, "--db", sqlite_db_url, *json_too)
        assert is_harmless(result.out), (command, result.out)
        assert is_harmless(result.err), (command, result.err)
        assert "Traceback" not in result.err
        if json_too and result.out:
            json.loads(result.out)
    shown = cli("jobs", "--db", sqlite_db_url).out
    assert json_too or "[/nope][bold]:smile:" in shown or "give" in shown


@pytest.mark.mongo
def test_a_worker_of_a_hostile_version(cli: Cli, mongo_db_url: str) -> None:
    """What another program wrote of itself is text in the report of the migration."""
    with MongoClient[dict[str, object]](mongo_db_url) as client:
        workers = client.get_default_database()["job_processor.workers"]
        workers.insert_one(
            {
                "hostname": HOSTILE,
                "lastSeen": datetime.now(UTC),
                "tags": [HOSTILE],
                "version": HOSTILE,
                "pid": 7,
                "_id": ObjectId(),
            }
        )
    for options in ([], ["--json"]):
        result = cli("migrate-from-node", "--db", mongo_db_url, *options)
        assert is_harmless(result.out), result.out
        assert "[/nope]" in result.out
        assert "Traceback" not in result.err


def test_a_console(capsys: pytest.CaptureFixture[str]) -> None:
    """Text, cells, titles and lines of its own are plain, and colours are rich's."""
    made = Table(HOSTILE, title=HOSTILE)
    made.add_row(HOSTILE)
    made.add_row(Text(HOSTILE, style="red"))
    PlainConsole(width=200).print(made, HOSTILE, Text(HOSTILE))
    assert is_harmless(capsys.readouterr().out)
    colourful = PlainConsole(width=200, force_terminal=True, color_system="standard")
    colourful.print(Text(HOSTILE, style="red"))
    assert capsys.readouterr().out.count("\x1b[") == 2  # on and off


def test_json_is_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """Escaped, not dropped: a program reads the same text."""
    value = {HOSTILE: [HOSTILE, "é✓", "\ud800"]}
    output.print_json(value)
    printed = capsys.readouterr().out
    assert is_harmless(printed)
    assert "é✓" in printed
    assert json.loads(printed) == value


def test_a_line_of_the_log() -> None:
    """Is plain as well: names of files, of jobs, texts of errors and their tracebacks."""
    with pytest.raises(ValueError, match="invalid") as caught:
        int(HOSTILE)
    info = (ValueError, ValueError(HOSTILE), caught.tb)
    record = logging.LogRecord("x", logging.WARNING, "x", 1, "%s changed", (HOSTILE,), info)
    line = ConsoleFormatter("%(message)s").format(record)
    assert is_harmless(line)
    assert "Traceback" in line
