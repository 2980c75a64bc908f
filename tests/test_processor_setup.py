"""How a processor is set up, and what is refused when it is."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor import (
    InvalidArgumentError,
    JobProcessor,
    JobStatus,
    NotSetUpError,
    init_job_processor,
)
from tests.definitions import JOBS
from tests.processors import QUICK


async def test_it_must_be_set_up_first() -> None:
    """Using a processor before setup() or after close() says what to call."""
    processor = JobProcessor("sqlite://", jobs=JOBS)
    with pytest.raises(NotSetUpError, match="setup"):
        await processor.schedule_job("double", {"value": 1})
    async with processor:
        await processor.schedule_job("double", {"value": 1})
    with pytest.raises(NotSetUpError):
        await processor.find_jobs()


async def test_init_job_processor_sets_it_up(db_url: str) -> None:
    """The one-call form of the Node package: made and set up."""
    processor = await init_job_processor(db=db_url, jobs=JOBS, crons={}, worker_tags=["main"])
    try:
        assert (await processor.run_job("double", {"value": 2})).status is JobStatus.FINISHED
    finally:
        await processor.close()


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"worker_tags": []}, "worker_tags"),
        ({"worker_tags": "main"}, "worker_tags"),
        ({"worker_tags": [""]}, "worker_tags"),
        ({"concurrency": 0}, "concurrency"),
        ({"concurrency": 1.5}, "concurrency"),
        ({"timezone": "Nowhere"}, "timezone"),
        ({"poll_interval": 0}, "poll_interval"),
        ({"worker_timeout": -1}, "worker_timeout"),
        ({"worker_timeout": 0.1, "heartbeat_interval": 0.1}, "worker_timeout"),
        ({"kill_grace": -1}, "kill_grace"),
        ({"history_days": 0}, "history_days"),
        ({"service": ""}, "service"),
        ({"collection_prefix": "a$b"}, "collection_prefix"),
        ({"db": "postgres://host/db"}, "db"),
        ({"db": 3}, "db"),
        ({"jobs": [1]}, "jobs"),
        ({"db": "mongodb://h/db", "worker_timeout": 250}, "worker_timeout"),
        ({"db": "mongodb://h/db", "history_days": 91}, "history_days"),
        ({"keep_errored_days": 0}, "keep_errored_days"),
        ({"keep_errored_days": "long"}, "keep_errored_days"),
        ({"db": "mongodb://h/db", "keep_errored_days": 91}, "keep_errored_days"),
        ({"db": "mongodb://h/"}, "db"),
    ],
)
def test_a_setting_that_is_not_allowed_is_refused(options: Any, argument: str) -> None:
    """Each bad setting is refused by its name when the processor is made."""
    with pytest.raises(InvalidArgumentError) as caught:
        JobProcessor(**{"db": "sqlite://", **options})
    assert caught.value.argument == argument


async def test_a_tag_that_nobody_has_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A worker tag without a definition is said, not refused."""
    async with JobProcessor("sqlite://", jobs=JOBS, worker_tags=["main"], **QUICK) as processor:
        assert "'main'" in caplog.text
        assert (await processor.run_job("double", {"value": 1})).settled


async def test_two_processors_live_in_one_process() -> None:
    """Each memory database is its own; nothing is shared between processors."""
    async with (
        JobProcessor("sqlite://", jobs=JOBS, **QUICK) as one,
        JobProcessor("sqlite://", jobs=JOBS, **QUICK) as other,
    ):
        job = await one.schedule_job("double", {"value": 1})
        assert await other.get_job(job.id) is None
