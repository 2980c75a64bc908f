"""How many jobs may start in a time: of a name, of a group of names, for each value of a key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeAlias

from job_processor.errors import InvalidArgumentError
from job_processor.handlers.keys import Key, check_key, key_of, key_text
from job_processor.handlers.lanes import lane_name
from job_processor.settings import (
    RATE_AMOUNT_MAX,
    RATE_DEFAULT_BURST,
    RATE_PER_MAX,
    Duration,
    check_int,
    check_name,
    duration,
)

OnFull: TypeAlias = Literal["wait", "skip"]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_TEXT = re.compile(r"\s*(\d+)\s*/\s*([smhd])\s*")
_WRITE = 'write rate="100/m", which is a hundred a minute (s, m, h, d), or rate=Rate(100, per=60)'


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate limit: how many jobs may start in a time, on all workers together.

    `rate=Rate(100, per=60)` is the same as `rate="100/m"`. In any window of `per` seconds, by the
    database's clock, at most `amount + burst` jobs start. Retries, resumed jobs and jobs that run
    again after a crash count too. A job that waits for its start uses no slot of a worker.

    amount: how many jobs may start in the time of `per`.
    per: seconds, or a timedelta; required.
    burst: how many may start at once after a pause; the others follow evenly. None: the number that
        starts in a tenth of a second, at least 1.
    group: a name for a rate that several jobs and crons share; None: each name has its own.
    on_full: what happens to a job that may not start yet: `wait` (it starts later) or `skip` (it is
        skipped, for good).
    key: a rate for each value of this key: a field of the payload, such as "tenant" or
        "account.id", or a function of the payload; True: only the `rate_key` with which a job is
        scheduled. A job whose key is None has no rate limit.

    Raises InvalidArgumentError for a value that is not allowed.
    """

    amount: int
    per: Duration | None = None
    burst: int | None = None
    group: str | None = None
    on_full: OnFull = "wait"
    key: Key | Literal[True] | None = None

    def __post_init__(self) -> None:
        check_int("amount", self.amount, minimum=1)
        if self.per is None:
            allowed = f"a rate needs a time; write Rate({self.amount}, per=60) for a minute"
            raise InvalidArgumentError("per", self.per, allowed)
        object.__setattr__(self, "per", float(duration("per", self.per)))
        if self.seconds > RATE_PER_MAX:
            days = f"{RATE_PER_MAX / 86_400:g} days"
            raise InvalidArgumentError("per", self.per, f"allowed are at most {days}")
        if self.burst is None:
            usual = self.amount * RATE_DEFAULT_BURST / self.seconds
            object.__setattr__(self, "burst", max(1, min(int(usual), RATE_AMOUNT_MAX)))
        for name in ("amount", "burst"):
            check_int(name, getattr(self, name), minimum=1)
            if getattr(self, name) > RATE_AMOUNT_MAX:
                allowed = f"allowed is at most {RATE_AMOUNT_MAX:,}"
                raise InvalidArgumentError(name, getattr(self, name), allowed)
        if self.group is not None:
            check_name("group", self.group)
        if self.on_full not in ("wait", "skip"):
            allowed = "allowed are 'wait' (it starts later) and 'skip' (it never starts)"
            raise InvalidArgumentError("on_full", self.on_full, allowed)
        if self.key is not True:
            check_key(self.key)

    def lane_of(
        self, name: str, payload: Mapping[str, Any] | None, rate_key: object = None
    ) -> str | None:
        """Return the lane of a job: its share of the rate, by its key; None without a key.

        Raises InvalidArgumentError if the key is not a text or a number, or if its function fails.
        """
        if self.key is None:
            return None
        if rate_key is not None:
            key: str | None = key_text("rate_key", rate_key, "rate")
        else:
            key = None if self.key is True else key_of("rate", name, self.key, payload or {})
        return None if key is None else lane_name(self.group or name, key)

    @property
    def seconds(self) -> float:
        """`per` in seconds."""
        assert isinstance(self.per, float)  # noqa: S101  # made one
        return self.per

    @property
    def at_once(self) -> int:
        """How many jobs may start at once: `burst` or its default."""
        assert self.burst is not None  # noqa: S101  # made a number
        return self.burst

    def __str__(self) -> str:
        """Return it as people write it: `100/m`, `10 in 2.5 s`."""
        unit = next((unit for unit, length in _UNITS.items() if length == self.seconds), None)
        return f"{self.amount}/{unit}" if unit else f"{self.amount} in {self.seconds:g} s"


def as_rate(value: object, argument: str = "rate") -> Rate | None:
    """Return what `rate=` means; a text such as `100/m` is so many in a second, minute, hour, day.

    Raises InvalidArgumentError, which says what to write instead.
    """
    if value is None or isinstance(value, Rate):
        return value
    found = _TEXT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise InvalidArgumentError(argument, value, f"{_meant(value)}{_WRITE}")
    return Rate(int(found[1]), per=_UNITS[found[2]])


def _meant(value: object) -> str:
    """Return what is wrong with a rate, where that is easily told."""
    is_number = isinstance(value, int | float | timedelta) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and value.strip().isdigit()):
        return "a rate needs a number of starts and a time; "
    return ""
