"""The job `job_processor.webhook`: scheduled, retried and seen as any other, without secrets."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import standardwebhooks

from job_processor import (
    DefinitionError,
    InvalidArgumentError,
    JobDef,
    JobProcessor,
    JobStatus,
    Retry,
    webhook,
)
from job_processor.integrations.webhooks import WEBHOOK, Webhooks, new_secret
from job_processor.web import create_app
from tests.docs import markdown
from tests.integrations.webhooks.receiver import Received, Receiver, receiving
from tests.processors import Processors
from tests.web.conftest import client_of

SECRET, OLD = new_secret(), new_secret()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver of this test's own."""
    with receiving() as made:
        yield made


def webhooks_for(receiver: Receiver, secrets: Any = SECRET, **options: Any) -> Webhooks:
    """Return the collection of a worker that may send to the receiver."""
    known = {"networks": ["127.0.0.0/8"], "allow_http": True, "retry": Retry(3, delay=0)}
    return Webhooks([receiver.host], secrets, **{**known, **options})


def read(request: Received, secret: str = SECRET) -> Any:
    """Return what is in a webhook, verified by the library of the scheme."""
    return standardwebhooks.Webhook(secret).verify(request.body, request.headers)


async def test_it_is_sent_as_a_job(processors: Processors, receiver: Receiver) -> None:
    """Its body has the type, the time at which the job was made, and the data as JSON."""
    webhooks = webhooks_for(receiver)
    processor, _ = await processors.start(jobs=[webhooks])
    at = datetime(2026, 5, 4, tzinfo=UTC)
    job = await webhooks.send(receiver.url, "invoice.paid", {"id": 42, "at": at, "café": [None]})
    ended = await processor.wait_for_job(job.id)
    assert (ended.name, ended.status) == (WEBHOOK, JobStatus.FINISHED)
    assert ended.result() == {"status": 204}
    (request,) = receiver.received
    assert read(request) == {
        "type": "invoice.paid",
        "timestamp": job.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {"id": 42, "at": "2026-05-04T00:00:00.000Z", "café": [None]},
    }
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == f"msg_{job.id}"


async def test_it_is_asked_for_by_name_and_among_others(
    processors: Processors, receiver: Receiver
) -> None:
    """A process that only schedules needs its name; `webhook` makes it for every door."""
    await processors.start(jobs=[webhooks_for(receiver)])
    scheduler = await processors.make(jobs={WEBHOOK: JobDef(None)})
    named = await scheduler.schedule_job(
        "job_processor.webhook", {"url": receiver.url, "type": "one", "data": {}}
    )
    (many,) = await scheduler.schedule_jobs([webhook(receiver.url, "two", priority=3)])
    last = await scheduler.schedule_job(
        WEBHOOK, webhook(receiver.url, "three").payload, after=[named, many]
    )
    await scheduler.wait_for_job(last.id)
    types = [json.loads(request.body)["type"] for request in receiver.received]
    assert (sorted(types[:2]), types[2:]) == (["one", "two"], ["three"])


async def test_it_is_retried_under_the_same_id(processors: Processors, receiver: Receiver) -> None:
    """An attempt that failed is followed by another, by backoff or when the answer says."""
    receiver.answers = [(500, {}), (503, {"retry-after": "0"}), (200, {})]
    webhooks = webhooks_for(receiver)
    processor, _ = await processors.start(jobs=[webhooks])
    job = await webhooks.send(receiver.url, "invoice.paid")
    ended = await processor.wait_for_job(job.id)
    assert (ended.status, ended.attempt) == (JobStatus.FINISHED, 3)
    told = [f"http://{receiver.host} answered {status}" for status in (500, 503)]
    errors = [str(each.error) for each in ended.attempts]
    assert all(error.endswith(end) for error, end in zip(errors, told, strict=True)), errors
    assert {request.headers["webhook-id"] for request in receiver.received} == {f"msg_{job.id}"}
    assert len({request.body for request in receiver.received}) == 1


