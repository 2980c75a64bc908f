"""Payloads of a class: checked when a job is made, converted when it runs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pytest
from bson import ObjectId
from pydantic import BaseModel, ConfigDict, Field

from job_processor import (
    BulkError,
    DefinitionError,
    InvalidPayloadError,
    JobDef,
    JobHandle,
    JobProcessor,
    JobStatus,
    PayloadError,
    Retry,
)
from job_processor.handlers.payloads import payload_type
from tests.processors import Processors
from tests.worker import process_handlers

if TYPE_CHECKING:
    from somewhere import Unknown  # type: ignore[import-not-found]  # what is tested

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
ID = ObjectId()
UUID_TEXT = "12345678-1234-5678-1234-567812345678"


class Colour(Enum):
    """A plain enum, which no store keeps."""

    RED = "red"


class Part(BaseModel):
    """A part of a model."""

    numbers: set[int]


class Model(BaseModel):
    """A model with what stores keep, and with what they do not."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    width: int = Field(alias="w", gt=0)
    at: datetime = NOW
    owner: ObjectId = ID
    blob: bytes = b"\0"
    colour: Colour = Colour.RED
    price: Decimal = Decimal("1.50")
    key: UUID = UUID(UUID_TEXT)
    part: Part = Part(numbers={1})


@dataclass
class Inner:
    """A part of a dataclass."""

    n: int


@dataclass
class Data:
    """The same as a dataclass."""

    width: int
    at: datetime = NOW
    owner: ObjectId = ID
    blob: bytes = b"\0"
    colour: Colour = Colour.RED
    price: Decimal = Decimal("1.50")
    inner: list[Inner] = field(default_factory=lambda: [Inner(1)])


class Struct(msgspec.Struct):
    """The same as a Struct."""

    width: int
    colour: Colour = Colour.RED


class Typed(TypedDict):
    """The same as a TypedDict."""

    width: int
    note: NotRequired[str]


class AllDefaults(BaseModel):
    """A model that needs nothing."""

    width: int = 7


async def take_model(payload: Model) -> str:
    """Return what came."""
    return repr(payload)


async def take_data(payload: Data) -> str:
    """Return what came."""
    return repr(payload)


def take_struct(payload: Struct) -> str:
    """Return what came."""
    return repr(payload)


async def take_typed(payload: Typed) -> str:
    """Return what came."""
    return repr(payload)


async def take_default(payload: AllDefaults) -> str:
    """Return what came."""
    return repr(payload)


async def take_optional(payload: Data | None = None) -> str:
    """Return what came."""
    return repr(payload)


HANDLERS: list[tuple[Callable[..., Any], Any, dict[str, Any]]] = [
    (take_model, Model(w=1), {"w": 1}),
    (take_data, Data(1), {"width": 1}),
    (take_struct, Struct(1), {"width": 1}),
    (take_typed, Typed(width=1, note="a"), {"width": 1, "note": "a"}),
    (take_default, AllDefaults(), {}),
    (take_optional, Data(2), {"width": 2}),
]


@pytest.mark.parametrize(("handler", "instance", "mapping"), HANDLERS)
async def test_it_is_converted(
    processors: Processors, handler: Any, instance: Any, mapping: dict[str, Any]
) -> None:
    """From an instance or from a mapping, both come as the same instance."""
    processor = await processors.make(jobs={"take": JobDef(handler)})
    jobs = await processor.schedule_jobs([("take", instance), ("take", mapping)])
    await processor.run_worker(burst=True)
    for job in jobs:
        assert (await processor.wait_for_job(job.id)).result() == repr(instance)
    assert (await processor.run_job("take", instance)).result() == repr(instance)


async def test_what_is_stored(processors: Processors) -> None:
    """Times, ids and bytes as such, what no store keeps as JSON has it; a mapping as given."""
    jobs = {"model": JobDef(take_model), "data": JobDef(take_data)}
    processor = await processors.make(jobs=jobs)
    kept = {"at": NOW, "owner": ID, "blob": b"\0", "colour": "red", "price": "1.50"}
    model = await processor.schedule_job("model", Model(w=1))
    assert model.payload == {"w": 1, **kept, "key": UUID_TEXT, "part": {"numbers": [1]}}
    data = await processor.schedule_job("data", Data(1))
    assert data.payload == {"width": 1, **kept, "inner": [{"n": 1}]}
    assert (await processor.schedule_job("data", {"width": 1})).payload == {"width": 1}


