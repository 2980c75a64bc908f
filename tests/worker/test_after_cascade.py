"""A failure that skips very many: in passes that are bounded, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from job_processor import JobDef, JobProcessor, JobRequest, JobStatus
from job_processor.store.waits import RELEASE_PASSES, RELEASED_AT_ONCE, End, Released
from tests.insides import store_of
from tests.processors import QUICK

CHILDREN = 100_000


async def fails() -> None:
    """Fail."""
    raise ValueError("no")


@pytest.mark.slow
async def test_a_hundred_thousand_are_skipped_in_bounded_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end does some passes itself, the sweep goes on with the rest; each pass is as short."""
    passes: list[int] = []
    at_once: list[int] = []
    async with JobProcessor(
        f"sqlite:///{tmp_path / 'jobs.db'}", jobs={"step": JobDef(fails)}, **QUICK
    ) as processor:
        waits = store_of(processor).waits
        release, one_pass = waits.release, waits._release  # counted

        async def counted(ends: Sequence[End]) -> int:
            before = len(passes)
            moved = await release(ends)
            at_once.append(len(passes) - before)
            return moved

        async def timed(ends: Sequence[End], now: datetime, limit: int) -> Released:
            done = await one_pass(ends, now, limit)
            passes.append(len(done.skipped))
            return done

        monkeypatch.setattr(waits, "release", counted)
        monkeypatch.setattr(waits, "_release", timed)
        parent = await processor.schedule_job("step")
        await processor.schedule_jobs(
            (JobRequest("step", after=parent) for _ in range(CHILDREN)), return_jobs=False
        )
        await processor.run_worker(burst=True)
        skipped = await processor.count_jobs(2 * CHILDREN, status=JobStatus.SKIPPED)
    assert skipped == CHILDREN
    assert max(passes) <= RELEASED_AT_ONCE
    assert max(at_once) <= RELEASE_PASSES
    assert sum(passes) == CHILDREN
