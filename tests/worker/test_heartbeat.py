"""What counts as one unbroken time of confirmed heartbeats, before which nobody judges others."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from job_processor import JobDef
from tests.insides import engine_of
from tests.processors import QUICK, Processors, eventually


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_short_outage_breaks_the_confidence(processors: Processors, db_url: str) -> None:
    """After a gap in which another worker may have come to look dead, the count begins anew."""

    async def handler() -> None: ...

    processor, _ = await processors.start(jobs={"a": JobDef(handler)})

    def confidence() -> float:
        engine = engine_of(processor)  # when its rescuer may judge has no public face
        return engine.lease.unbroken_for() if engine is not None else 0.0

    async def confident() -> bool:
        return bool(confidence() > QUICK["worker_timeout"])

    async def beats_again() -> bool:
        return confidence() > 0

    await eventually(confident)
    path = Path(db_url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        await asyncio.sleep(QUICK["worker_timeout"])  # the outage
        connection.execute("ROLLBACK")
    await eventually(beats_again)
    assert confidence() < time.monotonic() - began
