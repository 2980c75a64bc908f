"""What `worker` was told: checked, and handed on to worker processes of a supervisor."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from job_processor.cli.app.reading import read_choice, read_number, read_tags
from job_processor.errors import InvalidArgumentError

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("console", "json")
LAST_PORT = 65535
LOCAL = "127.0.0.1"
"""Where metrics are, unless an address is given: they tell the names of jobs, and ask nobody."""

_PLACE = re.compile(r"((\[(?P<within>[^\[\]\s]+)\]|(?P<host>[^\[\]:\s]+)):)?(?P<port>[0-9]+)")


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """The options of one worker, as typed.

    Raises InvalidArgumentError for those that can be judged without the application.
    """

    tags: str | None
    concurrency: str | None
    burst: bool
    log_level: str | None
    log_format: str | None
    metrics_port: str | None
    loop: str

    def __post_init__(self) -> None:
        _check_choice("--log-level", self.log_level, LEVELS)
        _check_choice("--log-format", self.log_format, FORMATS)
        if self.concurrency is not None:
            read_number("--concurrency", self.concurrency)
        if self.tags is not None:
            read_tags(self.tags)

    @property
    def level(self) -> str | None:
        """The level of the log, None: the usual one."""
        return None if self.log_level is None else self.log_level.lower()

    @property
    def format(self) -> str | None:
        """The format of log lines, None: the usual one."""
        return None if self.log_format is None else self.log_format.lower()

    @property
    def overrides(self) -> dict[str, Any]:
        """What is changed in the application's processor."""
        changes: dict[str, Any] = {}
        if self.tags is not None:
            changes["worker_tags"] = read_tags(self.tags)
        if self.concurrency is not None:
            changes["concurrency"] = read_number("--concurrency", self.concurrency)
        return changes

    def arguments(self, place: tuple[str, int] | None) -> list[str]:
        """Return them as a process of a supervisor gets them; its metrics are at `place`."""
        given = {
            "--tags": self.tags,
            "--concurrency": self.concurrency,
            "--log-level": self.log_level,
            "--log-format": self.log_format,
            "--metrics-port": None if place is None else f"[{place[0]}]:{place[1]}",
            "--loop": self.loop,
        }
        texts = [f"{option}={value}" for option, value in given.items() if value is not None]
        return [*texts, "--burst"] if self.burst else texts

    def places(self, processes: int) -> list[tuple[str, int] | None]:
        """Return address and port of each process: from `--metrics-port` upwards; 0: any."""
        if self.metrics_port is None:
            return [None] * processes
        host, first = read_place(self.metrics_port, processes)
        return [(host, first and first + index) for index in range(processes)]


def read_place(text: str, processes: int = 1) -> tuple[str, int]:
    """Return address and port of the first process; the ports of the others follow."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise InvalidArgumentError("--metrics-port", text, "allowed is a port or ADDRESS:PORT")
    port = int(found["port"][:6])
    last = LAST_PORT - processes + 1
    if not 0 <= port <= last:
        allowed = f"allowed are 1 to {last}, and 0 for any that is free"
        if processes > 1:
            allowed += f": {processes} processes use as many ports, from this one on"
        raise InvalidArgumentError("--metrics-port", text, allowed)
    return found["within"] or found["host"] or LOCAL, port


def _check_choice(option: str, text: str | None, allowed: tuple[str, ...]) -> None:
    if text is not None:
        read_choice(option, text, allowed)
