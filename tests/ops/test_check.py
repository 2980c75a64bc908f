"""`JobProcessor.check()`: what it finds, on both stores and beside the Node package."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from job_processor import Clock, CronDef, Finding, JobDef, JobProcessor, Retry
from tests.conftest import DICTIONARIES, STORES
from tests.definitions import nothing
from tests.node.databases import fixture
from tests.processors import Processors
from tests.worker import process_handlers


class Late(Clock):
    """A clock that is five seconds slow."""

    def now(self) -> datetime:
        """Return another time."""
        return super().now() - timedelta(seconds=5)


async def check(db: str, **options: Any) -> list[Finding]:
    """Do as the command line does; whatever is not well says what to do, in one line."""
    processor = JobProcessor(db, **options)
    try:
        found = await processor.check()
    finally:
        await processor.close()
    for each in found:
        assert (each.advice != "") == (each.level != "ok"), each
        assert "\n" not in each.advice
        assert len(each.advice) <= 100, each
        assert ("advice" in each.as_json()) == (each.level != "ok")
    return found


def levels(findings: list[Finding], subject: str) -> list[str]:
    """Return the levels of what was found of a subject."""
    return [each.level for each in findings if each.subject == subject]


def texts(findings: list[Finding], level: str) -> str:
    """Return what was found at a level, one below the other."""
    return "\n".join(each.text for each in findings if each.level == level)


def told_of_indexes(findings: list[Finding], level: str) -> list[str]:
    """Return what was found of the indexes at a level."""
    return [each.text for each in findings if (each.subject, each.level) == ("indexes", level)]


@pytest.mark.parametrize("db_url", [*STORES, DICTIONARIES], indirect=True)
async def test_a_database_before_and_after_it_is_used(db_url: str, processors: Processors) -> None:
    """Before, something is missing, and a check does not make it; after, all is well."""
    definitions: dict[str, Any] = {
        "jobs": {"a": JobDef(nothing), "far": JobDef(None)},
        "crons": {"c": CronDef("0 2 * * *", nothing, timezone="Europe/Paris")},
    }
    for _ in range(2):
        before = await check(db_url, **definitions)
        assert texts(before, "error") == ""
        assert "the first worker or client makes" in texts(before, "warning")
    await processors.start(**definitions)
    after = await check(db_url, **definitions)
    assert {each.level for each in after} == {"ok"}, after
    subjects = [each.subject for each in after]
    for subject in ("job 'a'", "job 'far'", "cron 'c'", "connection", "indexes", "workers"):
        assert subject in subjects
    assert "0 2 * * * in Europe/Paris, next " in texts(after, "ok")
    assert "1 running" in texts(after, "ok")


@pytest.mark.parametrize("db_url", [*STORES, DICTIONARIES], indirect=True)
async def test_what_no_worker_does(db_url: str, processors: Processors) -> None:
    """Tags that nobody serves and names that no running worker defines are warnings."""
    await processors.start(worker_tags=["mail"], jobs={"m": JobDef(nothing, tag="mail")})
    found = await check(
        db_url,
        jobs={"m": JobDef(nothing, tag="mail"), "v": JobDef(nothing, tag="video")},
        worker_tags=["sound"],
    )
    assert texts(found, "error") == ""
    warnings = texts(found, "warning")
    assert "no running worker serves the tag 'video'" in warnings
    assert "no running worker defines 'v'" in warnings
    assert "worker_tags has 'sound', which no job and no cron has" in warnings
    assert "'mail'" not in warnings


async def test_handlers_of_processes_can_be_found_there(sqlite_db_url: str) -> None:
    """One that another process would not find, or would find changed, is an error."""
    name = "succeed"

    def renamed() -> None: ...

    renamed.__qualname__, renamed.__module__ = "nobody", process_handlers.__name__

    def shadow() -> None: ...

    shadow.__qualname__, shadow.__module__ = "add", process_handlers.__name__
    found = await check(
        sqlite_db_url,
        jobs={
            "lost": JobDef(renamed, executor="process"),
            "other": JobDef(shadow, executor="process"),
            name: JobDef(process_handlers.add, executor="process"),
        },
    )
    assert levels(found, "job 'lost'") == ["error"]
    assert levels(found, "job 'other'") == ["error"]
    assert levels(found, f"job {name!r}") == ["ok"]
    assert "cannot import tests.worker.process_handlers:nobody" in texts(found, "error")
    assert "would find another object" in texts(found, "error")


async def test_nothing_defined_and_a_memory_database() -> None:
    """Both are warnings: it works, and perhaps not as meant."""
    found = await check("sqlite://")
    assert [each.level for each in found] == ["warning", "warning"]
    assert "no other process sees its jobs" in texts(found, "warning")


async def test_a_file_that_is_no_database(tmp_path: Any) -> None:
    """It is an error that ends the list."""
    (tmp_path / "jobs.db").write_text("no database" * 100)
    found = await check(f"sqlite:///{tmp_path / 'jobs.db'}")
    assert levels(found, "connection") == ["error"]
    assert found[-1].subject == "connection"


@pytest.mark.mongo
async def test_a_server_that_does_not_answer() -> None:
    """It is an error that ends the list."""
    url = "mongodb://127.0.0.1:1/none?serverSelectionTimeoutMS=200"
    found = await check(url, jobs={"a": JobDef(nothing)})
    assert [each.level for each in found] == ["ok", "error"]


@pytest.fixture
async def database(mongo_db_url: str) -> AsyncIterator[Any]:
    """The database itself."""
    async with AsyncMongoClient[dict[str, Any]](mongo_db_url, tz_aware=True) as client:
        yield client.get_default_database()


@pytest.mark.mongo
async def test_clock_and_indexes(mongo_db_url: str, database: Any) -> None:
    """A clock that differs is a warning; an index that differs an error, if a promise needs it."""
    differing = [
        {"key": {"name": 1, "status": 1}, "name": "claim"},
        {"key": {"x": 1}, "name": "newest_by_name"},
    ]
    await database.command("createIndexes", "job_processor.jobs", indexes=differing)
    found = await check(mongo_db_url, clock=Late())
    assert levels(found, "clock") == ["warning"]
    warnings = texts(found, "warning")
    assert re.search(r"the database's clock is (4\.9|5\.)\d* s ahead of this machine", warnings)
    assert "'newest_by_name' of job_processor.jobs differs" in warnings
    assert levels(found, "indexes").count("error") == 1
    assert "'claim' of job_processor.jobs differs from what is needed" in texts(found, "error")
    assert levels(await check(mongo_db_url), "clock") == ["ok"]


@pytest.mark.mongo
async def test_indexes_of_a_node_package_that_is_gone(mongo_db_url: str, database: Any) -> None:
    """Those that it alone needs are told of where they are, and counted only while it is here."""
    async with JobProcessor(mongo_db_url):
        pass
    (before,) = told_of_indexes(await check(mongo_db_url), "ok")
    assert "Node" not in before
    index = {"key": {"type": 1, "name": 1}, "name": "type_1_name_1"}
    await database.command("createIndexes", "job_processor.jobs", indexes=[index])
    count, left = told_of_indexes(await check(mongo_db_url), "ok")
    assert count == before
    assert left.startswith("type_1_name_1: of use to the Node package alone, which is not here")
    await database.command("collMod", "job_processor.jobs", **fixture("node_validator.json"))
    (missing,) = told_of_indexes(await check(mongo_db_url), "warning")
    assert missing.startswith("missing: status_1, type_1_scheduled_for_1, worker_id_1")


@pytest.mark.mongo
async def test_beside_the_node_package(mongo_db_url: str, database: Any) -> None:
    """A Node worker without tags is a warning, what its validator refuses an error."""
    await database.create_collection("job_processor.jobs")
    await database.command("collMod", "job_processor.jobs", **fixture("node_validator.json"))
    seen = {"hostname": "node-host", "lastSeen": datetime.now(UTC)}
    await database["job_processor.workers"].insert_many(
        [{**seen, "tags": ["main"]}, {**seen, "tags": None}]
    )
    found = await check(
        mongo_db_url, jobs={"a": JobDef(nothing), "r": JobDef(nothing, retry=Retry(3))}
    )
    assert texts(found, "warning").count("has no workerTags: it claims every job") == 1
    assert levels(found, "Node package") == ["ok"]
    errors = [each for each in found if each.level == "error"]
    assert [each.subject for each in errors] == ["job 'r'"]
