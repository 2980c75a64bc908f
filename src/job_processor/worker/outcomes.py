"""What a run's end means: pure functions from what happened to what is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from job_processor.clock import LAST_MOMENT, stored_duration, truncate
from job_processor.errors import DefinitionError, InvalidPayloadError, shorten
from job_processor.handlers.abort import AbortReason
from job_processor.handlers.callables import never_ran
from job_processor.handlers.definitions import Definition
from job_processor.handlers.retries import Retry, Wish, hold_of, leaves, wish_of
from job_processor.handlers.steps import Suspended, suspension_of
from job_processor.models import (
    SETTLED,
    Attempt,
    CronTask,
    Job,
    JobStatus,
    Output,
)
from job_processor.settings import CRASH_LIMIT, ERROR_LIMIT, HISTORY_ERROR_LIMIT
from job_processor.store.requests import Outcome
from job_processor.values import describe
from job_processor.worker.describing import describe_error

INTERRUPTED = "Interrupted"
KILLED = "Killed"
CRASHED = "Worker crashed unexpectedly"
UNSTORABLE = "its outcome could not be stored"
POISONOUS = f"crashed its worker {CRASH_LIMIT} times"


@dataclass(slots=True)
class Ending:
    """How a handler ended: with a result, or with what it raised."""

    result: object = None
    error: BaseException | None = None
    told: str | None = None
    """The error as text, where its traceback is of another process."""


def classify(
    job: Job,
    definition: Definition,
    ending: Ending,
    reason: AbortReason | None,
    *,
    at: datetime,
    elapsed: float,
    lives_on: bool = False,
) -> Outcome | None:
    """Return what to write for a run that ended after `elapsed` seconds; None: nothing.

    Nothing is written for a run that was taken away, and for a resumable one whose handler outlives
    the shutdown (`lives_on`): it stays `running` for the rescue, since its handler may go on until
    the process ends. May raise whatever the handler's result or exception raises when it is read.

    The first case that applies counts, so their order is the rule. What a handler returned is kept
    unless something stronger than a shutdown asked it to stop; then why it was asked counts, and
    not what it raised, which only follows from that; and what it raised comes last.
    """
    # Most runs. A shutdown only asked: what the handler has done all the same is done.
    if ending.error is None and (reason is None or reason is AbortReason.SHUTDOWN):
        return finished(definition, ending.result, at=at, elapsed=elapsed)
    duration = stored_duration(elapsed)

    def failed(
        error: str, raised: BaseException | None = None, wish: Wish | None = None
    ) -> Outcome:
        output = Output(duration, None, error)
        pause = None if lives_on else _pause(job, definition.retries, raised, wish)
        if pause is not None:
            return _again(job, pause, at - timedelta(seconds=elapsed), at, output)
        return Outcome(JobStatus.ERRORED, at, output)

    # Somebody else has the run by now, and whatever we wrote would not match.
    if reason is AbortReason.LOST:
        return None
    # Before any retry, and before the end of a resumable one: a job that was killed stays dead.
    if reason is AbortReason.KILL:
        return Outcome(JobStatus.KILLED, at, Output(duration, None, KILLED))
    # Before a wish: a handler that is too slow does not get more time by asking for it.
    if reason is AbortReason.MAX_RUNTIME:
        limit = definition.limit_seconds
        allowed = f" of {stored_duration(limit)}" if limit else ""
        return failed(f"max runtime{allowed} exceeded")
    raised = ending.error
    assert raised is not None  # noqa: S101  # the first case
    # Whatever else follows: nothing else of its rate is to run into the same limit.
    hold = hold_of(raised)
    # Before the shutdown: who says when it wants to come back ended by itself, and was not
    # interrupted. The caller of `run_job` waits for an end, and gets what was raised as one.
    wish = None if _is_called_here(job) else wish_of(raised)
    if (left := suspension_of(raised) or _snoozed(wish, at)) is not None:
        until, topics = left.until, left.topics
        return Outcome(JobStatus.PENDING, at, scheduled_for=until, topics=topics, hold=hold)
    # Before a failure: what a handler raises as it is interrupted says nothing against its code.
    if reason is AbortReason.SHUTDOWN and wish is None:
        return _paused(at, lives_on) if is_resumable(job, definition) else failed(INTERRUPTED)
    outcome = failed(ending.told or describe_error(raised), raised, wish)
    return outcome if hold is None else replace(outcome, hold=hold)


def finished(definition: Definition, result: object, *, at: datetime, elapsed: float) -> Outcome:
    """Return what to write for a handler that has returned this."""
    duration = stored_duration(elapsed)
    if definition.discard_result:
        check_ran(definition.bound.function, result)
        result = None
    if result is None:
        return _without_result(at, duration)
    return Outcome(JobStatus.FINISHED, at, Output(duration, result))


@lru_cache(maxsize=1024)
def _without_result(at: datetime, duration: str) -> Outcome:
    """Return the outcome that runs share which end in one millisecond and took as long.

    What ends alike is written together.
    """
    return Outcome(JobStatus.FINISHED, at, Output(duration))


def is_resumable(job: Job, definition: Definition) -> bool:
    """True for a job that goes on where it was interrupted: it is to, or it has done a step."""
    return definition.resumable or bool(job.steps)


def unreadable(error: BaseException, at: datetime, elapsed: float) -> Outcome:
    """Return what to write where even the error of what could not be read cannot be read."""
    output = Output(stored_duration(elapsed), None, f"{type(error).__name__}, which cannot be read")
    return Outcome(JobStatus.ERRORED, at, output)


def check_ran(function: Callable[..., Any], result: object, argument: str = "handler") -> None:
    """Raise DefinitionError for a result that means that nothing of its function has run."""
    reason = never_ran(result)
    if reason is not None:
        raise DefinitionError(argument, function, reason)


def rescue(
    job: Job,
    definition: Definition | None,
    *,
    killed: bool,
    at: datetime,
    alone: bool = True,
) -> Outcome:
    """Return what to write for a run whose worker is dead.

    alone: False where other suspects (see `is_suspect`) ran beside it.
    """
    crashes = _crashes(job, alone=alone)
    # What is running was last written when it was claimed.
    duration = stored_duration(max((at - job.updated_at).total_seconds(), 0.0))

    def ended(status: JobStatus, error: str) -> Outcome:
        return Outcome(status=status, at=at, crashes=crashes, output=Output(duration, None, error))

    if killed:
        return ended(JobStatus.KILLED, KILLED)
    if crashes >= CRASH_LIMIT:
        return ended(JobStatus.ERRORED, POISONOUS)
    if definition is not None and is_resumable(job, definition):
        return Outcome(status=JobStatus.PAUSED, at=at, crashes=crashes)
    pause = _pause(job, definition.retries) if definition is not None else None
    if pause is not None:
        return _again(job, pause, job.updated_at, at, Output(duration, None, CRASHED), crashes)
    return ended(JobStatus.ERRORED, CRASHED)


def is_suspect(job: Job) -> bool:
    """True for a run of a job that took a worker down before, and has saved no state since."""
    return job.crashes > 0 and job.state_saved != job.updated_at


def _crashes(job: Job, *, alone: bool) -> int:
    """Return how many workers it has taken down by now, since it last came any further.

    The first time, all that ran is suspected. From then on suspects run one at a time, and only the
    one that ran alone among them is to blame.
    """
    before = job.crashes if is_suspect(job) else 0
    return before + 1 if alone or before == 0 else before


def is_expired(job: Job, claimed: datetime) -> bool:
    """True for a job claimed too late to begin; one that began before goes on."""
    if isinstance(job, CronTask) or job.expires_at is None or job.ran_before:
        return False
    return claimed >= job.expires_at


def next_best(outcome: Outcome, refusal: object) -> Outcome | None:
    """Return what to write instead of an outcome that the store refused; None: nothing is left.

    What the run told of itself goes first. A retry that cannot be counted (the Node package's
    validator knows no attempts) ends errored with the handler's own error. Of a job that has ended
    goes the saved state, then a result gives way to its description, whatever else cannot be stored
    to the refusal, and where even that is refused, its end is written without a word.
    """
    if outcome.notes is not None:
        return replace(outcome, notes=None)
    output = outcome.output
    if outcome.attempt is not None:
        return Outcome(JobStatus.ERRORED, outcome.at, output, crashes=outcome.crashes)
    if _is_least(outcome):
        return None if output is None else replace(outcome, output=None)
    if outcome.status in SETTLED and not outcome.bare:
        return replace(outcome, bare=True)
    if output is not None and outcome.status is JobStatus.FINISHED and not _is_short(output.result):
        return replace(outcome, output=replace(output, result=describe(output.result)))
    return last_resort(outcome, refusal)


def last_resort(outcome: Outcome, refusal: object) -> Outcome:
    """Return the least that can be written: a short error, and nothing of the run beside it."""
    told = shorten(f"{UNSTORABLE}: {refusal}", 1000).encode("utf-8", "replace").decode()
    return Outcome(JobStatus.ERRORED, outcome.at, Output("--", None, told), bare=True)


def _is_least(outcome: Outcome) -> bool:
    """True for the last resort, and for the same without a word of why."""
    if not outcome.bare or outcome.output is None:
        return outcome.bare
    return (outcome.output.error or "").startswith(UNSTORABLE)


def give_back(job: Job, at: datetime) -> Outcome:
    """Return what to write for a run whose handler never began in this process.

    One that has no output yet gets an empty one: the mark by which the next claim sees that the job
    was held before (`was_held`), and that somebody may have asked to kill it meanwhile.
    """
    if job.ran_before and job.attempt == 1:
        return Outcome(status=JobStatus.PAUSED, at=at, crashes=job.crashes)
    output = Output("--") if job.output is None else None
    return Outcome(JobStatus.PENDING, at, output, crashes=job.crashes, started=False)


def killed_unbegun(at: datetime) -> Outcome:
    """Return what to write for a claimed job that somebody asked to kill before it began."""
    return Outcome(JobStatus.KILLED, at, Output(stored_duration(0), None, KILLED))


def _is_short(result: object) -> bool:
    """True for no result, and for what `describe` returns."""
    return result is None or (isinstance(result, str) and len(result) <= ERROR_LIMIT)


def _paused(at: datetime, lives_on: bool) -> Outcome | None:
    return None if lives_on else Outcome(JobStatus.PAUSED, at)


def _pause(
    job: Job,
    retry: Retry | None,
    raised: BaseException | None = None,
    wish: Wish | None = None,
) -> float | None:
    """Return the seconds after which to try again what failed; None: it is not tried again."""
    if wish is not None:
        retry = retry or Retry()
    if retry is None or _is_called_here(job) or job.attempt >= retry.max_attempts:
        return None
    if wish is not None:
        return wish.delay
    if raised is not None and not _is_retried(retry, raised):
        return None
    return retry.pause(job.attempt)


def _is_retried(retry: Retry, raised: BaseException) -> bool:
    invalid = any(isinstance(each, InvalidPayloadError) for each in leaves(raised))
    return not invalid and retry.is_for(raised)


def _is_called_here(job: Job) -> bool:
    """True for a job of `run_job`: its caller gets the failure, nobody tries it again."""
    return not isinstance(job, CronTask) and job.sync


def _again(
    job: Job, pause: float, began: datetime, at: datetime, output: Output, crashes: int = 0
) -> Outcome:
    error = shorten(output.error or "", HISTORY_ERROR_LIMIT)
    return Outcome(
        status=JobStatus.PENDING,
        at=at,
        output=output,
        scheduled_for=_later(at, pause),
        attempt=job.attempt + 1,
        failed=Attempt(
            job.attempt, _not_before_its_claim(began, job, at), at, error, job.worker_id
        ),
        crashes=crashes,
    )


def _not_before_its_claim(began: datetime, job: Job, at: datetime) -> datetime:
    """Return the moment to the millisecond: cut, it might be earlier than the job was claimed."""
    return max(truncate(began), min(job.updated_at, at))


def _snoozed(wish: Wish | None, at: datetime) -> Suspended | None:
    return None if wish is None or wish.counts else Suspended(_later(at, wish.delay))


def _later(at: datetime, seconds: float) -> datetime:
    """Return the moment so much later, to the millisecond; the last one there is at most."""
    try:
        return truncate(at + timedelta(seconds=seconds))
    except OverflowError:
        return LAST_MOMENT
