"""OpenTelemetry, with its own SDK: spans and metrics as they would be exported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from job_processor import CronDef, JobDef, JobProcessor, JobStatus, Retry, SimpleJob
from job_processor.integrations.otel import OpenTelemetry
from job_processor.models import occurrence_id
from job_processor.testing import in_memory
from tests.definitions import nothing
from tests.processors import Processors


class Telemetry:
    """Providers of a test's own, and what they were told."""

    def __init__(self, **options: Any) -> None:
        self.tracers = TracerProvider(**options)
        self._spans = InMemorySpanExporter()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self._metrics = InMemoryMetricReader()
        self.meters = MeterProvider([self._metrics])
        self.integration = OpenTelemetry(self.tracers, self.meters)

    def spans(self, name: str) -> list[ReadableSpan]:
        """Return the spans of a name that have ended."""
        return [span for span in self._spans.get_finished_spans() if span.name == name]

    def points(self, name: str) -> list[Any]:
        """Return the data points of a metric."""
        data = self._metrics.get_metrics_data()
        return [
            point
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def close(self) -> None:
        """Stop exporting."""
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def telemetry() -> Any:
    """Fresh providers."""
    made = Telemetry()
    yield made
    made.close()


async def test_producer_and_consumer_are_linked(
    processors: Processors, telemetry: Telemetry
) -> None:
    """From the caller's span through the database to another processor, threads included."""
    tracer = telemetry.tracers.get_tracer("test")

    def plain() -> None:
        with tracer.start_as_current_span("inside"):
            pass

    web = await processors.make(jobs={"a": JobDef(None)}, integrations=[telemetry.integration])
    worker = await processors.make(jobs={"a": JobDef(plain)}, integrations=[telemetry.integration])
    with tracer.start_as_current_span("request") as request:
        job = await web.schedule_job("a")
    await worker.run_worker(burst=True)
    (create,), (process,) = telemetry.spans("create a"), telemetry.spans("process a")
    (inside,) = telemetry.spans("inside")
    assert create.parent is not None
    assert create.parent.span_id == request.get_span_context().span_id
    assert (create.kind, process.kind) == (trace.SpanKind.PRODUCER, trace.SpanKind.CONSUMER)
    assert [link.context.span_id for link in process.links] == [create.context.span_id]
    assert process.parent is None
    assert inside.parent is not None
    assert inside.parent.span_id == process.context.span_id
    told = process.attributes or {}
    assert told["messaging.message.id"] == str(job.id)
    assert told["messaging.destination.name"] == "a"
    assert (told["job_processor.status"], told["job_processor.attempt"]) == ("finished", 1)
    ended = await web.wait_for_job(job.id)
    assert isinstance(ended, SimpleJob)
    assert ended.traceparent == job.traceparent
    assert ended.traceparent is not None


async def test_cron_tasks(telemetry: Telemetry) -> None:
    """Each attempt is a span with the planned time, in a trace of its own, and links to nothing."""
    planned = datetime(2026, 5, 1, 2, tzinfo=UTC)
    failures = [ValueError("as told")]

    async def export() -> None:
        if failures:
            raise failures.pop()

    cron = CronDef("0 2 * * *", export, retry=Retry(max_attempts=2, delay=60, jitter=False))
    processor = JobProcessor(crons={"export": cron}, integrations=[telemetry.integration])
    async with in_memory(processor, start=planned - timedelta(minutes=1)) as tester:
        for _ in range(3):  # it is planned, fails, and succeeds
            await tester.drain()
            tester.clock.move(minutes=1)
    first, second = telemetry.spans("process export")
    assert first.context.trace_id != second.context.trace_id
    for attempt, span in enumerate((first, second), 1):
        told = span.attributes or {}
        assert told["job_processor.planned_for"] == "2026-05-01T02:00:00.000+00:00"
        assert told["job_processor.attempt"] == attempt
        assert told["messaging.message.id"] == str(occurrence_id("export", planned))
        assert (span.kind, span.parent, list(span.links)) == (trace.SpanKind.CONSUMER, None, [])
    assert (first.status.status_code, second.status.status_code) == (
        trace.StatusCode.ERROR,
        trace.StatusCode.UNSET,
    )
    assert telemetry.spans("create export") == []


async def test_failures(processors: Processors, telemetry: Telemetry) -> None:
    """The span is an error with what was raised; its metric tells the type."""

    async def fail() -> None:
        raise ValueError("as told")

    jobs = {"fail": JobDef(fail)}
    processor = await processors.make(jobs=jobs, integrations=[telemetry.integration])
    assert (await processor.run_job("fail")).status is JobStatus.ERRORED
    (span,) = telemetry.spans("process fail")
    assert (span.status.status_code, span.status.description) == (
        trace.StatusCode.ERROR,
        "as told",
    )
    assert [event.name for event in span.events] == ["exception"]
    (point,) = telemetry.points("messaging.process.duration")
    assert point.attributes["error.type"] == "ValueError"
    assert "messaging.message.id" not in point.attributes


async def test_metrics(processors: Processors, telemetry: Telemetry) -> None:
    """Jobs that were stored, claimed and run."""
    processor = await processors.make(
        jobs={"a": JobDef(nothing)}, integrations=[telemetry.integration]
    )
    await processor.schedule_jobs(["a", "a", "a"])
    await processor.run_worker(burst=True)
    for name in ("messaging.client.sent.messages", "messaging.client.consumed.messages"):
        (point,) = telemetry.points(name)
        assert point.value == 3
    (point,) = telemetry.points("messaging.process.duration")
    assert point.count == 3


@pytest.mark.parametrize("sampler", [ALWAYS_OFF, None])
async def test_a_job_carries_nothing_when_nothing_is_recorded(
    processors: Processors, sampler: Any
) -> None:
    """Without an SDK, and in a trace that is not sampled; nor does a cron task ever."""
    telemetry = Telemetry(sampler=sampler) if sampler is not None else None
    integration = telemetry.integration if telemetry is not None else OpenTelemetry()
    processor = await processors.make(
        jobs={"a": JobDef(nothing)},
        crons={"yearly": CronDef("@yearly", nothing)},
        integrations=[integration],
    )
    assert (await processor.schedule_job("a")).traceparent is None
    await processor.run_worker(burst=True)
    await processor.run_cron("yearly")
    if telemetry is not None:
        telemetry.close()


async def test_a_job_whose_trace_is_garbage_runs(
    processors: Processors, telemetry: Telemetry
) -> None:
    """What another program wrote there makes no link, and no harm."""

    class Garbage:
        def install(self, host: Any) -> None:
            host.stamp(lambda job: {"traceparent": "garbage"})

    integrations = [telemetry.integration, Garbage()]
    processor = await processors.make(jobs={"a": JobDef(nothing)}, integrations=integrations)
    await processor.schedule_job("a")
    await processor.run_worker(burst=True)
    (span,) = telemetry.spans("process a")
    assert list(span.links) == []


async def test_a_replaced_job_is_of_the_new_trace_and_has_the_new_expiry(
    processors: Processors, telemetry: Telemetry
) -> None:
    """It keeps its id and nothing else; an expiry that is gone is gone."""
    processor = await processors.make(
        jobs={"a": JobDef(nothing)}, integrations=[telemetry.integration]
    )
    later = timedelta(hours=1)
    first = await processor.schedule_job("a", expires_at=later, unique_key="k")
    second = await processor.schedule_job("a", unique_key="k", on_conflict="replace")
    assert second.id == first.id
    assert second.traceparent is not None
    assert second.traceparent != first.traceparent
    assert second.expires_at is None


async def test_an_exception_is_recorded_without_secrets(
    processors: Processors, telemetry: Telemetry
) -> None:
    """Neither in its message, nor in its stack, nor in the state of the span."""

    async def charge(payload: dict[str, Any]) -> None:
        raise ValueError(f"refused {payload['password']}") from KeyError(payload["password"])

    processor = await processors.make(
        jobs={"charge": JobDef(charge)}, integrations=[telemetry.integration]
    )
    await processor.run_job("charge", {"password": "hunter2"})
    (span,) = telemetry.spans("process charge")
    (event,) = span.events
    assert event.attributes is not None
    assert event.attributes["exception.message"] == "refused [redacted]"
    assert "KeyError" in str(event.attributes["exception.stacktrace"])
    assert "hunter2" not in f"{dict(event.attributes)} {span.status.description}"


@pytest.mark.parametrize("asked", ["messaging", "http, messaging/dup", "http", ""])
async def test_more_names_are_opted_in(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """Size, flow, service and worker are told to who asks for them by the variable alone."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", asked)
    telemetry = Telemetry()
    processor = await processors.make(
        jobs={"a": JobDef(nothing)}, service="shop", integrations=[telemetry.integration]
    )
    flow = processor.flow("import")
    flow.add("a")
    (job,) = await flow.start()
    await processor.run_worker(burst=True)
    ended = await processor.wait_for_job(job.id)
    (create,), (process,) = telemetry.spans("create a"), telemetry.spans("process a")
    of_both = {
        "messaging.message.body.size": 0,
        "messaging.message.conversation_id": str(ended.flow),
    }
    of_run = {
        "messaging.consumer.group.name": "shop",
        "messaging.client.id": str(ended.worker_id),
    }
    for span, expected in ((create, of_both), (process, of_both | of_run)):
        told = {
            key: value for key, value in (span.attributes or {}).items() if key in of_both | of_run
        }
        assert told == (expected if "messaging" in asked else {})
        assert (span.attributes or {})["messaging.destination.name"] == "a"
    telemetry.close()
