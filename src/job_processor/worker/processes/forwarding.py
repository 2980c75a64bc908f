"""Log lines of a handler's process, on their way to the logging of its worker.

Such a process keeps no log handlers of its own: those of its worker get each line, as if it had
been written there. A line never waits: what comes faster than the worker takes it is left out, and
the log says how much.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from job_processor.errors import shorten
from job_processor.settings import FORWARDED_LINES, FORWARDED_TEXT_LIMIT

Line: TypeAlias = dict[str, Any]
"""A record's attributes, in values that any process can read."""

_BATCH = 500
_SEND_INTERVAL = 0.02  # seconds between two messages; the first of a silence goes at once
_SHOWN = frozenset({"args", "exc_info"})  # in the message, and as text
_DEPTH = 5  # of lists and dictionaries in one another
_FORMATTER = logging.Formatter()


class RaisedElsewhere(Exception):  # noqa: N818  # never raised: it stands for one that was
    """An exception of a handler's process, by its traceback there."""


@dataclass(frozen=True, slots=True)
class Levels:
    """From which level on the loggers of a worker write."""

    root: int
    named: Mapping[str, int]
    """Of the loggers that have one of their own."""
    disabled: int
    """What `logging.disable` was given."""


def levels() -> Levels:
    """Return those of this process."""
    manager = logging.root.manager
    named = {
        name: logger.level
        for name, logger in list(manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and logger.level
    }
    return Levels(logging.root.level, named, manager.disable)


def replay(lines: Iterable[Line]) -> None:
    """Hand lines of another process to the loggers of this one."""
    for line in lines:
        record = logging.makeLogRecord(line)
        if record.exc_text:  # for formatters that look for an exception, as structlog's does
            record.exc_info = RaisedElsewhere, RaisedElsewhere(record.exc_text), None
        with contextlib.suppress(Exception):  # a handler that raises must not end who listens
            logging.getLogger(record.name).handle(record)


class Forwarder(logging.Handler):
    """Sends what this process logs, in batches, from a thread of its own."""

    def __init__(self, send: Callable[[list[Line]], object], as_worker: Levels) -> None:
        super().__init__()
        self._send = send
        self._as_worker = as_worker
        self._lines: deque[Line] = deque(maxlen=FORWARDED_LINES)
        self._left_out = 0
        self._sending = threading.Lock()
        self._told = threading.Event()
        self._thread: threading.Thread | None = None

    def take_over(self) -> None:
        """Let all loggers write here alone, from the levels of the worker on."""
        for name in self._as_worker.named:
            logging.getLogger(name)  # it may be made later here
        for name, logger in logging.root.manager.loggerDict.items():
            if isinstance(logger, logging.Logger):
                logger.handlers, logger.propagate, logger.disabled = [], True, False
                logger.level = self._as_worker.named.get(name, logging.NOTSET)
        logging.root.handlers, logging.root.level = [self], self._as_worker.root
        logging.disable(self._as_worker.disabled)  # and forget what was known of levels

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        try:
            line = _line(record)
        except Exception:  # noqa: BLE001  # such as arguments that do not fit the message
            self.handleError(record)
            return
        if len(self._lines) == FORWARDED_LINES:
            self._left_out += 1
        self._lines.append(line)
        self._told.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_regularly, daemon=True)
            self._thread.start()

    def flush(self) -> None:
        """Send what is left."""
        with self._sending:  # in order
            self._told.clear()
            while lines := self._take():
                self._send(lines)

    def _send_regularly(self) -> None:
        while self._told.wait():
            self.flush()
            time.sleep(_SEND_INTERVAL)

    def _take(self) -> list[Line]:
        lines: list[Line] = []
        with contextlib.suppress(IndexError):
            while len(lines) < _BATCH:
                lines.append(self._lines.popleft())
        if self._left_out:
            missing, self._left_out = self._left_out, 0
            lines.insert(0, _line(_gap(missing)))
        return lines


def _gap(missing: int) -> logging.LogRecord:
    text = "left out %d log lines of this run: they came faster than they could be taken"
    return logging.LogRecord("job_processor", logging.WARNING, __file__, 0, text, (missing,), None)


def _line(record: logging.LogRecord) -> Line:
    """Return a record whose message and exception are text already."""
    line = {name: _plain(value) for name, value in vars(record).items() if name not in _SHOWN}
    if isinstance(record.msg, dict):  # an event of structlog
        line["msg"] = _plain(_with_text(record.msg))
    elif record.args:
        line["msg"] = _text(record.getMessage())
    if record.exc_info and not record.exc_text:
        line["exc_text"] = _text(_FORMATTER.formatException(record.exc_info))
    return line


def _with_text(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with its exception as text, there where structlog puts it."""
    told = dict(event)
    error = told.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    elif isinstance(error, BaseException):
        error = type(error), error, error.__traceback__
    if isinstance(error, tuple) and error[0] is not None:
        told["exception"] = _FORMATTER.formatException(error)
    return told


def _plain(value: Any, depth: int = 0) -> Any:
    """Return a value whose types any process knows; what is derived of one need not be known."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if depth < _DEPTH and type(value) is dict:
        return {_text(name): _plain(each, depth + 1) for name, each in value.items()}
    if depth < _DEPTH and type(value) in (list, tuple):
        return type(value)(_plain(each, depth + 1) for each in value)
    return _text(value)


def _text(value: object) -> str:
    try:
        text = str.__str__(str(value))
    except Exception:  # noqa: BLE001  # its own code, which fails
        text = object.__repr__(value)
    return shorten(text, FORWARDED_TEXT_LIMIT)