@pytest.mark.parametrize(
    ("handler", "payload", "told"),
    [
        (take_model, {"w": "wide"}, "w.*valid integer"),
        (take_model, {"w": 0}, "greater than 0"),
        (take_model, None, "Field required"),
        (take_data, {"width": "wide"}, r"Expected `int`, got `str` - at `\$.width`"),
        (take_data, {"width": 1, "owner": "me"}, "Expected `ObjectId`, got `str`"),
        (take_data, {"width": 1, "inner": [{"m": 1}]}, "missing required field `n`"),
        (take_struct, {}, "missing required field `width`"),
        (take_typed, {"width": 1, "note": 2}, "Expected `str`"),
        (take_typed, [1], "Expected `object`, got `array`"),
        (take_data, Model(w=1), "Expected `object`|payload"),
    ],
)
async def test_an_invalid_one_is_refused(
    processors: Processors, handler: Any, payload: Any, told: str
) -> None:
    """When it is scheduled or run; the error is the library's, and nothing is stored."""
    processor = await processors.make(jobs={"take": JobDef(handler)})
    for call in (processor.schedule_job, processor.run_job):
        with pytest.raises(PayloadError, match=f"(?s)payload: .*{told}"):
            await call("take", payload)
    assert (await processor.find_jobs()).jobs == ()


async def test_one_among_many(processors: Processors) -> None:
    """Its position is told."""
    processor = await processors.make(jobs={"take": JobDef(take_data)})
    with pytest.raises(InvalidPayloadError, match=r"jobs\[2\]: payload"):
        await processor.schedule_jobs([("take", Data(1)), ("take", {"width": 1}), "take"])
    fine = [("take", {"width": 1})] * 1000
    with pytest.raises(BulkError, match=r"jobs\[1000\]: payload"):
        await processor.schedule_jobs([*fine, "take"])


@pytest.mark.parametrize("executor", [None, "process"])
async def test_an_invalid_one_that_was_stored(processors: Processors, executor: Any) -> None:
    """By a process that does not know the handler: errored with the message, not retried."""
    producer = await processors.make(jobs={"take": JobDef(None)})
    job = await producer.schedule_job("take", {"width": "wide"})
    definition = JobDef(process_handlers.take_data, executor=executor, retry=Retry(5, delay=0))
    worker = await processors.make(jobs={"take": definition})
    await worker.run_worker(burst=True)
    done = await producer.wait_for_job(job.id)
    assert (done.status, done.attempt) == (JobStatus.ERRORED, 1)
    assert done.output is not None
    assert "Expected `int`, got `str` - at `$.width`" in str(done.output.error)


async def test_a_class_in_a_process(processors: Processors) -> None:
    """The handler gets an instance there, too."""
    definition = JobDef(process_handlers.take_data, executor="process")
    processor = await processors.make(jobs={"take": definition})
    job = await processor.run_job("take", process_handlers.Data(3))
    assert job.result() == "Data(width=3)"


async def test_an_optional_one(processors: Processors) -> None:
    """None is None; a model whose fields have defaults takes it for an empty one."""
    jobs = {"optional": JobDef(take_optional), "default": JobDef(take_default)}
    processor = await processors.make(jobs=jobs)
    assert (await processor.run_job("optional")).result() == "None"
    assert (await processor.run_job("default")).result() == "AllDefaults(width=7)"


async def test_a_handle(processors: Processors) -> None:
    """The decorated function is still that function, and has ways to be scheduled."""
    processor = await processors.make()

    @processor.job("resize", tag="heavy")
    async def resize(payload: Any, context: Any) -> Any:
        """Resize."""
        return payload

    @processor.job()
    def plain() -> int:
        return 3

    assert isinstance(resize, JobHandle)
    assert (resize.name, vars(resize)["__name__"]) == ("resize", "resize")
    assert resize.__doc__ == "Resize."
    assert await resize(5, None) == 5
    assert plain() == 3
    assert "resize" in repr(resize)
    job = await resize.schedule({"a": 1}, priority=2, unique_key="k")
    assert (job.name, job.payload, job.priority, job.unique_key) == ("resize", {"a": 1}, 2, "k")
    assert (await plain.run()).result() == 3
    assert (await plain.schedule()).name == "plain"
    again: JobHandle[..., Any] = processor.job("again")(plain)
    assert again.handler is plain.handler
    assert (await again.run(None)).result() == 3


@pytest.mark.parametrize("annotation", [Any, dict, "dict[str, Any]", "Any", int, str | int])
def test_what_is_no_class_of_a_payload(annotation: Any) -> None:
    """It is taken as it comes."""

    def handler(payload: Any) -> None:
        """Do nothing."""

    handler.__annotations__["payload"] = annotation
    assert payload_type(handler) is None


def test_what_cannot_be_resolved(caplog: pytest.LogCaptureFixture) -> None:
    """It is warned of, and taken as it comes."""

    def handler(payload: Unknown) -> None:
        """Do nothing."""

    with caplog.at_level(logging.WARNING, "job_processor"):
        assert JobDef(handler).bound.payload_type is None
    assert "'Unknown' cannot be resolved" in caplog.text


def test_msgspec_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the error names the extra; a model of pydantic does not need it."""
    monkeypatch.setitem(__import__("sys").modules, "msgspec", None)
    with pytest.raises(DefinitionError, match=r"job-processor\[typed\]"):
        JobDef(take_data)
    with pytest.raises(DefinitionError, match=r"job-processor\[typed\]"):
        JobProcessor("sqlite://").job()(take_typed)
    assert JobDef(take_model).bound.payload_type is not None
