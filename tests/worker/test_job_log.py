"""What a worker says of its jobs: failures with their traceback and place, long runs, ends."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
from typing import Any

import pytest
import structlog

from job_processor import EventKind, Job, JobDef, JobProcessor, Retry, RetryLater, Snooze
from job_processor.integrations.logs import JobFilter, JsonFormatter
from job_processor.redaction import REDACTED
from tests.definitions import nothing
from tests.processors import Processors, eventually
from tests.worker import failing
from tests.worker.deaths import die_holding
from tests.worker.heard import Heard
from tests.worker.probe import Probe, ended

PLACE = "failing.py:14 in charge"


async def lines_of(
    processors: Processors, caplog: pytest.LogCaptureFixture, definition: JobDef, **payload: Any
) -> tuple[Job, list[logging.LogRecord]]:
    """Run a job to its end; return it, and the lines about it."""
    caplog.set_level(logging.INFO, "job_processor")
    processor, _ = await processors.start(jobs={"charge": definition})
    job = await ended(processor, await processor.schedule_job("charge", payload or None))

    def told() -> list[logging.LogRecord]:
        lines = [each for each in caplog.records if getattr(each, "job_id", "") == str(job.id)]
        return [each for each in lines if not each.getMessage().startswith("started")]  # slowly

    async def is_told() -> bool:
        return any("duration_ms" in vars(each) for each in told())

    await eventually(is_told)
    return job, told()


def formatted(record: logging.LogRecord) -> str:
    """Return a line with its traceback, as anybody would format it."""
    return logging.Formatter("%(levelname)s %(message)s").format(record)


@pytest.mark.parametrize(
    "definition",
    [
        JobDef(failing.charge),
        JobDef(failing.charge_in_loop),
        pytest.param(JobDef(failing.charge, executor="process"), marks=pytest.mark.slow),
    ],
    ids=["thread", "coroutine", "process"],
)
async def test_the_last_failure_is_an_error_with_traceback_and_place(
    processors: Processors, caplog: pytest.LogCaptureFixture, definition: JobDef
) -> None:
    """The frames are the user's alone, with those of the cause; the place is the innermost."""
    job, (line,) = await lines_of(processors, caplog, definition)
    text = formatted(line)
    assert text.startswith("ERROR charge failed (ConnectionError: the bank does not answer; Caused")
    assert f"{PLACE} ({job.id})" in text.splitlines()[0]
    assert 'failing.py", line 14, in charge' in text
    assert 'failing.py", line 19, in ask_the_bank' in text
    assert "src/job_processor" not in text
    assert "asyncio" not in text
    assert job.output is not None
    assert job.output.error is not None
    assert "src/job_processor" not in job.output.error
    assert text.endswith(job.output.error)


