"""What Sentry's page of queues is made of: a span where a job is published, one where it runs."""

from __future__ import annotations

import json
import re
from typing import Any

import sentry_sdk

from job_processor.models import Job, SimpleJob

PUBLISH, PROCESS = "queue.publish", "queue.process"
_ORIGIN = "auto.queue.job_processor"
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
"""As W3C writes it; Sentry has the same parts in a header of its own."""


def published(job: Job) -> dict[str, str] | None:
    """Send a span for a job that is scheduled within a transaction, and keep on it where.

    Outside of one, or where it is not sampled, nothing is sent, and the job is stored as ever.
    """
    if not isinstance(job, SimpleJob) or job.sync:
        return None
    within = sentry_sdk.get_current_span()
    if within is None or not within.sampled:
        return None
    with within.start_child(op=PUBLISH, name=job.name, origin=_ORIGIN) as span:
        _describe(span, job)
    if job.traceparent is not None:  # another integration's
        return None
    return {"traceparent": f"00-{span.trace_id}-{span.span_id}-01"}


def continued(job: Job) -> Any:
    """Return the transaction of a run, in the trace in which its job was published."""
    traceparent = getattr(job, "traceparent", None)
    found = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
    headers = {}
    if found is not None:
        sampled = int(found[3], 16) & 1
        headers["sentry-trace"] = f"{found[1]}-{found[2]}-{sampled}"
    return sentry_sdk.continue_trace(
        headers, op=PROCESS, name=job.name, source="task", origin=_ORIGIN
    )


def describe_run(span: Any, job: Job) -> None:
    """Tell of a run what the page of queues shows: how late it began, which attempt it is."""
    _describe(span, job)
    late = (job.updated_at - job.scheduled_for).total_seconds() * 1000
    span.set_data("messaging.message.receive.latency", max(late, 0.0))
    span.set_data("messaging.message.retry.count", job.attempt - 1)


def _describe(span: Any, job: Job) -> None:
    span.set_data("messaging.system", "job-processor")
    span.set_data("messaging.message.id", str(job.id))
    span.set_data("messaging.destination.name", job.name)
    if span.sampled:
        span.set_data("messaging.message.body.size", _size(getattr(job, "payload", None)))


def _size(payload: Any) -> int:
    """Return how many bytes a payload has as JSON."""
    return 0 if payload is None else len(json.dumps(payload, default=str).encode())
