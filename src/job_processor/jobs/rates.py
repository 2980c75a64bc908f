"""Rates while they are in use: changed for all workers, held, and how they stand.

What was changed is kept in the settings, one document for each group (a name without a group is one
of its own). Its `held_at` changes with each hold by hand, so that whoever waits looks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from job_processor.errors import InvalidArgumentError
from job_processor.handlers.keys import key_text
from job_processor.handlers.lanes import group_of, lane_name
from job_processor.handlers.rates import Rate, as_rate
from job_processor.jobs import overrides
from job_processor.models import WAITING, JobType
from job_processor.parts import Parts
from job_processor.settings import (
    COUNT_CAP,
    RATE_PER_MAX,
    RATES_SHOWN,
    Duration,
    check_name,
    duration,
)
from job_processor.store.desks.settings import Setting
from job_processor.store.lenient import number, whole
from job_processor.store.rates import KEYED_RATE, KEYLESS_RATE, LaneState, Pace
from job_processor.store.tokens import lane_id

KIND = "rate"
"""Kind of the settings; the name of each is its group's."""


@dataclass(frozen=True, slots=True)
class RateInfo:
    """A rate limit with its state."""

    name: str
    """The name of its group or, without a group, of its job or cron."""
    names: tuple[str, ...]
    """The jobs and crons of this process that share it."""
    rate: Rate
    """The rate that applies now."""
    defined: Rate | None
    """The rate in the code of this process; None if it is not defined here."""
    next_start: float
    """Seconds until a job may start; 0: now."""
    held_for: float
    """Seconds until the hold ends; 0: no hold."""
    waiting: int = 0
    """Jobs with these names that wait, for their time or for the rate; exact up to 10,000 per name.
    """
    key: str | None = None
    """The key, for an entry about one key of the rate, whose jobs are not counted. None for the
    rate itself: if it has keys, each key has this rate of its own.
    """

    @property
    def is_changed(self) -> bool:
        """True if `set_rate` has changed it."""
        return self.rate != self.defined

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values; times in seconds."""
        return {
            "name": self.name,
            "names": list(self.names),
            "amount": self.rate.amount,
            "per": self.rate.seconds,
            "burst": self.rate.burst,
            "defined": None if self.defined is None else str(self.defined),
            "next_start": round(self.next_start, 3),
            "held_for": round(self.held_for, 3),
            "waiting": self.waiting,
        }


def lane_of(group: str) -> str:
    """Return the lane of a group in the database."""
    return KEYLESS_RATE + group


def pace_of(rate: Rate) -> Pace:
    """Return how fast the starts of a rate follow each other."""
    return Pace.of(rate.amount, rate.seconds, rate.at_once)


def present_rate(defined: Rate, setting: Setting | None) -> Rate:
    """Return the rate that holds: the one that was set, else the one of the code."""
    changed = _rate_of(setting or {})
    if changed is None:
        return defined
    return replace(defined, amount=changed.amount, per=changed.per, burst=changed.burst)


async def set_rate(parts: Parts, name: str, rate: Rate | str | None) -> None:
    """Change a rate for all workers; raises InvalidArgumentError."""
    wanted = as_rate(rate)
    others = wanted is not None and (wanted.on_full != "wait" or wanted.key is not None)
    if wanted is not None and (wanted.group not in (None, name) or others):
        allowed = (
            "allowed are amount, per and burst; the group, the key, and on_full, are those of the "
            "code"
        )
        raise InvalidArgumentError("rate", rate, allowed)
    await _check_known(parts, name)

    def changed(present: Setting) -> dict[str, Any]:
        held = {key: value for key, value in present.items() if key == "held_at"}
        if wanted is None:
            return held
        return {
            **held,
            "amount": wanted.amount,
            "per": wanted.seconds,
            "burst": wanted.at_once,
        }

    await overrides.change(parts.store, KIND, name, changed)


async def hold(parts: Parts, name: str, seconds: Duration, key: str | float | None = None) -> None:
    """Let nothing of a group start for so many seconds from now; 0 ends that. See `set_rate`.

    key: of this key only; needed where the rate has one.
    """
    length = float(duration("seconds", seconds, zero=True))
    if length > RATE_PER_MAX:
        days = f"{RATE_PER_MAX / 86_400:g} days"
        raise InvalidArgumentError("seconds", seconds, f"allowed are at most {days}")
    await _check_known(parts, name)
    moment, defined = parts.clock.now(), parts.registry.rates.get(name)
    lane = None if key is None else lane_name(name, key_text("key", key, "rate"))
    if lane is None and defined is not None and defined[0].key is not None:
        allowed = f"this rate has a key; write hold({name!r}, {length:g}, key=…)"
        raise InvalidArgumentError("key", key, allowed)
    if lane is not None and defined is not None and defined[0].key is None:
        allowed = f"the rate of {name!r} has no key; leave it out"
        raise InvalidArgumentError("key", key, allowed)
    await parts.store.rates.hold(lane_of(name) if lane is None else lane_id(lane), length)
    if lane is not None:
        await parts.store.tokens.hasten(lane, moment + timedelta(seconds=length))
    await overrides.change(parts.store, KIND, name, lambda present: {**present, "held_at": moment})


async def rates(parts: Parts) -> list[RateInfo]:
    """Return the rates that are defined here, were changed or are in use, by name."""
    settings = await parts.store.settings.all(KIND)
    states = await parts.store.rates.states(RATES_SHOWN)
    in_use = {lane.removeprefix(KEYLESS_RATE) for lane in states}
    keyed = await _keyed(parts, settings)
    waiting = await _waiting(parts)
    found = []
    for name in sorted({*parts.registry.rates, *settings, *in_use}):
        defined, names = parts.registry.rates.get(name, (None, ()))
        state = states.get(lane_of(name))
        rate = _present(defined, settings.get(name), state)
        if rate is not None:
            next_start = 0.0 if state is None else max(state.next_start, 0.0)
            held_for = 0.0 if state is None else state.held_for
            count = sum(waiting.get(each, 0) for each in names)
            found.append(RateInfo(name, names, rate, defined, next_start, held_for, count))
            found += keyed.pop(name, [])
    return [*found, *(each for of_name in keyed.values() for each in of_name)]


async def get_rate(parts: Parts, group: str) -> RateInfo | None:
    """Return a rate that is defined here or was changed, and how it stands; of a key nothing.

    Its waiting jobs are not counted.
    """
    settings = await parts.store.settings.all(KIND)
    state = (await parts.store.rates.states(1, lane_of(group))).get(lane_of(group))
    defined, names = parts.registry.rates.get(group, (None, ()))
    rate = _present(defined, settings.get(group), state)
    if rate is None:
        return None
    next_start = 0.0 if state is None else max(state.next_start, 0.0)
    held_for = 0.0 if state is None else state.held_for
    return RateInfo(group, names, rate, defined, next_start, held_for)


async def _keyed(parts: Parts, settings: Mapping[str, Setting]) -> dict[str, list[RateInfo]]:
    """Return how the lanes of keys stand that are in use, by group, `RATES_SHOWN` at most."""
    found: dict[str, list[RateInfo]] = {}
    for lane, state in (await parts.store.rates.states(RATES_SHOWN, KEYED_RATE)).items():
        group, _, key = lane.removeprefix(KEYED_RATE).partition(":")
        name = group_of(group)
        defined, names = parts.registry.rates.get(name, (None, ()))
        rate = _present(defined, settings.get(name), state)
        if rate is not None:
            next_start = max(state.next_start, 0.0)
            info = RateInfo(name, names, rate, defined, next_start, state.held_for, 0, key)
            found.setdefault(name, []).append(info)
    return found


async def _waiting(parts: Parts) -> dict[str, int]:
    """Return how many jobs wait of the names that have a rate here."""
    jobs = parts.registry.jobs
    typed: list[tuple[JobType, str]] = [
        ("simple" if name in jobs else "cron_task", name)
        for _, names in parts.registry.rates.values()
        for name in names
    ]
    counts: dict[str, int] = {}
    for each in await parts.store.history.count(typed, COUNT_CAP, WAITING):
        counts[each.name] = counts.get(each.name, 0) + each.count
    return counts


def _present(defined: Rate | None, setting: Setting | None, state: LaneState | None) -> Rate | None:
    """Return the rate that holds; None where nobody has said any."""
    if defined is not None:
        return present_rate(defined, setting)
    changed = _rate_of(setting or {})
    if changed is not None or state is None or state.pace is None:
        return changed
    return _rate_at(state.pace)


def _rate_at(pace: Pace) -> Rate:
    """Return the rate of a pace: so many a second, or in the first unit in which they are whole."""
    for seconds in (1.0, 60.0, 3600.0, 86_400.0):
        amount = seconds * 1000.0 / pace.interval
        if abs(amount - round(amount)) < 1e-6 * amount and amount >= 1:
            return Rate(round(amount), seconds, pace.burst)
    return Rate(1, pace.interval / 1000.0, pace.burst)


async def _check_known(parts: Parts, name: Any) -> None:
    """Raise InvalidArgumentError unless something has a rate of this name, as far as can be told.

    What other services define, only their lanes tell.
    """
    check_name("name", name)
    registry = parts.registry
    if name in registry.rates or not (registry.jobs or registry.crons):
        return
    known = {each.name for each in await rates(parts)}
    if name in known:
        return
    here = ", ".join(map(repr, sorted(known))) or "none; write rate=… where it is defined"
    allowed = f"allowed is the group of a rate, or a name that has one: {here}"
    raise InvalidArgumentError("name", name, allowed)


def _rate_of(setting: Mapping[str, Any]) -> Rate | None:
    """Return the rate that a setting has; None where it has none that can be one."""
    amount, per, burst = setting.get("amount"), setting.get("per"), setting.get("burst")
    try:
        return Rate(whole(amount, 0), number(per) or 0.0, whole(burst, 0))
    except InvalidArgumentError:
        return None
