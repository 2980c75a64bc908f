"""What a worker says of its jobs, through the logger of its processor: a line for each end.

A failure that is the last one is an ERROR with its traceback and its place; one that is tried again
is a WARNING; all else is INFO. Nothing that a payload hides stands in any of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

from bson import ObjectId

from job_processor.clock import span, to_ms
from job_processor.handlers.definitions import Definition
from job_processor.handlers.retries import Retry
from job_processor.models import Crash, Job, JobStatus, SimpleJob
from job_processor.redaction import Redaction, without
from job_processor.settings import LONG_RUN
from job_processor.texts import harmless
from job_processor.worker.describing import place_of, summary, traceback_of
from job_processor.worker.runs import Run

FIELDS = (
    *("duration_ms", "total_ms", "max_attempts", "next_in_ms", "where"),
    *("crashed_worker", "rescuer"),
)
"""What such a line has as fields beside those of each line of a run."""


class Reported(NamedTuple):
    """A settlement that won."""

    definition: Definition | None
    before: Job
    """The run as it was claimed."""
    job: Job
    """The job as last written."""
    error: BaseException | None
    """What its handler raised, where that was why it failed."""


class JobLog:
    """Writes the lines; one that cannot be written is logged and harms nothing."""

    def __init__(self, logger: logging.Logger | Any) -> None:
        self._logger = logger
        self._redaction = Redaction()
        self._announced: set[ObjectId] = set()
        """Runs that were told of as started, while they go on."""
        self._tellers: Mapping[JobStatus, Callable[[Reported], None]] = {
            JobStatus.FINISHED: self._finished,
            JobStatus.ERRORED: self._errored,
            JobStatus.KILLED: self._ended,
            JobStatus.SKIPPED: self._ended,
            JobStatus.PAUSED: self._paused,
            JobStatus.PENDING: self._waits,
        }

    @property
    def tells_all(self) -> bool:
        """True where a job that has just finished is worth a line: who logs less pays nothing."""
        ask = getattr(self._logger, "isEnabledFor", None)
        return ask is None or bool(ask(logging.INFO))

    def look(self, runs: Iterable[Run]) -> None:
        """Tell of the runs that have gone on for long by now, each once; called now and then.

        Those that are quick are done before anybody looks, and cost nothing.
        """
        if not self.tells_all:
            return
        now, announced = time.monotonic(), set[ObjectId]()
        for run in runs:
            lasting = now - run.started
            if run.concluded or not run.begun or not run.of_worker or lasting < LONG_RUN:
                continue
            announced.add(run.job.id)
            if run.job.id not in self._announced:
                self._started(run, lasting)
        self._announced = announced

    def ended(self, settled: Reported) -> None:
        """Tell how a run has ended."""
        try:
            self._tellers[settled.job.status](settled)
        except Exception:
            self._logger.exception("a line about %s was not written", _named(settled.job))

    def _started(self, run: Run, lasting: float) -> None:
        job, most = run.job, _most(run.definition, run.job)
        again = f", attempt {job.attempt} of {most}" if job.attempt > 1 else ""
        text = f"started {_named(job)}, running for {span(lasting)}{again}"
        self._write(logging.INFO, text, job, {})

    def _finished(self, settled: Reported) -> None:
        job, before = settled.job, settled.before
        if isinstance(job, SimpleJob) and job.sync:
            return  # its caller has the result by now
        again = ""
        if before.attempt > 1:
            total = span((job.total_ms or 0) / 1000)
            most = _most(settled.definition, before)
            again = f" at attempt {before.attempt} of {most}, {total} in total"
        text = f"finished {_named(job)}{_after(job)}{again}"
        self._write(logging.INFO, text, before, _durations(job))

    def _ended(self, settled: Reported) -> None:
        """Tell of one that was killed, or skipped, and why."""
        job = settled.job
        why = _error_of(job) if job.status is JobStatus.SKIPPED else None
        told = f": {summary(self._shown(why, job))}" if why else _after(job)
        text = f"{job.status} {_named(job)}{told}"
        self._write(logging.INFO, text, settled.before, _durations(job))

    def _paused(self, settled: Reported) -> None:
        text = f"paused {_named(settled.job)}, which will be resumed"
        self._write(logging.INFO, text, settled.before, {})

    def _waits(self, settled: Reported) -> None:
        """Tell of a run after which its job waits again: it failed, or was too early."""
        job, before = settled.job, settled.before
        if job.attempt == before.attempt:
            pause = _milliseconds(job.updated_at, job.scheduled_for)
            text = f"snoozed {_named(job)}, next in {span(pause / 1000)}"
            self._write(logging.INFO, text, before, {"next_in_ms": pause})
            return
        failed = job.attempts[-1]
        error, pause = failed.error or "", _milliseconds(failed.ended_at, job.scheduled_for)
        most = _most(settled.definition, before, again=True)
        failure = self._failure(settled, f"attempt {before.attempt} of {most}", error)
        text = f"{failure}, next in {span(pause / 1000)} ({job.id})"
        more = {"next_in_ms": pause, "max_attempts": most, "where": place_of(error)}
        self._write(logging.WARNING, text, before, {**more, **_crash_fields(settled)})

    def _errored(self, settled: Reported) -> None:
        job, before, error = settled.job, settled.before, _error_of(settled.job) or ""
        most = _most(settled.definition, before)
        attempt = f"attempt {before.attempt} of {most}" if most > 1 else ""
        if before.attempt < most:
            attempt += ", not retried"
        trace = traceback_of(error)
        place = place_of(error) if trace else _place_of_handler(settled)
        at = f" at {place}" if place else ""
        text = f"{self._failure(settled, attempt, error)}{_after(job)}{at} ({job.id})"
        more = {"max_attempts": most, "where": place, **_durations(job), **_crash_fields(settled)}
        told = None if trace is None else self._shown(trace, job)
        self._write(logging.ERROR, text, before, more, told, settled.error)

    def _failure(self, settled: Reported, attempt: str, error: str) -> str:
        run, crash = settled.before, _crash_of(settled)
        why = summary(self._shown(error, run))
        if crash is not None:
            why = f"{why} on {crash_told(crash)}, rescued by {crash.rescuer}"
        return f"{harmless(run.name, '')} failed ({': '.join(filter(None, (attempt, why)))})"

    def _shown(self, text: str, job: Job) -> str:
        """Return a text of a handler without what the payload hides, and other credentials."""
        secrets = self._redaction.secrets(getattr(job, "payload", None))
        return str(without(self._redaction.text(text), secrets))

    def _write(
        self,
        level: int,
        text: str,
        run: Job,
        more: Mapping[str, int | str | None],
        exception: str | None = None,
        raised: BaseException | None = None,
    ) -> None:
        """Write a line with its fields, in the way of the logger that there is."""
        worker = None if run.worker_id is None else str(run.worker_id)
        fields = {"job_id": str(run.id), "job_name": run.name, "attempt": run.attempt}
        fields |= {"worker_id": worker, **more}
        fields = {name: value for name, value in fields.items() if value is not None}
        if isinstance(self._logger, logging.Logger | logging.LoggerAdapter):
            told = None if exception is None else _as_told(exception, raised)
            self._logger.log(level, "%s", text, exc_info=told, extra=fields)
            return
        if exception is not None:
            fields["exception"] = exception  # where structlog itself puts the text of one
        getattr(self._logger, logging.getLevelName(level).lower())(text, **fields)


def crash_told(crash: Crash | None) -> str:
    """Return which worker died, by its place, or by its id where nobody knows that."""
    if crash is None:
        return "(unknown)"
    return crash.worker or f"worker {crash.worker_id}"


def _crash_of(settled: Reported) -> Crash | None:
    """Return the death of the worker, where this settlement is of it."""
    crash = settled.job.crash
    return None if crash == settled.before.crash else crash


def _crash_fields(settled: Reported) -> Mapping[str, str]:
    crash = _crash_of(settled)
    return {} if crash is None else {"crashed_worker": crash_told(crash), "rescuer": crash.rescuer}


def _named(job: Job) -> str:
    return f"job {job.name!r} ({job.id})"


def _error_of(job: Job) -> str | None:
    return job.output.error if job.output is not None else None


def _most(definition: Definition | None, run: Job, *, again: bool = False) -> int:
    """Return how many attempts a job has; one that asked for another without a `Retry`, its own."""
    retries = definition.retries if definition is not None else None
    if retries is None:
        retries = Retry() if again or run.attempt > 1 else Retry(1)
    return max(retries.max_attempts, run.attempt)


def _durations(job: Job) -> Mapping[str, int | None]:
    ran = job.output.duration_ms if job.output is not None else None
    return {"duration_ms": ran, "total_ms": job.total_ms}


def _after(job: Job) -> str:
    ran = job.output.duration_ms if job.output is not None else None
    return "" if ran is None else f" after {span(ran / 1000)}"


def _milliseconds(earlier: datetime, later: datetime) -> int:
    return max(to_ms(later) - to_ms(earlier), 0)


def _place_of_handler(settled: Reported) -> str | None:
    """Return where the handler is defined, for what was raised before any of its code ran."""
    if settled.error is None or settled.definition is None:
        return None
    code = getattr(settled.definition.bound.function, "__code__", None)
    if code is None:
        return None
    return place_of(f'  File "{code.co_filename}", line {code.co_firstlineno}, in {code.co_name}')


def _as_told(text: str, raised: BaseException | None) -> BaseException:
    """Return an exception for a log that shows as this text, whoever formats it.

    What was raised itself would show all of its frames, and all that it says.
    """
    kind = type(raised) if raised is not None else Exception
    name = f"{kind.__module__}." if kind.__module__ not in ("builtins", "__main__") else ""
    rest = text.removeprefix(f"{name}{kind.__qualname__}").removeprefix(": ")
    return _stand_in(kind.__module__, kind.__qualname__)(rest)


@lru_cache(maxsize=128)
def _stand_in(module: str, qualname: str) -> type[Exception]:
    names = {"__module__": module, "__qualname__": qualname, "__doc__": "Told in a log."}
    return type(qualname.rpartition(".")[2], (Exception,), names)
