"""Two durations of a job: how long its last attempt ran, and how long it was on its way."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from job_processor import Context, JobDef, JobStatus, Retry
from job_processor.as_json import job_json
from job_processor.cli.views import tables
from job_processor.models import Output
from job_processor.store.summaries import shown_of
from job_processor.worker.outcomes import rescue
from tests.definitions import nothing
from tests.processors import Processors
from tests.samples import NOW, SECOND, simple

PAUSE = 0.6  # seconds between the attempts


async def test_took_is_the_attempt_and_total_the_whole_way(processors: Processors) -> None:
    """The wait for another attempt is part of the total, never of what the job took."""

    async def second(context: Context) -> None:
        if context.attempt == 1:
            raise ValueError

    retry = Retry(2, delay=PAUSE, jitter=False)
    processor, _ = await processors.start(jobs={"a": JobDef(second, retry=retry)})
    job = await processor.wait_for_job((await processor.schedule_job("a")).id)
    assert job.output is not None
    assert job.output.duration_ms is not None
    assert job.total_ms is not None
    assert job.total_ms - job.output.duration_ms >= PAUSE * 1000
    (listed,) = (await processor.list_jobs()).jobs
    for shown in (job_json(job), job_json(listed)):
        assert shown["output"]["duration_ms"] == job.output.duration_ms
        assert shown["total_ms"] == job.total_ms
        assert tables.took(shown, datetime.now(UTC)) == tables.milliseconds(job.output.duration_ms)


@pytest.mark.parametrize("attempt", [1, 3])
def test_a_running_job_runs_since_its_attempt_began(attempt: int) -> None:
    """What it did before is no part of how long it has been running."""
    began = NOW + timedelta(hours=1)
    job = simple(status=JobStatus.RUNNING, started_at=NOW, updated_at=began, attempt=attempt)
    assert tables.took(job_json(job), began + 5 * SECOND) == "5 s"


def test_a_crashed_attempt_ran_since_its_claim() -> None:
    """Until it was rescued; the attempts before it are not counted."""
    began = NOW + timedelta(hours=1)
    job = simple(status=JobStatus.RUNNING, started_at=NOW, updated_at=began, attempt=2)
    outcome = rescue(job, JobDef(nothing), killed=False, at=began + 2 * SECOND)
    assert outcome.output is not None
    assert outcome.output.duration_ms == 2000


@pytest.mark.parametrize(
    ("due", "started", "total"),
    [
        (0, 2, 7000),  # it waited for a slot
        (5, 5, 2000),  # it was scheduled for later: that is no wait
        (5, 1, 6000),  # a retry moved it: since its first attempt began
        (3, None, 4000),  # skipped, or killed as it waited
        (9, None, 0),  # killed before its time
    ],
)
def test_the_total_is_since_its_time(due: int, started: int | None, total: int) -> None:
    """Of a job for later not since it was made, of one tried again not since its last try."""
    job = simple(
        due_in=due,
        status=JobStatus.FINISHED,
        started_at=None if started is None else NOW + started * SECOND,
        ended_at=NOW + 7 * SECOND,
        output=Output("1 second"),
    )
    assert job.total_ms == total
    assert shown_of(job).total_ms == total


def test_what_has_not_ended_has_no_total() -> None:
    """Nobody takes a part of the way for all of it."""
    assert simple().total_ms is None
    assert "total_ms" not in job_json(simple())
