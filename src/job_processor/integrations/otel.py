"""OpenTelemetry: a span where a job is made, one where it runs, linked across processes; metrics.

Needs the extra `otel`. Names and attributes are those of its semantic conventions for messaging.
"""

from __future__ import annotations

import json
import os
import re
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from job_processor.errors import MissingExtraError
from job_processor.events import Event, EventKind
from job_processor.handlers.retries import Snooze
from job_processor.hooks import HandlerRun, Host
from job_processor.models import CronTask, Job, JobStatus, SimpleJob
from job_processor.redaction import Redaction, without
from job_processor.version import version

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ModuleNotFoundError as error:
    raise MissingExtraError("job_processor.integrations.otel", "otel") from error

__all__ = ["OpenTelemetry"]

OPT_IN = "OTEL_SEMCONV_STABILITY_OPT_IN"
"""Variable that lists by commas of which conventions the newest names are wanted, too."""

_SCOPE = "job_processor"
_SYSTEM = "job_processor"


class OpenTelemetry:
    """Traces and metrics of jobs by OpenTelemetry.

    tracer_provider, meter_provider: None: the global ones of the application.
    redact: regular expression for names of payload fields whose values are removed from error
        texts; None: names of passwords, tokens, keys and other secrets.

    ```python
    processor = JobProcessor(integrations=[OpenTelemetry()])
    ```

    Raises InvalidArgumentError.
    """

    def __init__(
        self,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        *,
        redact: str | re.Pattern[str] | None = None,
    ) -> None:
        self._redaction = Redaction(redact)
        self._opted_in = is_opted_in()
        self._service = ""
        self._tracer = trace.get_tracer(_SCOPE, version(), tracer_provider)
        self._propagator = TraceContextTextMapPropagator()
        meter = metrics.get_meter(_SCOPE, version(), meter_provider)
        self._sent = meter.create_counter(
            "messaging.client.sent.messages", "{message}", "Jobs that were stored"
        )
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages", "{message}", "Jobs that were claimed"
        )
        self._duration = meter.create_histogram(
            "messaging.process.duration", "s", "How long handlers ran"
        )

    def install(self, host: Host) -> None:
        """Start listening; the processor calls this."""
        self._service = host.settings.service
        host.stamp(self._stamp)
        host.around_handlers(self._scope)
        host.listen(self._count)

    def _stamp(self, job: Job) -> Mapping[str, Any] | None:
        """Note on a caller's job where in which trace it was made, if that is recorded at all."""
        if not isinstance(job, SimpleJob):
            return None
        span = self._tracer.start_span(
            f"create {job.name}",
            kind=trace.SpanKind.PRODUCER,
            attributes={**_attributes(job, "create"), **self._more(job)},
        )
        with trace.use_span(span, end_on_exit=True):
            if not span.get_span_context().trace_flags.sampled:
                return None
            if job.traceparent is not None:  # another integration's
                return None
            carrier: dict[str, str] = {}
            self._propagator.inject(carrier)
        return {"traceparent": carrier["traceparent"]}

    @contextmanager
    def _scope(self, run: HandlerRun) -> Iterator[None]:
        job, began = run.job, time.monotonic()
        with self._tracer.start_as_current_span(
            f"process {job.name}",
            kind=trace.SpanKind.CONSUMER,
            links=self._links(job),
            attributes={
                **_attributes(job, "process"),
                **_run_of(job),
                **self._more(job),
                **self._consumer(job),
            },
        ) as span:
            with suppress(BaseException):  # it is raised to whoever else is around the handler
                yield
            attributes = _attributes(job, "process")
            if run.status is not None:
                span.set_attribute("job_processor.status", run.status.value)
            if run.error is not None and not isinstance(run.error, Snooze):
                span.record_exception(run.error, self._told(run.error, job))
                attributes["error.type"] = type(run.error).__qualname__
            elif run.status is JobStatus.ERRORED:
                attributes["error.type"] = "_OTHER"
            if "error.type" in attributes:
                span.set_attribute("error.type", attributes["error.type"])
                told = _words(run.error) if run.error is not None else str(run.status)
                span.set_status(trace.StatusCode.ERROR, self._cleaned(told, job))
        attributes.pop("messaging.message.id")  # one series for each job would be too many
        self._duration.record(time.monotonic() - began, attributes)

    def _more(self, job: Job) -> dict[str, str | int]:
        """Return what is told beyond that to who has opted in."""
        if not self._opted_in:
            return {}
        told: dict[str, str | int] = {"messaging.message.body.size": _size(job)}
        together = job.flow or job.group
        if together is not None:
            told["messaging.message.conversation_id"] = str(together)
        return told

    def _consumer(self, job: Job) -> dict[str, str]:
        """Return who runs a job, for who has opted in."""
        if not self._opted_in:
            return {}
        told = {"messaging.consumer.group.name": self._service}
        if job.worker_id is not None:
            told["messaging.client.id"] = str(job.worker_id)
        return told

    def _told(self, error: BaseException, job: Job) -> dict[str, str]:
        """Return an exception's words and stack without what the payload hides."""
        stack = "".join(traceback.format_exception(error))
        return {
            "exception.message": self._cleaned(_words(error), job),
            "exception.stacktrace": self._cleaned(stack, job),
        }

    def _cleaned(self, text: str, job: Job) -> str:
        secrets = self._redaction.secrets(getattr(job, "payload", None))
        return str(without(self._redaction.text(text), secrets))

    def _links(self, job: Job) -> list[trace.Link]:
        traceparent = getattr(job, "traceparent", None)
        if traceparent is None:
            return []
        context = self._propagator.extract({"traceparent": traceparent})
        made = trace.get_current_span(context).get_span_context()
        return [trace.Link(made)] if made.is_valid else []

    def _count(self, event: Event) -> None:
        if event.job is None or event.kind not in (EventKind.SCHEDULED, EventKind.CLAIMED):
            return
        scheduled = event.kind is EventKind.SCHEDULED
        attributes = _attributes(event.job, "send" if scheduled else "receive")
        attributes.pop("messaging.message.id")
        (self._sent if scheduled else self._consumed).add(1, attributes)


def is_opted_in() -> bool:
    """Return whether the variable asks for messaging, alone or beside what was before."""
    asked = {each.strip() for each in os.environ.get(OPT_IN, "").split(",")}
    return bool(asked & {"messaging", "messaging/dup"})


def _size(job: Job) -> int:
    """Return how many bytes the payload has as JSON."""
    payload = getattr(job, "payload", None)
    return 0 if payload is None else len(json.dumps(payload, default=str).encode())


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # a broken __str__ must not cost the span
        return type(error).__name__


def _run_of(job: Job) -> dict[str, str | int]:
    """Return what a span of a run tells beyond those of its job."""
    told: dict[str, str | int] = {"job_processor.attempt": job.attempt}
    if isinstance(job, CronTask):
        planned = job.planned_for or job.scheduled_for  # a retry moves the latter
        told["job_processor.planned_for"] = planned.isoformat(timespec="milliseconds")
    return told


def _attributes(job: Job, operation: str) -> dict[str, str]:
    return {
        "messaging.system": _SYSTEM,
        "messaging.destination.name": job.name,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.message.id": str(job.id),
    }
