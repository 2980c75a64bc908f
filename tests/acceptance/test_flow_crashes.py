"""Processes that die by SIGKILL around each write of a flow, from its start to its end."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta
from itertools import chain, count, islice
from pathlib import Path

import pytest
from bson import ObjectId

from job_processor import Job, JobProcessor, JobStatus
from job_processor.jobs import after
from job_processor.worker import group_sweeper
from tests.acceptance.dying import Diary
from tests.acceptance.flow_dying import POINTS, SIZE, make
from tests.acceptance.test_step_crashes import Dying, dying_processes, rescue_at_once
from tests.insides import store_of
from tests.processors import eventually, working

AT_ONCE = 4
"""Points at which the processes of one flow die, each once."""

ENDS = {
    "first": JobStatus.FINISHED,
    "part": JobStatus.FINISHED,
    "last": JobStatus.FINISHED,
    "tell": JobStatus.FINISHED,
    "bad": JobStatus.ERRORED,
    "behind": JobStatus.SKIPPED,
}


async def all_jobs(processor: JobProcessor, **selection: object) -> list[Job]:
    """Return all jobs."""
    found: list[Job] = []
    page = await processor.find_jobs(limit=1000, **selection)  # type: ignore[arg-type]
    while True:
        found += page.jobs
        if page.next is None:
            return found
        page = await processor.find_jobs(limit=1000, after=page.next, **selection)  # type: ignore[arg-type]


async def through(
    processor: JobProcessor, dying: Dying, diary: Diary, points: set[str]
) -> set[str]:
    """Run a flow to its end, through deaths at these points; return those it did not come to."""
    left, starts = set(points), True
    while True:
        alive = await dying.run({"start" if starts else "work", *left})
        if not alive:
            left.remove(diary.deaths()[-1])
        await rescue_at_once(processor)
        flow = ObjectId([words[1] for words in diary.read() if words[0] == "flow"][-1])
        jobs = await all_jobs(processor, flow=flow)
        starts = len(jobs) < SIZE
        if not starts and all(job.settled for job in jobs):
            return left


async def has_ended(processor: JobProcessor) -> bool:
    """True when nothing stands any more, neither a job nor a group."""
    counts = [
        await processor.count_jobs(status=status) for status in ("pending", "running", "paused")
    ]
    return not any(counts) and not await store_of(processor).groups.unfinished(None, 1)


@pytest.mark.parametrize("deaths", [16, pytest.param(1000, marks=pytest.mark.soak)])
async def test_no_flow_stands_whoever_dies(
    db_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: int
) -> None:
    """A flow that is stored as a whole comes to its end; of any other one nothing has begun.

    No `then` follows twice, and no result of a step is lost after it was told.
    """
    chance, file = random.Random(deaths), tmp_path / "diary"
    file.touch()
    diary, processor = Diary(file), make(db_url, Diary(file))
    rounds = (chance.sample(POINTS, len(POINTS)) for _ in count())
    chosen = list(islice(chain.from_iterable(rounds), deaths))
    todo = list(chosen)
    async with processor, dying_processes(db_url, file, "tests.acceptance.flow_dying") as dying:
        for _ in range(10 * len(todo)):
            if not todo:
                break
            points = set(todo[:AT_ONCE])  # what is twice among them waits for its next turn
            for point in points:
                todo.remove(point)
            todo += await through(processor, dying, diary, points)
        assert todo == []
        assert Counter(diary.deaths()) == Counter(chosen)
        # What a start has left that broke off is given up ten minutes later.
        monkeypatch.setattr(after, "NOT_YET", timedelta(seconds=-60))
        monkeypatch.setattr(group_sweeper, "GROUP_LEFT", -60)
        async with working(processor):
            await eventually(lambda: has_ended(processor), "the end of all that was stored")
        jobs = await all_jobs(processor)
    check_flows(jobs, diary)
    check_callbacks(jobs)
    check_steps(jobs, diary)


def check_flows(jobs: list[Job], diary: Diary) -> None:
    """Each flow has run through, or not begun."""
    lines = diary.read()
    began = {words[1] for words in lines if words[0] == "ran"}
    whole = broken = 0
    for flow in {words[1] for words in lines if words[0] == "flow"}:
        of_flow = [job for job in jobs if str(job.flow) == flow]
        if len(of_flow) == SIZE:
            whole += 1
            assert {(job.name, job.status) for job in of_flow} == set(ENDS.items()), flow
            (answer,) = (job.result() for job in of_flow if job.name == "last")
            assert answer == "well"
        else:
            broken += 1
            assert flow not in began
            assert {job.status for job in of_flow} <= {JobStatus.SKIPPED}
    assert whole
    assert broken


def check_callbacks(jobs: list[Job]) -> None:
    """Each group has exactly one callback."""
    called = Counter(job.callback_of for job in jobs if job.name in ("then", "catch"))
    assert set(called.values()) == {1}


def check_steps(jobs: list[Job], diary: Diary) -> None:
    """What a handler was told of a step is the result that was kept."""
    kept = {(str(job.id), step.result) for job in jobs for step in job.steps if step.until is None}
    told = {(words[1], words[2]) for words in diary.read() if words[0] == "told"}
    assert told
    assert told <= kept