async def test_it_is_errored_after_the_last(processors: Processors, receiver: Receiver) -> None:
    """When no attempt is left it stands among the errored jobs, from which it can be retried."""
    receiver.answers = [(500, {})]
    webhooks = webhooks_for(receiver)
    processor, _ = await processors.start(jobs=[webhooks])
    job = await webhooks.send(receiver.url, "invoice.paid")
    assert (await processor.wait_for_job(job.id)).status is JobStatus.ERRORED
    assert len(receiver.received) == 3
    receiver.answers = [(200, {})]
    await processor.retry_job(job.id)
    assert (await processor.wait_for_job(job.id)).status is JobStatus.FINISHED


async def test_where_it_may_not_go(processors: Processors, receiver: Receiver) -> None:
    """A host that is not allowed is an error of who asks, and of the job of who cannot know."""
    webhooks = webhooks_for(receiver)
    processor, _ = await processors.start(jobs=[webhooks])
    with pytest.raises(InvalidArgumentError, match="not among the hosts"):
        await webhooks.send("https://elsewhere.example/", "invoice.paid")
    (job,) = await processor.schedule_jobs([webhook("https://elsewhere.example/", "invoice.paid")])
    ended = await processor.wait_for_job(job.id)
    assert (ended.status, ended.attempt) == (JobStatus.ERRORED, 1)
    assert "https://elsewhere.example is not among the hosts" in str(ended.output)


async def test_a_private_address_is_not_tried_again(
    processors: Processors, receiver: Receiver
) -> None:
    """What is refused is errored at once, whatever its `Retry` is for."""
    webhooks = webhooks_for(receiver, networks=[], retry=Retry(5, delay=0, retry_on=(Exception,)))
    processor, _ = await processors.start(jobs=[webhooks])
    job = await webhooks.send(receiver.url, "invoice.paid")
    ended = await processor.wait_for_job(job.id)
    assert (ended.status, ended.attempt, receiver.received) == (JobStatus.ERRORED, 1, [])
    assert "private address 127.0.0.1" in str(ended.output)


async def find_later(endpoint: str) -> list[str] | None:
    """Find the secrets of an endpoint, as in a database."""
    return [SECRET, OLD] if endpoint == "customer:42" else None


@pytest.mark.parametrize(
    "secrets",
    [
        {"customer:42": [SECRET, OLD]},
        find_later,
        lambda endpoint: [SECRET, OLD] if endpoint == "customer:42" else None,
    ],
    ids=["mapping", "async", "plain"],
)
async def test_secrets_of_an_endpoint(receiver: Receiver, secrets: Any) -> None:
    """They are found as it is sent, by name; each of them signs, so that one can be replaced."""
    webhooks = webhooks_for(receiver, secrets)
    async with JobProcessor("sqlite://", jobs=[webhooks]) as processor:
        job = await webhooks.send(receiver.url, "invoice.paid", endpoint="customer:42")
        other = await webhooks.send(receiver.url, "invoice.paid")
        await processor.run_worker(burst=True)
        assert (await processor.wait_for_job(job.id)).status is JobStatus.FINISHED
        failed = await processor.wait_for_job(other.id)
    assert read(receiver.received[0]) == read(receiver.received[0], OLD)
    assert (failed.status, failed.attempt) == (JobStatus.ERRORED, 1)
    assert "no secret is known for the endpoint '127.0.0.1'" in str(failed.output)


