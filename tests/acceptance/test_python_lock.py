"""A handler that holds Python's lock for longer than `worker_timeout` looks dead, and is named."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from job_processor import JobStatus
from tests.acceptance.workers import Site
from tests.processors import WAIT

pytestmark = pytest.mark.timeout(300)


async def test_a_handler_that_holds_pythons_lock(
    make_site: Callable[..., Any], db_url: str, tmp_path: Path
) -> None:
    """Its run is taken up by another one, one end is written, and both workers go on."""
    site: Site = await make_site(db_url, concurrency=1)
    for _ in range(2):
        site.start_worker()
    await site.until_workers(2)
    pipe = tmp_path / "held"
    os.mkfifo(pipe)
    (job,) = await site.processor.schedule_jobs([("locks", {"held": str(pipe)})])
    first, _ = await site.until_started(2)
    pipe.write_bytes(b"x")
    (done,) = await site.settled([job])
    spans = site.spans()[str(job.id)]
    assert spans[0].pid == first["pid"]
    assert (done.status, len(spans)) == (JobStatus.FINISHED, 2)
    assert spans[1].pid != first["pid"]
    site.assert_hooked_at_most_once()
    (holder,) = [worker for worker in site.workers if worker.pid == first["pid"]]
    try:
        async with asyncio.timeout(WAIT):
            while "without the GIL" not in holder.log or "taken away" not in holder.log:  # noqa: ASYNC110  # it writes a file
                await asyncio.sleep(0.05)
    except TimeoutError:
        pytest.fail(f"its log lacks one of the two:\n{holder.log}")
    assert f"'locks' ({job.id})" in holder.log
    assert "executor='process'" in holder.log
    more = await site.processor.schedule_jobs([("deaf", {"seconds": 1.0})] * 2)
    for each in await site.settled(more):
        assert (each.status, each.crashes) == (JobStatus.FINISHED, 0)
