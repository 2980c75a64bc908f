"""Sentry's page of queues: what is published and what runs, in one trace, with its numbers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sentry_sdk

from job_processor import JobDef, Retry, SimpleJob
from job_processor.integrations.sentry import Sentry
from tests.definitions import nothing
from tests.integrations.test_sentry import Sent, sent
from tests.processors import Processors

__all__ = ["sent"]  # the fixture


def spans_of(transaction: dict[str, Any], op: str) -> list[dict[str, Any]]:
    """Return the spans of a transaction with an operation."""
    return [span for span in transaction["spans"] if span["op"] == op]


async def test_published_and_processed(processors: Processors, sent: Sent) -> None:
    """A span of the request for each job, and its run in the same trace, in another process."""
    web = await processors.make(jobs={"mail": JobDef(None)}, integrations=[Sentry()])
    worker = await processors.make(jobs={"mail": JobDef(nothing)}, integrations=[Sentry()])
    with sentry_sdk.start_transaction(op="http.server", name="POST /orders"):
        job = await web.schedule_job("mail", {"to": "ada"})
        await web.schedule_jobs([("mail", {"to": "eva"})])
    await worker.run_worker(burst=True)
    request, *runs = sent.of("transaction")
    published = spans_of(request, "queue.publish")
    assert [span["description"] for span in published] == ["mail", "mail"]
    told = published[0]["data"]
    assert told["messaging.message.id"] == str(job.id)
    assert told["messaging.destination.name"] == "mail"
    assert told["messaging.message.body.size"] == len('{"to": "ada"}')
    by_id = {run["contexts"]["trace"]["data"]["messaging.message.id"]: run for run in runs}
    trace = by_id[str(job.id)]["contexts"]["trace"]
    assert trace["op"] == "queue.process"
    assert trace["trace_id"] == request["contexts"]["trace"]["trace_id"]
    assert trace["parent_span_id"] == published[0]["span_id"]
    data = trace["data"]
    assert data["messaging.destination.name"] == "mail"
    assert data["messaging.message.body.size"] == len('{"to": "ada"}')
    assert data["messaging.message.retry.count"] == 0
    assert 0 <= data["messaging.message.receive.latency"] < 60_000


async def test_latency_and_attempts(processors: Processors, sent: Sent) -> None:
    """From when it was due to when this attempt began; each attempt counts those before."""
    tries: list[int] = []

    async def shaky() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError

    jobs = {"shaky": JobDef(shaky, retry=Retry(max_attempts=2, delay=0))}
    processor = await processors.make(jobs=jobs, integrations=[Sentry()])
    now = (await processor.get_registrations()).now
    await processor.schedule_job("shaky", None, now - timedelta(hours=1))
    for _ in range(2):
        await processor.run_worker(burst=True)
    data = [each["contexts"]["trace"]["data"] for each in sent.of("transaction")]
    assert [each["messaging.message.retry.count"] for each in data] == [0, 1]
    first, second = (each["messaging.message.receive.latency"] for each in data)
    assert 3_600_000 <= first < 3_660_000
    assert 0 <= second < 60_000


async def test_outside_of_a_transaction(processors: Processors, sent: Sent) -> None:
    """Nothing is published, the job is stored as ever, and its run is a trace of its own."""
    processor = await processors.make(jobs={"a": JobDef(nothing)}, integrations=[Sentry()])
    job = await processor.schedule_job("a")
    assert job.traceparent is None
    await processor.run_worker(burst=True)
    (run,) = sent.of("transaction")
    assert run["contexts"]["trace"].get("parent_span_id") is None


async def test_what_is_not_sampled_or_not_wanted(processors: Processors, sent: Sent) -> None:
    """A request that is not recorded leaves no trace on its jobs, nor does one with this off."""
    on = await processors.make(jobs={"a": JobDef(nothing)}, integrations=[Sentry()])
    off = await processors.make(
        jobs={"a": JobDef(nothing)}, integrations=[Sentry(propagate_traces=False)]
    )
    with sentry_sdk.start_transaction(name="not sampled", sampled=False):
        assert (await on.schedule_job("a")).traceparent is None
    with sentry_sdk.start_transaction(name="sampled", sampled=True):
        assert (await off.schedule_job("a")).traceparent is None
    (request,) = sent.of("transaction")
    assert spans_of(request, "queue.publish") == []


@pytest.mark.parametrize("traceparent", ["", "nonsense", "00-" + "x" * 32 + "-1-01"])
async def test_a_trace_that_is_none(processors: Processors, sent: Sent, traceparent: str) -> None:
    """Whatever another program left on a job, its run is told, in a trace of its own."""
    processor = await processors.make(jobs={"a": JobDef(nothing)}, integrations=[Sentry()])
    processor.install(_Leaves(traceparent))
    job = await processor.schedule_job("a")
    assert isinstance(job, SimpleJob)
    assert job.traceparent == traceparent
    await processor.run_worker(burst=True)
    (run,) = sent.of("transaction")
    assert run["contexts"]["trace"].get("parent_span_id") is None


class _Leaves:
    """An integration that leaves a trace on each job."""

    def __init__(self, traceparent: str) -> None:
        self._traceparent = traceparent

    def install(self, host: Any) -> None:
        """Begin."""
        host.stamp(lambda _: {"traceparent": self._traceparent})
