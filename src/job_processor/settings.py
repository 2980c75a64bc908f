"""Every number with a meaning, with its unit, and the checked settings of one processor."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any, Literal, TypeAlias
from urllib.parse import quote
from zoneinfo import ZoneInfo

from job_processor.errors import InvalidArgumentError

Duration: TypeAlias = float | timedelta
"""A number of the unit that its name or its docs say, or a timedelta."""

Unit: TypeAlias = Literal["seconds", "minutes", "hours", "days"]

CLAIM_NAMES = 50
"""Names in one claim: MongoDB merges at most 200 index scans before it sorts in memory."""

SETTLE_BATCH = 500
"""Outcomes in one write."""

MESSAGE_BYTES = 900_000
"""Bytes of the payload of a message: it becomes a step of who receives it, see `STEPS_BYTES`."""

MESSAGE_TTL = 7 * 86_400.0
"""Seconds for which a message is kept unless its sender says otherwise."""

MESSAGE_LOOK = 0.5
"""Seconds between two looks for a message of a job that waits for it where it runs (`run_job`)."""

STEPS_BYTES = 1_000_000
"""Bytes of all steps of a job: each claim reads them, and a payload of 15 MiB leaves room for them
in the 16 MiB of a document."""

LONE_TRIES = 5
"""Writes of one outcome that fail by no error of the database, before the least is written."""

SCHEDULE_BATCH = 1000
"""Jobs that `schedule_jobs` takes and writes at a time."""

WAITED_PAUSE = 0.5
"""Seconds between two questions for all jobs that callers wait for, where they are many."""

WAITED_CROWD = 100
"""So many are many; where fewer are waited for, the pause is as much shorter."""

WAITED_BATCH = 1000
"""Of them in one question."""

AGEING_INTERVAL = 1.0
"""Seconds between two claims of what has waited for too long, where there is a limit for that."""

KILL_LOOKS = 10
"""Looks that a kill takes at a job which moves away from each, before it leaves it to its request:
5 s at the most."""

CRASH_LIMIT = 3
"""Workers that a job may take down, without a settlement in between, before it is errored."""

ORPHAN_NAME_SECONDS = 600.0
"""Seconds after which a dead run whose name no running worker defines is errored."""

NODE_WORKER_TIMEOUT = 300.0
"""Seconds without a heartbeat after which a worker of the Node package is dead (its TTL)."""

NODE_HEARTBEAT_INTERVAL = 30.0
"""Seconds between two heartbeats of a worker of the Node package."""

NODE_LOOK_INTERVAL = 60.0
"""Seconds between two looks of a process that schedules at the workers of the Node package."""

NODE_WARNING_INTERVAL = 600.0
"""Seconds between two warnings of one name that such a worker would take."""

NODE_TIMEZONE = "Europe/Paris"
"""The zone in which the Node package reads every cron expression."""

MONGO_MAX_WORKER_TIMEOUT = 240.0
"""Seconds; MongoDB removes a registration after 300 s, a rescuer must have seen it before."""

WRITE_TIMEOUT = 10.0
"""Seconds that a write waits for its confirmation, where that comes from other machines."""

MONGO_MAX_HISTORY_DAYS = 90
"""Days; the Node package's TTL index on `ended_at`, which both share."""

RATE_LATENESS = 0.05
"""Seconds by which a start may be late without delaying those that follow: as a worker wakes."""

RATE_PER_MAX = 366 * 86_400.0
"""Seconds over which a rate counts at the most."""

RATE_AMOUNT_MAX = 1_000_000_000
"""Starts in that time, and at once, at the most."""

RATE_GATHER = 0.02
"""Seconds between two questions of one worker for starts, where they come faster than that."""

RATE_ASKED_AGAIN = 10.0
"""Seconds after which a worker asks again for starts that are further away: others may have given
some back."""

RATE_LOOKAHEAD = 2.0
"""Seconds of a lane's starts that are given out before their time at the most, one at least, where
a rate has a key: each to a job, which waits for its own."""

