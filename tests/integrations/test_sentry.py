"""Sentry, with its own kit: what would be sent is captured where it would leave."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from job_processor import (
    CronDef,
    EventKind,
    InvalidArgumentError,
    Job,
    JobDef,
    JobProcessor,
    JobStatus,
    Retry,
    Snooze,
)
from job_processor.integrations.sentry import Sentry
from job_processor.integrations.sentry_monitors import monitor_config
from job_processor.redaction import REDACTED
from tests.definitions import nothing
from tests.processors import Processors, eventually
from tests.worker.deaths import die_holding
from tests.worker.heard import Heard

SECRET = "hunter2-and-more"  # noqa: S105  # what must not be sent


class Sent:
    """What Sentry's kit sends."""

    def __init__(self) -> None:
        self.items: list[tuple[str, dict[str, Any]]] = []

    def take(self, envelope: Envelope) -> None:
        """Take an envelope."""
        for item in envelope.items:
            payload = item.payload.json
            if payload is not None:
                self.items.append((item.type or "", json.loads(json.dumps(payload, default=str))))

    def of(self, type: str) -> list[dict[str, Any]]:
        """Return what was sent of a type: event, transaction, check_in."""
        return [payload for kind, payload in self.items if kind == type]


@pytest.fixture
def sent() -> Iterator[Sent]:
    """What is sent during a test."""
    captured = Sent()

    class Capturing(Transport):
        def capture_envelope(self, envelope: Envelope) -> None:
            captured.take(envelope)

    sentry_sdk.init(
        dsn="https://key@sentry.invalid/1",
        transport=Capturing,
        traces_sample_rate=1.0,
        default_integrations=False,
        auto_enabling_integrations=False,
    )
    yield captured
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(None)


async def test_a_failure_is_sent_with_its_job(processors: Processors, sent: Sent) -> None:
    """Once, with job, breadcrumbs and user of this run alone; secrets are nowhere in it."""

    async def fail(payload: dict[str, Any]) -> None:
        sentry_sdk.add_breadcrumb(message=f"of {payload['user']}")
        sentry_sdk.set_user({"id": payload["user"]})
        await asyncio.sleep(0)
        raise ValueError(f"no luck with {payload['api_token']}")

    def plain(payload: dict[str, Any]) -> None:
        sentry_sdk.capture_message("from a thread")

    jobs = {"fail": JobDef(fail), "plain": JobDef(plain)}
    processor = await processors.make(jobs=jobs, integrations=[Sentry()])
    payload = {"api_token": SECRET, "nested": [{"password": SECRET}]}
    made = await processor.schedule_jobs(
        [("fail", {**payload, "user": "a"}), ("fail", {**payload, "user": "b"}), "plain"]
    )
    await processor.run_worker(burst=True)
    events = {event["contexts"]["job"]["id"]: event for event in sent.of("event")}
    assert len(sent.of("event")) == len(events) == 3
    for job, user in zip(made, "ab", strict=False):
        event = events[str(job.id)]
        (exception,) = event["exception"]["values"]
        assert (exception["type"], exception["value"]) == ("ValueError", f"no luck with {REDACTED}")
        for frame in exception["stacktrace"]["frames"]:  # ours hold the payload under other names
            assert ("vars" in frame) == (not frame["module"].startswith("job_processor"))
        assert event["transaction"] == event["tags"]["job.name"] == "fail"
        assert event["user"] == {"id": user}
        assert [each["message"] for each in event["breadcrumbs"]["values"]] == [f"of {user}"]
        told = event["contexts"]["job"]
        assert told["attempt"] == 1
        assert told["payload"]["api_token"] == told["payload"]["nested"][0]["password"] == REDACTED
    assert events[str(made[2].id)]["message"] == "from a thread"
    assert SECRET not in json.dumps(sent.items)
    sentry_sdk.capture_message("outside")
    assert "job" not in sent.of("event")[-1]["contexts"]


async def test_every_part_of_an_event_is_cleaned(processors: Processors, sent: Sent) -> None:
    """Breadcrumbs, spans, tags, contexts, frames that quote it, what bytes and addresses hold."""
    pem = "-----BEGIN 'KEY'-----\nfirst-line"

    async def charge(payload: dict[str, Any]) -> None:
        secret, key = payload["password"], payload["key_pem"]
        logging.getLogger("shop").info("charging with %s", secret)
        sentry_sdk.set_tag("used", secret)
        sentry_sdk.set_context("bank", {"url": f"https://bank.example/?token={quote(secret)}"})
        with sentry_sdk.start_span(op="http", name=f"GET https://ada:{secret}@bank.example/"):
            quoted, raw = repr(key), secret.encode()
            raise ValueError(f"refused {quoted} {raw!r} postgres://u:other-password@db/x")

    processor = await processors.make(jobs={"charge": JobDef(charge)}, integrations=[Sentry()])
    await processor.run_job("charge", {"password": SECRET + " é/", "key_pem": pem, "amount": 7})
    assert sent.of("event")
    assert sent.of("transaction")
    told = json.dumps(sent.items)
    assert "breadcrumbs" in told
    assert "refused" in told
    for secret in (SECRET, "first-line", "other-password"):
        assert secret not in told, told[max(told.find(secret) - 200, 0) : told.find(secret) + 50]


