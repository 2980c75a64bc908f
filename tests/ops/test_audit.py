"""The audit: written before, completed after, kept by age, logged."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest
from bson import ObjectId

from job_processor import JobProcessor, JobStateError, StoreUnavailableError
from job_processor.clock import Clock
from job_processor.ops.audit import KEPT, KIND, Audit
from job_processor.parts import ready_parts_of
from tests.insides import store_of
from tests.processors import Processors


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor without jobs."""
    return await processors.make()


@pytest.fixture
async def audit(processor: JobProcessor) -> Audit:
    """The notes of a processor."""
    return Audit(ready_parts_of(processor))


async def test_it_is_written_before_anything_is_done(
    audit: Audit, processor: JobProcessor, caplog: pytest.LogCaptureFixture
) -> None:
    """Who is cut off leaves an entry that is not completed, and a line in the log."""
    caplog.set_level(logging.INFO, "job_processor")
    async with audit.doing("ada", "delete", "all jobs") as outcome:
        (begun,) = await processor.get_audit()
        assert (begun.who, begun.action, begun.subject) == ("ada", "delete", "all jobs")
        assert begun.outcome is None
        assert "begun" in caplog.messages[-1]
        outcome.told = "2 done"
    (done,) = await processor.get_audit()
    assert (done.at, done.outcome) == (begun.at, "2 done")
    assert caplog.messages[-1] == "audit: 'ada': 'delete' 'all jobs': '2 done'"


@pytest.mark.parametrize(
    "error", [JobStateError("no"), ZeroDivisionError(), asyncio.CancelledError()]
)
async def test_what_fails_is_noted(
    audit: Audit, processor: JobProcessor, error: BaseException
) -> None:
    """By the class of its error: the message may hold what nobody is to read."""

    async def fail() -> None:
        async with audit.doing("ada", "kill", "x"):
            raise error

    with pytest.raises(type(error)):
        await fail()
    (noted,) = await processor.get_audit()
    assert noted.outcome == f"refused: {type(error).__name__}"


async def test_nothing_is_done_that_cannot_be_noted(
    audit: Audit, processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that does not answer lets nothing be done."""
    done = []

    async def away(*arguments: object) -> bool:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(store_of(processor).settings, "put", away)
    with pytest.raises(StoreUnavailableError):
        async with audit.doing("ada", "kill", "x"):
            done.append(1)
    assert done == []


async def test_an_end_that_cannot_be_noted(
    audit: Audit,
    processor: JobProcessor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Does not undo what was done: the log has it, and the entry stays as it was begun."""

    async def away(*arguments: object) -> bool:
        raise StoreUnavailableError("away")

    with caplog.at_level(logging.INFO, "job_processor"):
        async with audit.doing("ada", "kill", "x"):
            monkeypatch.setattr(store_of(processor).settings, "put", away)
    monkeypatch.undo()
    (noted,) = await processor.get_audit()
    assert noted.outcome is None
    assert any("'kill' 'x': 'done'" in line for line in caplog.messages)
    assert "could not be recorded" in caplog.messages[-1]


async def test_once_is_once(audit: Audit, processor: JobProcessor) -> None:
    """Of many who do the same thing that may be done once, one does it."""
    once, done = ObjectId(), []

    async def act() -> None:
        async with audit.doing("ada", "delete", "x", once=once):
            done.append(1)

    results = await asyncio.gather(*(act() for _ in range(8)), return_exceptions=True)
    assert len(done) == 1
    assert sum(isinstance(each, JobStateError) for each in results) == 7
    assert len(await processor.get_audit()) == 1


async def test_a_flood_pushes_nothing_out(sqlite_db_url: str) -> None:
    """Entries go by their age, not by how many came after them; a page of them is bounded."""
    async with JobProcessor(sqlite_db_url) as processor:
        await processor.add_audit("mallory", "delete", "all jobs")
        await asyncio.gather(*(processor.add_audit("mallory", "resume", "x") for _ in range(1105)))
        entries = await processor.get_audit(5000)
        assert len(entries) == 1106
        assert (entries[-1].action, entries[-1].subject) == ("delete", "all jobs")
        assert len(await processor.get_audit()) == 1000
        assert len(await processor.get_audit(3)) == 3


async def test_old_entries_go(processor: JobProcessor) -> None:
    """Those older than the time for which they are kept, with the next that is written."""
    store, clock = store_of(processor), Clock()
    entry = {"at": clock.now(), "who": "ada", "action": "kill", "subject": "x"}
    for age, name in (KEPT + timedelta(hours=1), "old"), (KEPT - timedelta(hours=1), "young"):
        id = str(ObjectId.from_datetime(clock.now() - age))
        await store.settings.put(
            KIND, id, {**entry, "subject": name, "of a later version": 1}, None
        )
    await processor.add_audit("ada", "kill", "now")
    assert [each.subject for each in await processor.get_audit()] == ["now", "young"]
    assert [each.outcome for each in await processor.get_audit()] == ["done", "done"]


async def test_what_steers_a_terminal(
    processor: JobProcessor, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever names and subjects hold, an entry is one line of the log."""
    with caplog.at_level(logging.INFO, "job_processor"):
        await processor.add_audit("a\nb", "kill", "x\x1b[2J\x9b" * 100)
    lines = [record.getMessage() for record in caplog.records if "audit" in record.getMessage()]
    assert len(lines) == 2
    assert all(line.isprintable() and len(line) < 1000 for line in lines)
