"""Batch handlers as they are defined: what they get, and what cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from bson import ObjectId

from job_processor import (
    CronDef,
    DefinitionError,
    InvalidArgumentError,
    InvalidPayloadError,
    JobDef,
    JobOptions,
    JobProcessor,
)
from job_processor.handlers.batches import endings_of
from tests.definitions import nothing


@dataclass
class Mail:
    """A payload."""

    to: str


async def send(payloads: list[dict[str, Any]]) -> None:
    """Take payloads."""


def plain(payloads: list[Mail], contexts: Any, signal: Any, resources: Any, more: int = 1) -> None:
    """Take what there is."""


async def mail(payloads: list[Mail]) -> None:
    """Take instances."""


async def one(payload: dict[str, Any]) -> None:
    """Take a single payload."""


async def fields(to: str) -> None:
    """Take a field."""


async def not_a_list(payloads: Mail) -> None:
    """Take what is no list."""


async def generator(payloads: list[Any]) -> Any:
    """Run nothing."""
    yield payloads


@contextmanager
def around(job: Any) -> Any:
    """Stand around a run."""
    yield job


def test_a_handler_of_batches() -> None:
    """It gets what its parameters are named after; a plain one runs in a thread."""
    definition = JobDef(plain, batch=10, batch_wait=0.5)
    assert (definition.batch, definition.batch_seconds) == (10, 0.5)
    assert not definition.bound.is_async
    assert definition.bound.wants_context
    assert definition.bound.payload_type is not None
    assert JobDef(send, batch=1).batch_seconds == 0
    assert JobDef(None, batch=10).batch == 10


@pytest.mark.parametrize(
    ("handler", "options", "told"),
    [
        (send, {"batch": 0}, "batch: 0.*at least 1"),
        (send, {"batch": 1001}, "batch: 1001.*at most 1000"),
        (send, {"batch": True}, "batch: True"),
        (send, {"batch": 2.5}, "batch: 2.5"),
        (send, {"batch": 2, "batch_wait": -1}, "batch_wait: -1"),
        (send, {"batch": 2, "batch_wait": "1s"}, "batch_wait: '1s'"),
        (nothing, {"batch_wait": 1}, "batch_wait: 1.*batch=100"),
        (send, {"batch": 2, "executor": "process"}, "executor: 'process'.*a thread"),
        (send, {"batch": 2, "around": around}, "around.*enter it in the handler"),
        (one, {"batch": 2}, "'payload' cannot be filled.*write payloads"),
        (fields, {"batch": 2}, "'to' cannot be filled.*payloads, jobs, contexts"),
        (nothing, {"batch": 2}, "has to take payloads, jobs or contexts"),
        (not_a_list, {"batch": 2}, r"write payloads: list\[Item\]"),
        (generator, {"batch": 2}, "it has a yield"),
        ("send", {"batch": 2}, "allowed is a function"),
    ],
)
def test_what_cannot_be_a_batch(handler: Any, options: dict[str, Any], told: str) -> None:
    """The error names the argument, its value and the line to write."""
    with pytest.raises(DefinitionError, match=f"(?s){told}"):
        JobDef(handler, **options)


def test_a_cron_runs_by_itself() -> None:
    """It has no batch, and a processor has none for all of its jobs."""
    processor = JobProcessor("sqlite://")
    options: dict[str, Any] = {"batch": 2}
    with pytest.raises(DefinitionError, match="batch"):
        processor.cron("@daily", **options)
    with pytest.raises(TypeError, match="batch"):
        CronDef("@daily", nothing, **options)
    with pytest.raises(DefinitionError, match="batch"):
        JobProcessor("sqlite://", defaults=JobOptions(batch=2))


def test_what_stands_around_every_job_stands_around_no_batch() -> None:
    """It is entered for one job; the error says where to enter it."""
    processor = JobProcessor("sqlite://", around=around)
    with pytest.raises(DefinitionError, match="enter it in the handler"):
        processor.job(batch=2)(send)


@pytest.mark.parametrize(("other", "meant"), [("batch_size", "batch"), ("chunk", "batch")])
def test_words_of_others(other: str, meant: str) -> None:
    """What they call it leads to ours."""
    options: dict[str, Any] = {other: 2}
    with pytest.raises(DefinitionError, match=f"write {meant}="):
        JobProcessor("sqlite://").job(**options)


async def test_each_payload_is_checked_when_it_is_scheduled() -> None:
    """As for any other handler that names a class."""
    processor = JobProcessor("sqlite://")
    handle = processor.job("mail", batch=10)(mail)
    async with processor:
        job = await handle.schedule(Mail("ada"))
        assert job.payload == {"to": "ada"}
        assert (await processor.schedule_job("mail", {"to": "bob"})).payload == {"to": "bob"}
        with pytest.raises(InvalidPayloadError):
            await processor.schedule_job("mail", {"too": "bob"})


IDS = [ObjectId() for _ in range(2)]
ERROR = ValueError("no")


@pytest.mark.parametrize(
    ("returned", "endings"),
    [
        (None, [None, None]),
        ([1, ERROR], [1, ERROR]),
        ((1, 2), [1, 2]),
        ({IDS[1]: ERROR}, [None, ERROR]),
        ({str(IDS[0]): 1, IDS[1]: 2}, [1, 2]),
        ({}, [None, None]),
    ],
)
def test_what_is_said_of_each(returned: Any, endings: Sequence[Any]) -> None:
    """In the order of the jobs, or by their ids."""
    assert endings_of(IDS, returned) == endings


@pytest.mark.parametrize("returned", [[1], [1, 2, 3], "ab", 1, {"x": 1}, {ObjectId(): 1}])
def test_what_says_nothing_of_each(returned: Any) -> None:
    """Too few, too many, no list, an id of another job."""
    with pytest.raises(InvalidArgumentError, match=r"result of the batch.*are None, a list"):
        endings_of(IDS, returned)