async def test_a_run_is_a_transaction(processors: Processors, sent: Sent) -> None:
    """Named after its job, with its state; the spans of the handler are in it."""

    async def work() -> None:
        with sentry_sdk.start_span(op="db", name="a query"):
            pass

    async def fail() -> None:
        raise ValueError

    jobs = {"work": JobDef(work), "fail": JobDef(fail)}
    processor = await processors.make(jobs=jobs, integrations=[Sentry()])
    job = await processor.run_job("work")
    await processor.run_job("fail")
    done, failed = sent.of("transaction")
    trace = done["contexts"]["trace"]
    assert (done["transaction"], trace["op"], trace["status"]) == ("work", "queue.process", "ok")
    assert trace["data"]["messaging.message.id"] == str(job.id)
    assert [span["description"] for span in done["spans"]] == ["a query"]
    assert failed["contexts"]["trace"]["status"] == "internal_error"
    (event,) = sent.of("event")
    assert event["contexts"]["trace"]["trace_id"] == failed["contexts"]["trace"]["trace_id"]


@pytest.mark.parametrize(("report_retries", "expected"), [(False, [2]), (True, [1, 2])])
async def test_retries(
    processors: Processors, sent: Sent, report_retries: bool, expected: list[int]
) -> None:
    """The last failure is sent, those before on request, a snooze never."""
    snoozed: list[bool] = []

    async def fail() -> None:
        if not snoozed:
            snoozed.append(True)
            raise Snooze(delay=0.001)
        raise ValueError

    jobs = {"a": JobDef(fail, retry=Retry(max_attempts=2, delay=0))}
    processor, _ = await processors.start(
        jobs=jobs, integrations=[Sentry(report_retries=report_retries)]
    )
    job = await processor.schedule_job("a")
    await processor.wait_for_job(job.id)
    assert [event["contexts"]["job"]["attempt"] for event in sent.of("event")] == expected


async def test_what_no_handler_raised_is_sent_too(processors: Processors, sent: Sent) -> None:
    """A maximum runtime and a crash, with the job; a kill is nobody's fault."""
    begun = asyncio.Event()

    async def long() -> None:
        begun.set()
        await asyncio.Event().wait()

    jobs = {
        "long": JobDef(long, max_runtime_in_minutes=0.0001),
        "crash": JobDef(nothing),
        "killed": JobDef(long),
    }
    processor = await processors.make(jobs=jobs, integrations=[Sentry()])
    heard = Heard(processor)
    crashed = await processor.schedule_job("crash", {"password": SECRET})
    await die_holding(processor, ["crash"])
    await processors.worker(processor)
    await processor.run_job("long")
    begun.clear()
    killed = await processor.schedule_job("killed")
    await begun.wait()
    await processor.kill_job(killed.id)
    assert (await processor.wait_for_job(killed.id)).status is JobStatus.KILLED
    await processor.wait_for_job(crashed.id)

    async def told() -> bool:
        return EventKind.ERRORED in heard.of_job(crashed)

    await eventually(told)
    messages = {event["contexts"]["job"]["name"]: event for event in sent.of("event")}
    assert messages["crash"]["message"] == "crash: Worker crashed unexpectedly"
    assert messages["crash"]["level"] == "error"
    assert messages["crash"]["contexts"]["job"]["payload"] == {"password": REDACTED}
    assert messages["long"]["message"].startswith("long: max runtime of")
    assert len(sent.of("event")) == 2


async def run_once(processor: JobProcessor, name: str) -> Job:
    """Let a cron run now, to its end."""
    await processor.run_worker(burst=True)  # the database learns of the cron
    task = await processor.run_cron(name)
    await processor.run_worker(burst=True)
    return await processor.wait_for_job(task.id)


