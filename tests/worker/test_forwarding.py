"""Log lines of handlers in processes reach the logging of their worker."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from job_processor import Job, JobDef, JobStatus
from job_processor.integrations.logs import FIELDS, JobFilter, JsonFormatter
from job_processor.settings import FORWARDED_LINES, FORWARDED_TEXT_LIMIT
from job_processor.worker.processes import forwarding
from job_processor.worker.processes.forwarding import Forwarder, Levels
from tests.processors import Processors
from tests.worker import process_handlers as handlers

LINES = 2_000
STRUCTURED = structlog.stdlib.ProcessorFormatter(
    processors=[
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
)


class Lines(logging.Handler):
    """Keeps what is logged, with the fields of its job."""

    def __init__(self) -> None:
        super().__init__()
        self.addFilter(JobFilter())
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


def fields_of(job: Job) -> tuple[str, str, int, str]:
    """Return what a line of a run should tell."""
    return str(job.id), job.name, job.attempt, str(job.worker_id)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """What anybody logs, from the level of info on; `quiet` from that of warning on."""
    handler, root, quiet = Lines(), logging.getLogger(), logging.getLogger("quiet")
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    quiet.setLevel(logging.WARNING)
    yield handler
    root.removeHandler(handler)
    root.setLevel(before)
    quiet.setLevel(logging.NOTSET)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
async def test_lines_of_a_process(sqlite_db_url: str, lines: Lines) -> None:
    """By the levels of the worker, with job, attempt and worker, exceptions, and what is extra.

    Also events of structlog, the last line before a SIGKILL, and many at once.
    """
    names = ("write_log", "write_events", "log_and_die", "flood_and_die", "flood")
    jobs = {name: JobDef(getattr(handlers, name), executor="process") for name in names}
    async with Processors(sqlite_db_url) as processors:
        processor, _ = await processors.start(jobs=jobs)
        made = await processor.schedule_jobs([*names[:-1], ("flood", {"lines": LINES})])
        ended = [await processor.wait_for_job(job.id, 40) for job in made]
    wrote, structured, died, cut, flooded = ended
    told = [each for each in lines.records if each.name != "job_processor"]  # the worker's own
    of_job = {job.name: [r for r in told if r.__dict__["job_name"] == job.name] for job in ended}
    read, odd, failed, own = of_job["write_log"]
    assert read.getMessage() == "read 2 of opaque"
    assert tuple(getattr(read, field) for field in FIELDS) == fields_of(wrote)
    assert (read.__dict__["shop"], read.__dict__["size"]) == ("opaque", [1, {"a": 2}])
    assert read.process == wrote.result() != os.getpid()
    assert read.funcName == "write_log"
    extras = [odd.__dict__[name] for name in ("level", "text", "endless", "silent")]
    assert [type(extra) for extra in extras] == [int, str, list, str]
    assert extras[:2] == [1, "a"]
    assert "Silent" in extras[3]
    assert "ValueError: invalid literal" in logging.Formatter().format(failed)
    assert '"exception": "Traceback' in JsonFormatter().format(failed)
    assert own.getMessage() == "of its own level"
    assert died.status is JobStatus.ERRORED
    assert [record.getMessage() for record in of_job["log_and_die"]] == ["last words"]
    assert (cut.status, flooded.status) == (JobStatus.ERRORED, JobStatus.FINISHED)
    texts = [record.getMessage() for record in of_job["flood"]]
    assert [text.split()[1] for text in texts] == [str(n) for n in range(LINES)]
    events = [json.loads(STRUCTURED.format(record)) for record in of_job["write_events"]]
    known = dict(zip(FIELDS, fields_of(structured), strict=True))
    assert events[0] == {"event": "read", "size": 2, **known}
    assert events[1].pop("exception").endswith("base 10: 'as told'")
    assert events[1] == {"event": "failed", "of": "opaque", **known}
    assert "invalid literal" in json.loads(STRUCTURED.format(failed))["exception"]


class Process:
    """The state of this process' logging, put back at the end."""

    def __init__(self) -> None:
        root = logging.root
        self._root = root.handlers, root.level, root.manager.disable
        self._loggers = {
            name: vars(logger).copy()
            for name, logger in root.manager.loggerDict.items()
            if isinstance(logger, logging.Logger)
        }

    def restore(self) -> None:
        """Put it back."""
        logging.root.handlers, logging.root.level, disabled = self._root
        for name, state in self._loggers.items():
            vars(logging.getLogger(name)).update(state)
        logging.disable(disabled)


@pytest.fixture
def _restored() -> Iterator[None]:
    state = Process()
    yield
    state.restore()


@pytest.mark.usefixtures("_restored")
def test_a_worker_that_does_not_read_delays_nobody() -> None:
    """What is on its way is bounded, in lines and in text; what is left out is counted."""
    sent: list[Any] = []
    may_send, sending = [False], []

    def send(batch: list[forwarding.Line]) -> None:
        sending.append(len(batch))
        while not may_send[0]:
            time.sleep(0.001)
        sent.extend(batch)

    forwarder = Forwarder(send, Levels(logging.INFO, {}, 0))
    forwarder.take_over()
    logger = logging.getLogger("a.library")
    logger.info("first")
    while not sending:
        time.sleep(0.001)
    for number in range(FORWARDED_LINES + 5):
        logger.info("line %d", number)
    logger.info("x" * 100_000)  # we get here: it waits for nobody, and the reader for ever
    may_send[0] = True
    forwarder.flush()
    texts = [line["msg"] for line in sent]
    assert len(texts) == FORWARDED_LINES + 2
    assert texts[:3] == ["first", forwarding._gap(6).getMessage(), "line 6"]
    assert len(texts[-1]) == FORWARDED_TEXT_LIMIT


@pytest.mark.usefixtures("_restored")
def test_what_the_process_has_set_up_is_its_workers() -> None:
    """Handlers, closed doors and levels of its own give way; a bad record harms nothing."""
    stray = logging.getLogger("set.up.here")
    stray.addHandler(logging.FileHandler(os.devnull, delay=True))
    stray.propagate = False
    stray.disabled = True
    stray.setLevel(logging.CRITICAL)
    sent: list[Any] = []
    forwarder = Forwarder(sent.extend, Levels(logging.WARNING, {"chatty": logging.DEBUG}, 0))
    forwarder.take_over()
    stray.warning("told")
    logging.getLogger("chatty").debug("told, too")
    logging.getLogger("other").info("not told")
    forwarder.flush()
    assert [line["msg"] for line in sent] == ["told", "told, too"]
    assert forwarding.levels() == Levels(logging.WARNING, {"chatty": logging.DEBUG}, 0)
