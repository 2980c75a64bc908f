"""The gate that claims and settlements share."""

from __future__ import annotations

import asyncio

from job_processor.worker.gate import Gate
from tests.processors import WAIT


async def test_an_exclusive_holder_is_alone() -> None:
    """It waits for those inside, and keeps new ones out until it leaves."""
    gate, log = Gate(), []
    release, inside = asyncio.Event(), asyncio.Event()

    async def share(name: str) -> None:
        async with gate.shared():
            log.append(name)
            inside.set()
            await release.wait()

    async def alone() -> None:
        async with gate.exclusive():
            log.append("alone")

    first = asyncio.create_task(share("first"))
    await inside.wait()
    exclusive = asyncio.create_task(alone())
    await asyncio.sleep(0)
    late = asyncio.create_task(share("late"))
    await asyncio.sleep(0)
    assert log == ["first"]
    release.set()
    await asyncio.wait_for(asyncio.gather(first, exclusive, late), WAIT)
    assert log == ["first", "alone", "late"]


async def test_a_cancelled_exclusive_holder_lets_the_others_in() -> None:
    """Cancelling one that waits does not leave the gate closed."""
    gate = Gate()
    async with gate.shared():
        waiting = asyncio.create_task(_enter(gate))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(WAIT), gate.shared():
            pass


async def _enter(gate: Gate) -> None:
    async with gate.exclusive():
        raise AssertionError("somebody is inside")