async def test_an_attempt_that_is_tried_again_is_a_warning(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """With its number, how many there are, why it failed, and when the next one is."""
    retry = Retry(2, delay=0.25, jitter=False)
    job, lines = await lines_of(processors, caplog, JobDef(failing.charge, retry=retry))
    again, last = lines
    why = "ConnectionError: the bank does not answer; Caused by TimeoutError: timed out"
    assert formatted(again) == (
        f"WARNING charge failed (attempt 1 of 2: {why}), next in 250 ms ({job.id})"
    )
    assert last.levelname == "ERROR"
    assert last.getMessage().startswith(f"charge failed (attempt 2 of 2: {why}) after ")
    assert (vars(again)["next_in_ms"], vars(again)["max_attempts"]) == (250, 2)
    assert [vars(each)["attempt"] for each in lines] == [1, 2]
    assert vars(again)["where"].endswith(PLACE)
    assert vars(last)["total_ms"] - vars(last)["duration_ms"] >= 250


async def test_each_attempt_keeps_its_traceback(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """Of every attempt it can be seen where it failed, not of the last alone."""
    job, _ = await lines_of(processors, caplog, JobDef(failing.charge, retry=Retry(3, delay=0)))
    assert [each.number for each in job.attempts] == [1, 2]
    for attempt in job.attempts:
        assert 'failing.py", line 14, in charge' in (attempt.error or "")


async def test_an_attempt_that_could_be_tried_again_and_is_not(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so: nobody waits for another one."""
    retry = Retry(5, give_up_on=(ConnectionError,))
    _, (line,) = await lines_of(processors, caplog, JobDef(failing.charge, retry=retry))
    assert "(attempt 1 of 5, not retried: ConnectionError" in line.getMessage()


async def test_of_a_group_the_place_is_that_of_its_first_member(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a task group ends, nothing is wrong; its line names what its tasks raised."""
    _, (line,) = await lines_of(processors, caplog, JobDef(failing.in_groups))
    assert "(2 sub-exceptions); ConnectionError: the bank" in line.getMessage()
    assert f" at {vars(line)['where']} (" in line.getMessage()
    assert vars(line)["where"].endswith(PLACE)
    assert formatted(line).count('failing.py", line 14, in charge') == 2


async def test_what_fails_before_any_code_of_the_user(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """It has no frames, and none of ours stand in their place: its place is the handler's."""

    def charge(amount: int) -> None:
        raise AssertionError

    caplog.set_level(logging.INFO, "job_processor")
    client = await processors.make(jobs={"charge": JobDef(None)})
    processor, _ = await processors.start(jobs={"charge": JobDef(charge)})
    job = await client.schedule_job("charge", {"amount": "much"})
    settled = await ended(processor, job)
    assert settled.output is not None
    assert "File" not in (settled.output.error or "")

    async def told() -> list[logging.LogRecord]:
        return [each for each in caplog.records if each.levelname == "ERROR"]

    (line,) = await eventually(told)
    assert re.search(r"test_job_log\.py:\d+ in charge", line.getMessage())
    assert not line.exc_info


async def test_no_line_says_what_the_payload_hides(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither message nor traceback, whoever formats it; nor other credentials."""
    retry = Retry(2, delay=0)
    definition, payload = JobDef(failing.leak, retry=retry), {"password": "hunter-22"}
    _, lines = await lines_of(processors, caplog, definition, **payload)
    for line in lines:
        text = (
            formatted(line) + str(line.exc_info) + str(vars(line)) + json.dumps(line.getMessage())
        )
        assert "hunter-22" not in text
        assert "pw-of-u" not in text
        assert REDACTED in text


async def test_snoozed_and_asked_for_again(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """A snooze is no failure; a RetryLater is one, of as many as a `Retry()` has."""
    raised: list[Exception] = [Snooze(delay=0), RetryLater("busy", delay=0)]

    async def handler() -> None:
        if raised:
            raise raised.pop(0)

    job, lines = await lines_of(processors, caplog, JobDef(handler))
    snoozed, again, finished = (each.getMessage() for each in lines)
    assert snoozed == f"snoozed job 'charge' ({job.id}), next in 0 ms"
    assert again == f"charge failed (attempt 1 of 3: busy), next in 0 ms ({job.id})"
    assert finished.startswith(f"finished job 'charge' ({job.id}) after ")
    assert " at attempt 2 of 3, " in finished
    assert finished.endswith(" in total")
    assert [each.levelname for each in lines] == ["INFO", "WARNING", "INFO"]


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_run_that_lasts_is_told_of_as_started(
    processors: Processors, probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, at INFO, when it has gone on for a second; a quick one is not."""
    caplog.set_level(logging.INFO, "job_processor")
    jobs = {"long": JobDef(probe.held), "quick": JobDef(nothing)}
    processor, _ = await processors.start(jobs=jobs)
    job = await processor.schedule_job("long")
    await ended(processor, await processor.schedule_job("quick"))

    async def told() -> list[str]:
        return [each for each in caplog.messages if each.startswith("started")]

    (line,) = await eventually(told)
    assert line.startswith(f"started job 'long' ({job.id}), running for 1")
    await asyncio.sleep(0.6)  # another look
    assert await told() == [line]
    probe.release.set()


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_who_logs_no_such_lines_pays_for_none(
    processors: Processors, caplog: pytest.LogCaptureFixture
) -> None:
    """A job that finished makes no line above INFO."""
    caplog.set_level(logging.WARNING, "job_processor")
    processor, _ = await processors.start(jobs={"quick": JobDef(nothing)})
    await ended(processor, await processor.schedule_job("quick"))
    assert not caplog.messages


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_json_and_structlog(processors: Processors) -> None:
    """Fields are fields in both; a traceback stands under `exception`, once."""
    stream, logger = io.StringIO(), logging.getLogger("mine")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(JobFilter())
    logger.addHandler(handler)
    events: list[dict[str, Any]] = []

    def keep(_logger: Any, _method: str, event: Any) -> Any:
        events.append({**event, "level": _method})
        raise structlog.DropEvent

    structured = structlog.wrap_logger(None, processors=[keep], wrapper_class=structlog.BoundLogger)
    for each in (logger, structured):
        processor = JobProcessor("sqlite://", each, {"charge": JobDef(failing.charge)})
        async with processor:
            await processor.run_job("charge")
    told = [json.loads(line) for line in stream.getvalue().splitlines()]
    for failure in ([each for each in side if "exception" in each] for side in (told, events)):
        (line,) = failure
        assert line["level"] == "error"
        assert (line["job_name"], line["attempt"], line["max_attempts"]) == ("charge", 1, 1)
        assert line["where"].endswith(PLACE)
        assert line["duration_ms"] >= 0
        assert line["exception"].startswith("ConnectionError: the bank does not answer\nCaused by")


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_logger_that_fails_harms_nothing(processors: Processors) -> None:
    """Listeners and hooks are told of the end all the same."""

    class Broken(logging.Logger):
        def log(self, *_: Any, **__: Any) -> None:
            raise OSError("no space left")

    exited: list[Job] = []
    jobs = {"charge": JobDef(failing.charge, on_job_exited=exited.append)}
    processor, _ = await processors.start(jobs=jobs, logger=Broken("broken"))
    heard = Heard(processor)
    job = await processor.schedule_job("charge")
    await heard.wait_for(EventKind.ERRORED)

    async def told() -> bool:
        return [each.id for each in exited] == [job.id]

    await eventually(told)


async def test_a_crash_has_no_traceback(
    processors: Processors, probe: Probe, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing was raised: the line says what happened, and the error stands alone."""
    caplog.set_level(logging.INFO, "job_processor")
    jobs = {"held": JobDef(probe.held)}
    first = await processors.make(jobs=jobs)
    await first.schedule_job("held")
    (job,) = await die_holding(first, ["held"])
    second, _ = await processors.start(jobs=jobs)
    await ended(second, job)
    (line,) = [each for each in caplog.records if "held failed" in each.getMessage()]
    assert line.levelname == "ERROR"
    assert "Worker crashed unexpectedly" in line.getMessage()
    assert not line.exc_info