GROUP_TOUCHED = 60.0
"""Seconds between two signs of whoever fills a group."""
GROUP_LEFT = 600.0
"""Seconds without one after which a group counts as left by who filled it, and is broken off."""
GROUP_PAGE = 100
GROUP_PAGE_BYTES = 4 * 1024 * 1024
"""Members that are read at a time, and what they have together at most."""
GROUPS_SHOWN = 20
"""Groups of one page of a list: those of each are counted."""
RATES_SHOWN = 1000
"""Rates that are listed at the most."""

LANES_LOOKED_AT = 100
"""Lanes that are counted at the most, of all limits together, to tell which are the fullest."""

LANES_SHOWN = 10
"""Lanes of a limit that are told, the fullest of them."""

LANE_COUNT_CAP = 1000
"""Counts of a lane are exact up to here, and stop here."""

RATE_DEFAULT_BURST = 0.1
"""Seconds whose starts may come at once, where a rate does not say how many."""

BURST_WAITS = 60.0
"""Seconds that `run_worker(burst=True)` waits for a start that a rate allows later."""

LANE_KEPT = 10 * RATE_PER_MAX
"""Seconds for which what is known of a lane is kept at the most."""

CRON_GRACE = 3600.0
"""Seconds after which a cron that no worker of its service lists plans nothing any more, and a name
whose service has had no worker is free for another service."""

CRON_LISTED_INTERVAL = 300.0
"""Seconds between two writes of when a cron was listed last."""

MISFIRE_LIMIT = 100
"""Missed occurrences that `misfire="all"` adds at the most."""

ERROR_LIMIT = 10_000
"""Characters kept of an error's text, the traceback included."""

HISTORY_ERROR_LIMIT = 2000
"""Characters kept of it in the history of attempts, of which there are 20."""

RETRY_DELAY_MIN = 0.1
RETRY_DELAY_MAX = 5.0
"""Seconds between two tries of a call that the database did not answer (jittered)."""

DISPATCH_BATCH = 200
"""Schedules whose moments are made into jobs in one write."""

SCHEDULE_PAYLOAD = 64 * 1024
"""Bytes of the payload of a schedule, which is read whenever one of its moments comes."""

SCHEDULE_MARGIN = 300.0
"""Seconds after its moment until which a job of a schedule with `misfire="skip"` may begin."""

SCHEDULER_INTERVAL = 30.0
"""Seconds between two passes of the scheduler when no cron is due earlier."""

RECONCILE_INTERVAL = 30.0
"""Seconds between two looks at what runs under a worker's own id; at once after a failed claim."""

LONG_RUN = 1.0
"""Seconds that a run goes on for before the log tells that it has started."""

LOOP_BLOCKED_SECONDS = 1.0
"""Seconds without an answer after which the event loop of a worker is reported as blocked."""

RESCUE_BATCH = 500
"""Runs of one dead worker that are read at a time."""

CLOCK_TOLERANCE = 1.0
"""Seconds between the database's clock and ours beyond which a check warns."""

NOTES_INTERVAL = 1.0
"""Seconds between two writes of what running handlers tell of their progress."""

MESSAGE_LIMIT = 200
"""Characters kept of a progress's message."""

LOG_LINES = 100
"""Lines kept of a job's log."""

LOG_LINE_LIMIT = 500
"""Characters kept of a line."""

HOOK_TIMEOUT = 300.0
"""Seconds that `on_job_exited` has; then it is cancelled, or its thread left alone, and logged."""

HOOK_THREADS = 32
"""Plain functions `on_job_exited` that run at a time; more of them wait for a thread."""

STOP_SPARE = 5.0
"""Seconds beyond its graces that a stop takes at the most, whatever hangs."""

LIFESPAN_PATIENCE = 10.0
"""Seconds after which the log says that a lifespan is still being entered, and nothing runs."""

LEAVE_TIMEOUT = 3.0
"""Seconds in which a process that has nothing more to run takes its registration away."""

CLOSE_TIMEOUT = 2.0
"""Seconds in which a store gives its connections back; one that hangs is left alone."""

