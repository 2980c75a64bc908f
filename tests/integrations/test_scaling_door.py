"""`/scaling` of a worker's port, while there is no worker, and while the database is away."""

from __future__ import annotations

import pytest

from job_processor import JobDef, JobProcessor, StoreUnavailableError
from job_processor.events import Event, EventKind
from job_processor.integrations.scaling import ScalingDoor
from tests.definitions import nothing
from tests.processors import Processors, eventually
from tests.web.spy import Spy


@pytest.fixture
async def door() -> ScalingDoor:
    """What answers."""
    return ScalingDoor()


@pytest.fixture
async def processor(processors: Processors, door: ScalingDoor) -> JobProcessor:
    """A processor that has it."""
    return await processors.make(jobs={"a": JobDef(nothing)}, integrations=[door])


async def test_while_there_is_no_worker(
    processors: Processors, processor: JobProcessor, door: ScalingDoor
) -> None:
    """It says so; once one has begun it answers, until that has stopped."""
    assert await ScalingDoor().answer("") == await door.answer("")
    assert (await door.answer(""))[0] == 503
    stopped: list[Event] = []
    processor.listen(
        lambda event: stopped.append(event) if event.kind is EventKind.WORKER_STOPPED else None
    )
    worker = await processors.worker(processor)

    async def answers() -> bool:
        return (await door.answer("max=7"))[0] == 200

    await eventually(answers)
    assert (await door.answer("tags=x"))[0] == 400
    await worker.stop()
    assert stopped
    assert (await door.answer(""))[0] == 503


async def test_while_the_database_is_away(
    processors: Processors, processor: JobProcessor, door: ScalingDoor
) -> None:
    """It says that, and not where it is."""
    await processors.worker(processor)

    async def answers() -> bool:
        return (await door.answer(""))[0] == 200

    await eventually(answers)
    spy = Spy(processor)
    spy.error = StoreUnavailableError("mongodb://db.internal:27017/app does not answer")
    status, told = await door.answer("")
    assert (status, told["detail"]) == (503, "the database does not answer")
