"""What a run's end means."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import JobDef, JobStatus, Retry, RetryLater, SimpleJob, Snooze
from job_processor.clock import LAST_MOMENT
from job_processor.handlers.abort import AbortReason
from job_processor.store.requests import Outcome, Settlement
from job_processor.worker.describing import describe_error
from job_processor.worker.outcomes import (
    Ending,
    classify,
    give_back,
    rescue,
)

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
BOOM = Ending(error=ValueError("boom"))
CANCELLED = Ending(error=asyncio.CancelledError())


def running(**changes: Any) -> SimpleJob:
    fields: dict[str, Any] = {
        "id": ObjectId(),
        "name": "a",
        "status": JobStatus.RUNNING,
        "scheduled_for": AT,
        "created_at": AT,
        "updated_at": AT,
        "started_at": AT,
        "worker_id": ObjectId(),
    }
    return SimpleJob(**{**fields, **changes})


def definition(**options: Any) -> JobDef:
    return JobDef(lambda: None, **options)


def end(
    ending: Ending, reason: AbortReason | None, job: SimpleJob | None = None, **options: Any
) -> Outcome | None:
    lives_on = options.pop("lives_on", False)
    return classify(
        job or running(),
        definition(**options),
        ending,
        reason,
        at=AT,
        elapsed=1.5,
        lives_on=lives_on,
    )


@pytest.mark.parametrize(
    ("ending", "reason", "options", "status", "error"),
    [
        (Ending(3), None, {}, "finished", None),
        (BOOM, None, {}, "errored", "ValueError: boom"),
        (CANCELLED, None, {}, "errored", "asyncio.exceptions.Can"),
        (Ending(3), AbortReason.SHUTDOWN, {}, "finished", None),
        (BOOM, AbortReason.SHUTDOWN, {}, "errored", "Interrupted"),
        (CANCELLED, AbortReason.SHUTDOWN, {"resumable": True}, "paused", None),
        (BOOM, AbortReason.SHUTDOWN, {"resumable": True}, "paused", None),
        (Ending(3), AbortReason.KILL, {}, "killed", "Killed"),
        (BOOM, AbortReason.KILL, {"retry": Retry()}, "killed", "Killed"),
        (Ending(3), AbortReason.MAX_RUNTIME, {"max_runtime_in_minutes": 2}, "errored", "max runt"),
        (BOOM, None, {"retry": Retry()}, "pending", "ValueError: boom"),
        (CANCELLED, AbortReason.MAX_RUNTIME, {"retry": Retry()}, "pending", "max runtime"),
        (BOOM, AbortReason.SHUTDOWN, {"retry": Retry()}, "pending", "Interrupted"),
        (
            CANCELLED,
            AbortReason.MAX_RUNTIME,
            {"retry": Retry(), "lives_on": True},
            "errored",
            "max",
        ),
        (
            CANCELLED,
            AbortReason.SHUTDOWN,
            {"retry": Retry(), "lives_on": True},
            "errored",
            "Int",
        ),
        (CANCELLED, AbortReason.KILL, {"resumable": True, "lives_on": True}, "killed", "K"),
    ],
)
def test_an_ending_and_its_reason_decide_the_outcome(
    ending: Ending, reason: AbortReason | None, options: Any, status: str, error: str | None
) -> None:
    """Kill and max runtime win over whatever the handler returned, a shutdown interrupts."""
    outcome = end(ending, reason, **options)
    assert outcome is not None
    assert outcome.status == status
    if error is None:
        assert outcome.output is None or outcome.output.error is None
    else:
        assert outcome.output is not None
        assert outcome.output.error is not None
        assert outcome.output.error.startswith(error)


def test_nothing_is_written_for_what_is_not_ours() -> None:
    """A run that was taken away, and a resumable one whose thread outlives us, write nothing."""
    assert end(Ending(3), AbortReason.LOST) is None
    assert end(CANCELLED, AbortReason.SHUTDOWN, resumable=True, lives_on=True) is None


def test_a_retry_counts_attempts_and_waits() -> None:
    """The next attempt has the next number and comes after the delay; the last one errors."""
    retry = Retry(max_attempts=2, delay=30, jitter=False)
    first = end(BOOM, None, retry=retry)
    assert first is not None
    assert (first.attempt, first.scheduled_for) == (2, AT + timedelta(seconds=30))
    last = end(BOOM, None, running(attempt=2), retry=retry)
    assert last is not None
    assert last.status is JobStatus.ERRORED


def test_no_attempt_began_before_its_claim() -> None:
    """Times are cut to milliseconds, and a quick run would have begun one too early."""
    claimed = AT - timedelta(seconds=1.4995)
    outcome = end(BOOM, None, running(updated_at=claimed, started_at=claimed), retry=3)
    assert outcome is not None
    assert outcome.failed is not None
    assert outcome.failed.started_at == claimed
    late = end(BOOM, None, running(updated_at=AT + timedelta(seconds=1)), retry=3)
    assert late is not None
    assert late.failed is not None
    assert late.failed.started_at == late.failed.ended_at == AT


@pytest.mark.parametrize(
    ("error", "options", "attempt", "status"),
    [
        (OSError(), {"retry": Retry(retry_on=(OSError,))}, 1, "pending"),
        (ConnectionError(), {"retry": Retry(retry_on=(OSError,))}, 1, "pending"),
        (KeyError(), {"retry": Retry(retry_on=(OSError,))}, 1, "errored"),
        (ConnectionError(), {"retry": Retry(give_up_on=(ConnectionError,))}, 1, "errored"),
        (asyncio.CancelledError(), {"retry": Retry()}, 1, "errored"),
        (SystemExit(), {"retry": 5}, 1, "errored"),
        (KeyError(), {"retry": 5}, 4, "pending"),
        (KeyError(), {"retry": 5}, 5, "errored"),
        (RetryLater(delay=90), {}, 2, "pending"),
        (RetryLater(delay=90), {}, 3, "errored"),
        (RetryLater(delay=90), {"retry": Retry(9, retry_on=(OSError,))}, 8, "pending"),
        (RetryLater(delay=90), {"retry": Retry(9)}, 9, "errored"),
    ],
)
def test_the_error_and_the_number_decide_whether_to_try_again(
    error: BaseException, options: Any, attempt: int, status: str
) -> None:
    """Of the right kind, and not the last attempt; who asks for another one gets it sooner."""
    outcome = end(Ending(error=error), None, running(attempt=attempt), **options)
    assert outcome is not None
    assert outcome.status == status
    if isinstance(error, RetryLater) and status == "pending":
        assert outcome.attempt == attempt + 1
        assert outcome.scheduled_for == AT + timedelta(seconds=90)


@pytest.mark.parametrize("reason", [None, AbortReason.SHUTDOWN])
@pytest.mark.parametrize("attempt", [1, 7])
def test_a_snooze_is_no_attempt(reason: AbortReason | None, attempt: int) -> None:
    """The job waits until later, under the number that it had."""
    outcome = end(Ending(error=Snooze(delay=60)), reason, running(attempt=attempt))
    assert outcome is not None
    assert (outcome.status, outcome.attempt) == (JobStatus.PENDING, None)
    assert outcome.scheduled_for == AT + timedelta(minutes=1)


@pytest.mark.parametrize("error", [Snooze(delay=1), RetryLater("busy", delay=1)])
def test_nobody_waits_for_a_job_of_run_job(error: Exception) -> None:
    """Its caller gets the failure, here and now."""
    outcome = end(Ending(error=error), None, running(sync=True))
    assert outcome is not None
    assert outcome.status is JobStatus.ERRORED


def test_a_time_beyond_the_last_year_is_the_last_moment() -> None:
    """A pause of a million years is one that nobody lives to see, not a failure of the worker."""
    outcome = end(Ending(error=Snooze(delay=1e15)), None)
    assert outcome is not None
    assert outcome.scheduled_for == LAST_MOMENT


def test_run_job_is_one_attempt() -> None:
    """A job that its caller runs is not retried: the caller gets the failure."""
    outcome = end(BOOM, None, running(sync=True), retry=Retry())
    assert outcome is not None
    assert outcome.status is JobStatus.ERRORED


def test_a_crash_is_resumed_retried_or_errored_and_a_poison_job_ends() -> None:
    """Resumable → paused; else retried; else errored; the third crash in a row always errors."""

    def of(job: SimpleJob, *, killed: bool = False, **options: Any) -> Outcome:
        return rescue(job, definition(**options), killed=killed, at=AT)

    paused = of(running(), resumable=True)
    assert (paused.status, paused.crashes, paused.attempt) == (JobStatus.PAUSED, 1, None)
    retried = of(running(), retry=Retry())
    assert (retried.status, retried.attempt) == (JobStatus.PENDING, 2)
    errored = of(running())
    assert errored.output is not None
    assert errored.output.error == "Worker crashed unexpectedly"
    for options in ({"resumable": True}, {"retry": Retry(max_attempts=9)}):
        poison = of(running(crashes=2), **options)
        assert poison.status is JobStatus.ERRORED
        assert poison.output is not None
        assert poison.output.error == "crashed its worker 3 times"
    assert of(running(), killed=True, resumable=True).status is JobStatus.KILLED


def test_a_settlement_ends_the_count_of_crashes() -> None:
    """Crashes are counted since the last settlement."""
    outcome = end(CANCELLED, AbortReason.SHUTDOWN, running(crashes=2), resumable=True)
    assert outcome is not None
    assert outcome.crashes == 0


def test_a_run_that_never_began_is_given_back_as_it_was() -> None:
    """A first claim goes back to pending without `started_at`; a resumed one to paused."""
    first = running()
    written = Settlement(first, give_back(first, AT), ObjectId()).written()
    assert (written.status, written.started_at, written.worker_id) == ("pending", None, None)
    resumed = running(started_at=AT - timedelta(hours=1))
    written = Settlement(resumed, give_back(resumed, AT), ObjectId()).written()
    assert (written.status, written.started_at) == ("paused", AT - timedelta(hours=1))


def test_a_huge_error_is_shortened_and_a_broken_one_described() -> None:
    """An error's text is bounded and always there."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert len(describe_error(ValueError("x" * 1_000_000))) < 11_000
    assert "BrokenError" in describe_error(BrokenError())
    assert "\ud800" not in describe_error(ValueError("\ud800"))