FORWARDED_LINES = 10_000
"""Lines of the application's log that may be on their way from the process of a handler."""

FORWARDED_TEXT_LIMIT = 8_000
"""Characters of each text in such a line: its message, its traceback."""

SETTINGS_INTERVAL = 0.5
"""Seconds between two looks at what is paused, and at other settings, at least."""

SETTINGS_SWEEP = 30.0
"""Seconds between two of them where changes of other processes are told."""

HISTORY_BATCH = 1000
"""Settled jobs removed in one write, so that claims get in between."""

HISTORY_INTERVAL = 3600.0
"""Seconds between two passes that remove old history (SQLite)."""

LOOK_THROUGH = 10_000
"""Jobs that a search looks at for one page, where no index tells which are meant; the page says
where the next one goes on. SQLite looks at so many in about 25 ms."""

LAST_ENDED = 50_000
"""Jobs that are found by when they ended: of a time in which more have ended, the last of them."""

LOOKS_AT_A_TIME = 2
"""Searches that may look through jobs at the same time, in one process."""

LOOK_SECONDS = 10.0
"""Seconds that MongoDB spends on one of them at the most."""

ROLLUP_INTERVAL = 10.0
"""Seconds between two writes of what a worker has counted, while it counts anything."""

STATUS_LIMIT = 100
"""Entries in each list of `get_status()`."""

STATUS_NAMES = 200
"""Names of jobs, and of crons, in `get_status()`."""

STATUS_TASKS = 20
"""Tasks listed for one name in `get_status()`."""

COUNT_CAP = 10_000
"""Counts in `get_status()` are exact up to here, and stop here."""

COUNT_CAP_OF_SELECTIONS = 50_000
"""Where `count_jobs()` stops counting unless it is told otherwise."""

PAGE_LIMIT = 1000
"""Jobs in one page of `find_jobs()` at the most."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The checked settings of one processor; see `JobProcessor` for their meaning."""

    worker_tags: tuple[str, ...] | None = None
    concurrency: int = 10
    timezone: str = "UTC"
    poll_interval: float = 1.0
    heartbeat_interval: float = 10.0
    worker_timeout: float = 60.0
    shutdown_grace: float = 20.0
    kill_grace: float = 5.0
    history_days: float = 90
    keep_errored_days: float | None = None
    service: str = "default"
    collection_prefix: str = "job_processor"
    ageing: float | None = None

    def __post_init__(self) -> None:
        check_int("concurrency", self.concurrency, minimum=1)
        time_zone(self.timezone)
        for name in ("poll_interval", "heartbeat_interval", "worker_timeout", "history_days"):
            duration(name, getattr(self, name), "days" if name == "history_days" else "seconds")
        if self.keep_errored_days is not None:
            duration("keep_errored_days", self.keep_errored_days, "days")
        if self.ageing is not None:
            duration("ageing", self.ageing)
        for name in ("shutdown_grace", "kill_grace"):
            duration(name, getattr(self, name), zero=True)
        if self.worker_timeout < 2 * self.heartbeat_interval:
            raise InvalidArgumentError(
                "worker_timeout",
                self.worker_timeout,
                f"allowed is at least twice the heartbeat_interval of {self.heartbeat_interval} s, "
                "so that one late heartbeat does not make a worker look dead",
            )
        check_name("service", self.service)
        check_name("collection_prefix", self.collection_prefix)
        if self.collection_prefix.startswith("system.") or "$" in self.collection_prefix:
            raise InvalidArgumentError(
                "collection_prefix",
                self.collection_prefix,
                "allowed is a name that MongoDB takes for a collection (no '$', no 'system.')",
            )


def graceful_stop_seconds(settings: Settings, spare: float = STOP_SPARE) -> float:
    """Return the seconds that a graceful stop takes at the most."""
    return settings.shutdown_grace + 2 * settings.kill_grace + spare


BATCH_LIMIT = 1000
"""Jobs of a batch, at most."""

LABELS = 16
"""Labels of a job, at most."""