async def test_check_ins_of_a_cron(processors: Processors, sent: Sent) -> None:
    """In progress with the monitor's settings, then ok or error, by the id on the task."""

    async def fail() -> None:
        raise ValueError

    crons = {
        "fine": CronDef(
            "0 2 * * *",
            nothing,
            timezone="Europe/Paris",
            checkin_margin=2.5,
            max_runtime_in_minutes=30,
        ),
        "broken": CronDef("@hourly", fail),
    }
    sentry = Sentry(failure_threshold=3, recovery_threshold=2)
    processor = await processors.make(
        jobs={"a": JobDef(nothing)}, crons=crons, integrations=[sentry]
    )
    fine, broken = await run_once(processor, "fine"), await run_once(processor, "broken")
    await processor.run_job("a")
    told = [(each["monitor_slug"], each["status"]) for each in sent.of("check_in")]
    assert told == [
        ("fine", "in_progress"),
        ("fine", "ok"),
        ("broken", "in_progress"),
        ("broken", "error"),
    ]
    ids = [each["check_in_id"] for each in sent.of("check_in")]
    assert ids == [each.sentry_id for job in (fine, broken) for each in (job, job)]  # type: ignore[union-attr]
    begun, ended, *_ = sent.of("check_in")
    assert begun["monitor_config"] == {
        "schedule": {"type": "crontab", "value": "0 2 * * *"},
        "timezone": "Europe/Paris",
        "checkin_margin": 3,
        "max_runtime": 30,
        "failure_issue_threshold": 3,
        "recovery_threshold": 2,
    }
    assert ended["duration"] >= 0
    assert "monitor_config" not in ended or ended["monitor_config"] is None


async def test_a_rescuer_closes_the_check_in(processors: Processors, sent: Sent) -> None:
    """Another process ends it as an error, by the id that the cron task keeps."""
    crons = {"tick": CronDef("@yearly", nothing)}
    first = await processors.make(crons=crons, integrations=[Sentry()])
    await first.run_worker(burst=True)
    task = await first.run_cron("tick")
    await die_holding(first, ["tick"])
    rescuer = await processors.make(crons=crons, integrations=[Sentry()])
    heard = Heard(rescuer)
    await processors.worker(rescuer)
    await heard.wait_for(EventKind.ERRORED)
    (check_in,) = sent.of("check_in")
    assert (check_in["status"], check_in["check_in_id"]) == ("error", task.sentry_id)


async def test_a_retry_goes_on_with_the_same_check_in(processors: Processors, sent: Sent) -> None:
    """It is in progress until the last attempt has ended; one that is skipped has none."""
    tries: list[int] = []

    async def shaky() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError

    crons = {"shaky": CronDef("@yearly", shaky, retry=Retry(max_attempts=2, delay=0))}
    processor, _ = await processors.start(crons=crons, integrations=[Sentry()])
    heard = Heard(processor)

    async def planned() -> bool:
        return bool(await processor.get_crons())

    await eventually(planned)
    await processor.run_cron("shaky")
    await heard.wait_for(EventKind.FINISHED)
    assert [each["status"] for each in sent.of("check_in")] == ["in_progress", "in_progress", "ok"]
    assert len({each["check_in_id"] for each in sent.of("check_in")}) == 1


def test_monitors() -> None:
    """The processor's zone where the cron has none; whole minutes; none for crons with seconds."""
    config = monitor_config(CronDef("@daily", nothing, checkin_margin=0.1), "UTC", {"x": None})
    assert config == {
        "schedule": {"type": "crontab", "value": "0 0 * * *"},
        "timezone": "UTC",
        "checkin_margin": 1,
    }
    assert monitor_config(CronDef("*/10 * * * * *", nothing), "UTC", {}) is None
    assert monitor_config(CronDef(every=90, handler=nothing), "UTC", {}) is None
    interval = monitor_config(CronDef(every=5400, handler=nothing), "UTC", {})
    assert interval is not None
    assert interval["schedule"] == {"type": "interval", "value": 90, "unit": "minute"}


async def test_without_a_client_nothing_changes(processors: Processors) -> None:
    """Installed, but `sentry_sdk.init` was never called: jobs run as ever."""

    async def fail() -> None:
        raise ValueError("as told")

    processor = await processors.make(jobs={"a": JobDef(fail)}, integrations=[Sentry()])
    assert (await processor.run_job("a")).status is JobStatus.ERRORED


@pytest.mark.parametrize("pattern", ["(", 5])
def test_a_pattern_that_is_none(pattern: Any) -> None:
    """The error names the option, the value and what is allowed."""
    with pytest.raises(InvalidArgumentError, match=r"redact: .* a regular expression"):
        Sentry(redact=pattern)


async def test_a_failure_is_sent_once(processors: Processors, sent: Sent) -> None:
    """What Sentry's kit makes of lines at ERROR leaves out the worker's line about a failure."""
    sentry_sdk.init(
        dsn="https://key@sentry.invalid/1",
        transport=sentry_sdk.get_client().transport,
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[LoggingIntegration()],
    )

    def fail() -> None:
        logging.getLogger("shop").error("of the handler")
        raise ValueError("once")

    processor = await processors.make(jobs={"fail": JobDef(fail)}, integrations=[Sentry()])
    await processor.schedule_job("fail")
    await processor.run_worker(burst=True)
    told = [event.get("logentry", {}).get("message") for event in sent.of("event")]
    assert told == ["of the handler", None]
