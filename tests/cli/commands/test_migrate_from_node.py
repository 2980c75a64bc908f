"""`migrate-from-node` on the command line: what it prints, and how it leaves."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from pymongo import MongoClient

from tests.cli.conftest import Cli

pytestmark = pytest.mark.mongo


def add_node_worker(url: str, tags: list[str] | None) -> None:
    """Register a living worker of the Node package."""
    with MongoClient[dict[str, object]](url) as client:
        workers = client.get_default_database()["job_processor.workers"]
        workers.insert_one({"hostname": "node-host", "lastSeen": datetime.now(UTC), "tags": tags})


def test_it_reports_and_moves(cli: Cli, mongo_db_url: str) -> None:
    """First what would change, then what has changed, then that nothing is left to change."""
    look = cli("migrate-from-node", "--db", mongo_db_url)
    assert look.code == 0, look.err
    assert "Would change, with --apply:" in look.out
    assert "make the indexes" in look.out
    done = cli("migrate-from-node", "--db", mongo_db_url, "--apply", "--json")
    value = json.loads(done.out)
    assert (done.code, value["applied"], value["validator"]) == (0, True, "ours")
    again = cli("migrate-from-node", "--db", mongo_db_url)
    assert "- nothing" in again.out
    code = (
        "print([(each.action, each.subject, each.outcome) for each in await processor.get_audit()])"
    )
    noted = cli("shell", "--db", mongo_db_url, "-c", code).text
    assert noted == "[('migrate-from-node', 'apply', 'done')]\n"


@pytest.mark.parametrize("options", [[], ["--apply"], ["--json"], ["--apply", "--json"]])
def test_what_stands_in_the_way_is_told_and_leaves_with_1(
    cli: Cli, mongo_db_url: str, options: list[str]
) -> None:
    """With and without --apply, for people and for programs; nothing is changed."""
    add_node_worker(mongo_db_url, None)
    result = cli("migrate-from-node", "--db", mongo_db_url, *options)
    assert result.code == 1
    assert "node-host has no workerTags" in result.out
    if "--json" in options:
        assert json.loads(result.out)["applied"] is False
    with MongoClient[dict[str, object]](mongo_db_url) as client:
        assert client.get_default_database().list_collection_names() == ["job_processor.workers"]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["--undo"], 1, "nothing to undo"),
        (["--apply", "--undo"], 2, "one of apply and undo"),
    ],
)
def test_errors_are_one_line(
    cli: Cli, mongo_db_url: str, arguments: list[str], code: int, told: str
) -> None:
    """An error is a line on stderr, and no traceback."""
    result = cli("migrate-from-node", "--db", mongo_db_url, *arguments)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("Error: ")
    assert result.err.count("\n") == 1
    assert told in result.err


def test_another_database_is_bad_input(cli: Cli) -> None:
    """The Node package works on MongoDB only."""
    result = cli("migrate-from-node", "--db", "sqlite:///jobs.db")
    assert (result.code, result.out) == (2, "")
    assert "--db" in result.err
