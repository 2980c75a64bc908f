"""Sentry: failures with their job, a transaction a run, check-ins of crons.

Needs the extra `sentry`. It uses the client that the application's `sentry_sdk.init` has made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import Any

from job_processor.errors import MissingExtraError
from job_processor.events import Event, EventKind
from job_processor.handlers.definitions import CronDef
from job_processor.handlers.retries import Snooze
from job_processor.hooks import HandlerRun, Host
from job_processor.integrations.sentry_monitors import monitor_config
from job_processor.models import CronTask, Job, JobStatus
from job_processor.redaction import Redaction, without

try:
    import sentry_sdk
    from sentry_sdk.crons import capture_checkin

    from job_processor.integrations.sentry_queues import continued, describe_run, published
except ModuleNotFoundError as error:
    raise MissingExtraError("job_processor.integrations.sentry", "sentry") from error

__all__ = ["Sentry"]

_NOT_CLEANED = frozenset(
    {"event_id", "timestamp", "start_timestamp", "type", "platform", "sdk", "modules", "level"}
)
"""Parts of an event that the kit itself writes and reads."""
_ENDS = {
    EventKind.FINISHED: "ok",
    EventKind.ERRORED: "error",
    EventKind.KILLED: "error",
}
_STATUSES = {
    JobStatus.FINISHED: "ok",
    JobStatus.ERRORED: "internal_error",
    JobStatus.PENDING: "internal_error",
    JobStatus.KILLED: "cancelled",
    JobStatus.PAUSED: "aborted",
}


class Sentry:
    """Reports failed jobs, cron monitors and traces to Sentry.

    redact: regular expression for names of payload fields whose values are not sent; None: names of
        passwords, tokens, keys and other secrets.
    report_retries: also report failed attempts that are retried.
    monitor_crons: send check-ins of crons, which create and update a monitor with the cron's name.
    propagate_traces: send a span for each job that is stored within a transaction; its runs
        continue that trace, in any process.
    failure_threshold, recovery_threshold: consecutive occurrences that have to fail before Sentry
        opens an issue, and to succeed before it closes the issue; None: the default of Sentry.

    ```python
    processor = JobProcessor(integrations=[Sentry()])
    ```

    Raises InvalidArgumentError.
    """

    def __init__(
        self,
        *,
        redact: str | re.Pattern[str] | None = None,
        report_retries: bool = False,
        monitor_crons: bool = True,
        propagate_traces: bool = True,
        failure_threshold: int | None = None,
        recovery_threshold: int | None = None,
    ) -> None:
        self._redaction = Redaction(redact)
        self._report_retries = report_retries
        self._monitor_crons = monitor_crons
        self._propagate_traces = propagate_traces
        self._thresholds = {
            "failure_issue_threshold": failure_threshold,
            "recovery_threshold": recovery_threshold,
        }

    def install(self, host: Host) -> None:
        """Start listening; the processor calls this."""
        sentry_sdk.get_global_scope().add_event_processor(_without_lines_of_ends)
        host.around_handlers(self._scope)
        host.listen(self._report_what_has_no_exception)
        if self._propagate_traces:
            host.stamp(published)
        if self._monitor_crons:
            host.stamp(_stamp)
            host.listen(lambda event: self._check_in(host, event))

    @contextmanager
    def _scope(self, run: HandlerRun) -> Iterator[None]:
        """Let whatever the handler sends to Sentry be of its job, and send what it raised."""
        with sentry_sdk.isolation_scope() as scope:
            self._describe(scope, run.job)
            begun = continued(run.job)
            with sentry_sdk.start_transaction(begun) as transaction:
                describe_run(transaction, run.job)
                with suppress(BaseException):  # it is raised to whoever else is around the handler
                    yield
                transaction.set_status(_STATUSES.get(run.status, "aborted"))  # type: ignore[arg-type]
                if run.error is not None and self._reports(run):
                    sentry_sdk.capture_exception(run.error)

    def _reports(self, run: HandlerRun) -> bool:
        if run.status is JobStatus.PENDING:
            return self._report_retries and not isinstance(run.error, Snooze)
        return run.status is JobStatus.ERRORED

    def _report_what_has_no_exception(self, event: Event) -> None:
        """Report a crash, a maximum runtime, an interruption: whatever no handler raised."""
        job = event.job
        if event.kind is not EventKind.ERRORED or event.error is not None or job is None:
            return
        told = job.output.error if job.output is not None else None
        with sentry_sdk.isolation_scope() as scope:
            self._describe(scope, job)
            secrets = self._redaction.secrets(getattr(job, "payload", None))
            scope.fingerprint = ["job-processor", job.name, without(told or "", secrets)]
            sentry_sdk.capture_message(f"{job.name}: {told or 'errored'}", level="error")

    def _describe(self, scope: Any, job: Job) -> None:
        scope.set_transaction_name(job.name, source="task")
        scope.set_tag("job.name", job.name)
        scope.set_tag("job.type", job.type)
        scope.set_context(
            "job",
            {
                "id": str(job.id),
                "name": job.name,
                "attempt": job.attempt,
                "scheduled_for": job.scheduled_for.isoformat(),
                "worker_id": None if job.worker_id is None else str(job.worker_id),
                "payload": self._redaction.fields(getattr(job, "payload", None)),
            },
        )
        secrets = self._redaction.secrets(getattr(job, "payload", None))
        scope.add_event_processor(lambda event, _hint: self._cleaned(event, secrets))

    def _cleaned(self, event: Any, secrets: list[str]) -> Any:
        """Return an event without what the payload hides, in any of its parts.

        Breadcrumbs, spans, tags, contexts and the request are parts like the others; credentials
        in addresses and headers go as well, wherever they come from.
        """
        _without_our_frames(event)
        for part in event.keys() - _NOT_CLEANED:
            event[part] = without(self._texts(event[part]), secrets)
        return event

    def _texts(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redaction.text(value)
        if isinstance(value, dict):
            return {key: self._texts(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._texts(item) for item in value]
        return value

    def _check_in(self, host: Host, event: Event) -> None:
        job = event.job
        if not isinstance(job, CronTask) or job.started_at is None:
            return
        began = event.kind is EventKind.STARTED
        status = "in_progress" if began else _ENDS.get(event.kind)
        if status is None:
            return
        cron = host.definition(job.name)
        config = None
        if began and isinstance(cron, CronDef):
            config = monitor_config(cron, host.settings.timezone, self._thresholds)
        capture_checkin(
            monitor_slug=job.name,
            check_in_id=job.sentry_id or _check_in_id(job),
            status=status,
            duration=None if began else _seconds(job),
            monitor_config=config,  # type: ignore[arg-type]  # its type is private to the kit
        )


def _without_lines_of_ends(event: Any, hint: Any) -> Any:
    """Leave out what Sentry makes of a worker's line about a failure: that is sent already."""
    line = getattr(hint.get("log_record"), "__dict__", {})
    return None if {"job_id", "max_attempts"} <= line.keys() else event


def _stamp(job: Job) -> dict[str, str] | None:
    """Keep the id of its check-in on a cron task, for whoever ends it."""
    return {"sentry_id": _check_in_id(job)} if isinstance(job, CronTask) else None


def _check_in_id(job: Job) -> str:
    """Return the id of an occurrence's check-in, the same in every process."""
    return sha256(f"sentry\n{job.id}".encode()).hexdigest()[:32]


def _seconds(job: Job) -> float | None:
    """Return how long the last attempt ran, which is what its check-in began with."""
    ran = job.output.duration_ms if job.output is not None else None
    return None if ran is None else ran / 1000


def _without_our_frames(event: Any) -> None:
    """Take the values of our own frames out: they hold the payload, under any name."""
    for exception in (event.get("exception") or {}).get("values") or ():
        for frame in (exception.get("stacktrace") or {}).get("frames") or ():
            if str(frame.get("module")).partition(".")[0] == "job_processor":
                frame.pop("vars", None)