async def test_no_secret_is_anywhere(
    processors: Processors, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the job, nor a page of the dashboard, nor a line of a log has one, or a signature."""
    caplog.set_level(logging.DEBUG)
    receiver.answers = [(500, {}), (410, {})]
    webhooks = webhooks_for(receiver)
    processor, _ = await processors.start(jobs=[webhooks])
    job = await webhooks.send(receiver.url, "invoice.paid", {"id": 42})
    ended = await processor.wait_for_job(job.id)
    async with client_of(create_app(processor)) as client:
        page = (await client.get(f"/jobs/{job.id}")).text
        listed = (await client.get("/jobs?name=job_processor.webhook")).text
        told = (await client.get(f"/api/jobs/{job.id}")).text
    assert "invoice.paid" in page
    assert str(job.id) in listed
    assert len(receiver.received) == 2
    signature = receiver.received[0].headers["webhook-signature"].removeprefix("v1,")
    shown = (repr(ended), page, told, caplog.text, repr(webhooks), str(vars(ended)))
    for text in shown:
        assert SECRET.removeprefix("whsec_") not in text
        assert signature not in text


async def test_options_of_the_job(receiver: Receiver) -> None:
    """It takes those of all jobs, and has by itself the attempts that its page says."""
    usual = Webhooks(["*"], SECRET).definitions[WEBHOOK]
    assert usual.retries is not None
    longest = replace(usual.retries, jitter=False)
    hours = sum(longest.pause(n) for n in range(1, longest.max_attempts)) / 3600
    said = f"{longest.max_attempts} attempts within {hours / 2:.0f} to {hours:.0f} hours"
    assert said in " ".join(markdown.read("docs/webhooks.md").split())
    own = Webhooks(["*"], SECRET, tag="hooks", retry=None, rate="10/s").definitions[WEBHOOK]
    assert (own.tag, own.retries, own.rate) == ("hooks", None, "10/s")
    with pytest.raises(DefinitionError, match="retry=Retry"):
        Webhooks(["*"], SECRET, max_retries=3)  # type: ignore[call-arg]  # that is the point


@pytest.mark.parametrize(
    ("given", "options", "told"),
    [
        (("https://a:b@example.com", "x"), {}, "url"),
        (("https://example.com", ""), {}, "type"),
        (("https://example.com", "x", ["hunter2"]), {}, "data: <a list> is not allowed"),
        (("https://example.com", "x"), {"endpoint": " "}, "endpoint"),
        (("https://example.com", "x"), {"countdown": 3}, "options: 'countdown' is not allowed"),
    ],
)
def test_what_cannot_be_asked_for(given: Any, options: Any, told: str) -> None:
    """It is an error where it is written, which names the argument."""
    with pytest.raises(InvalidArgumentError, match=told):
        webhook(*given, **options)


@pytest.mark.parametrize(
    "secrets", ["hunter2", {"a": "hunter2"}, [SECRET, "hunter2"], [], {"a": []}]
)
def test_secrets_that_cannot_be_any(secrets: Any) -> None:
    """They are refused when the collection is made, and not told."""
    with pytest.raises(InvalidArgumentError, match="whsec_") as raised:
        Webhooks(["*"], secrets)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [({"timeout": 0}, "timeout"), ({"allow_http": 1}, "allow_http"), ({"hosts": []}, "hosts")],
)
def test_options_that_cannot_work(options: Any, told: str) -> None:
    """They are refused when the collection is made."""
    with pytest.raises(InvalidArgumentError, match=told):
        Webhooks(**{"hosts": ["*"], "secrets": SECRET, **options})


def test_options_of_one_webhook() -> None:
    """What can be said of any job can be said of a webhook."""
    request = webhook("https://example.com/", "x", unique_key="a", scheduled_for=timedelta(hours=1))
    assert (request.unique_key, request.scheduled_for) == ("a", timedelta(hours=1))


def test_what_needs_the_extra() -> None:
    """Without it one can ask for webhooks and verify them; a worker that sends is told of it."""
    program = """
import sys
sys.modules["httpcore2"] = None
from job_processor import MissingExtraError, webhook
from job_processor.integrations.webhooks import Webhooks, new_secret, verify
webhook("https://example.com/", "x")
try:
    Webhooks(["*"], new_secret())
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "a worker that sends webhooks needs more packages" in done.stdout
    assert "pip install 'job-processor[webhooks]'" in done.stdout