LABEL_LENGTH = 100
"""Characters of a label, at most."""


def check_tags(worker_tags: object) -> tuple[str, ...] | None:
    """Return the tags without doubles, in order; None stands for all.

    Raises InvalidArgumentError for an empty list (it would serve nothing that has a tag by
    accident), a lone string, or a tag that is no non-empty string.
    """
    if worker_tags is None:
        return None
    allowed = "allowed is None (serve every tag) or a list of at least one non-empty str"
    if isinstance(worker_tags, str):
        raise InvalidArgumentError("worker_tags", worker_tags, allowed)
    if not isinstance(worker_tags, Iterable):
        raise InvalidArgumentError("worker_tags", worker_tags, allowed)
    tags = tuple(worker_tags)
    if not tags or not all(isinstance(tag, str) and tag.strip() for tag in tags):
        raise InvalidArgumentError("worker_tags", worker_tags, allowed)
    for tag in tags:
        check_text("worker_tags", tag)
    return tuple(dict.fromkeys(tags))


def duration(argument: str, value: object, unit: Unit = "seconds", *, zero: bool = False) -> float:
    """Return a duration in its unit, of which it is a number, or a timedelta.

    Raises InvalidArgumentError unless it is finite and above (or, if `zero`, at) 0.
    """
    number: Any = value / timedelta(**{unit: 1}) if isinstance(value, timedelta) else value
    is_number = isinstance(number, int | float) and not isinstance(number, bool)
    if (
        not is_number
        or not abs(number) <= sys.float_info.max
        or number < 0
        or (number == 0 and not zero)
    ):
        least = "of at least" if zero else "above"
        allowed = f"allowed is a number of {unit} {least} 0, or a timedelta"
        raise InvalidArgumentError(argument, value, allowed)
    return float(number) if isinstance(value, timedelta) else number


def check_int(argument: str, value: object, *, minimum: int) -> None:
    """Raise InvalidArgumentError unless `value` is a whole number of at least `minimum`."""
    if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
        raise InvalidArgumentError(
            argument, value, f"allowed is a whole number of at least {minimum}"
        )


def check_name(argument: str, value: object) -> None:
    """Raise InvalidArgumentError unless `value` is a non-empty str that a database can keep."""
    if not isinstance(value, str) or not value.strip() or "\0" in value or len(value) > 200:
        raise InvalidArgumentError(argument, value, "allowed is a str of 1 to 200 characters")
    check_text(argument, value)


def check_text(argument: str, value: str) -> None:
    """Raise InvalidArgumentError unless a text is one that UTF-8 can hold."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        allowed = "allowed is a str of Unicode text, without lone surrogates"
        raise InvalidArgumentError(argument, value, allowed) from error


def time_zone(name: str, argument: str = "timezone") -> tzinfo:
    """Return the zone with this IANA name; raise InvalidArgumentError when there is none."""
    try:
        return ZoneInfo(name)
    except (ValueError, TypeError, OSError, KeyError) as error:
        raise InvalidArgumentError(
            argument, name, "allowed is an IANA time zone name such as 'Europe/Paris'"
        ) from error


IN_MEMORY = "sqlite://"
"""The address of a database in memory, which no other process shares."""


def file_address(path: Path) -> str:
    """Return the address of a database file, whatever characters its path has."""
    return f"sqlite:///{quote(path.absolute().as_posix())}"


def without_credentials(address: str) -> str:
    """Return an address without user, password and options, however it is misspelt.

    What stands before the last `@` is left out, but for a word that looks like a scheme.
    """
    before, at, host = address.rpartition("@")
    scheme = re.match(
        r"(?:mongodb(?:\+srv)?|sqlite)(?=:)|[a-z][a-z0-9+.\-]*(?=://)", address, re.IGNORECASE
    )
    if not at and scheme is not None and scheme[0].lower() == "sqlite":
        return address  # its options are no secret
    shown = host.partition("?")[0]
    if not at or not before:
        return shown
    return f"{scheme[0]}://…@{shown}" if scheme else f"…@{shown}"
