"""What a process has counted, as the rollups and error groups that the database is to add."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from job_processor.handlers.registry import Registry
from job_processor.store.error_groups import ErrorGroup, fold
from job_processor.store.name_rollups import NAME_SPANS, Kind, NameRollup, delay_index
from job_processor.store.rollups import HOUR, NAMES_KEPT, OTHERS, SPANS, Rollup, start_of
from job_processor.worker.figures import Figures, Minute


class Counted(NamedTuple):
    """What is to be added, in one write."""

    rollups: list[Rollup]
    named: list[NameRollup]
    errors: list[ErrorGroup]


def counted(minutes: Mapping[int, Minute], registry: Registry) -> Counted:
    """Return what was counted in these minutes (since 1970) for each span that they are in."""
    apart = _Apart(registry, {name for minute in minutes.values() for name in minute})
    totals: dict[object, Rollup] = {}
    named: dict[object, NameRollup] = {}
    errors: dict[object, list[ErrorGroup]] = defaultdict(list)
    for number, minute in minutes.items():
        moment = datetime.fromtimestamp(number * 60, UTC)
        names = apart.names(minute)
        for seconds in SPANS:
            total = _total(names, seconds, moment)
            key: tuple[object, ...] = (seconds, total.start)
            totals[key] = totals[key].plus(total) if key in totals else total
        for (kind, name), figures in apart.groups(minute).items():
            for seconds in NAME_SPANS:
                each = _named(figures, kind, name, seconds, moment)
                key = (kind, name, seconds, each.start)
                named[key] = named[key].plus(each) if key in named else each
        for name, figures in names.items():
            hour = start_of(moment, HOUR)
            groups = figures.errors.values()
            errors[name, hour] += [replace(each, name=name, start=hour) for each in groups]
    return Counted(
        [*totals.values()],
        [*named.values()],
        [group for groups in errors.values() for group in fold(groups)],
    )


class _Apart:
    """Which names and tags are counted apart: the first that are defined, in whatever process.

    So all is counted of those that are, and what runs first makes no difference.
    """

    def __init__(self, registry: Registry, seen: Iterable[str]) -> None:
        definitions = registry.all
        self._names = frozenset([*dict.fromkeys([*definitions, *sorted(seen)])][:NAMES_KEPT])
        tags = {name: each.tag for name, each in definitions.items() if each.tag is not None}
        kept = frozenset([*dict.fromkeys(tags.values())][:NAMES_KEPT])
        self._tags = {name: tag if tag in kept else OTHERS for name, tag in tags.items()}

    def names(self, minute: Minute) -> Mapping[str, Figures]:
        """Return what was counted of each name, those not counted apart as one."""
        if minute.keys() <= self._names:
            return minute
        others = Figures()
        for name in minute.keys() - self._names:
            others.merge(minute[name])
        return {name: minute[name] for name in minute.keys() & self._names} | {OTHERS: others}

    def groups(self, minute: Minute) -> dict[tuple[Kind, str], Figures]:
        """Return what was counted of all, of each name, and of each tag."""
        found: dict[tuple[Kind, str], Figures] = {("all", ""): Figures()}
        for name, figures in self.names(minute).items():
            found["name", name] = figures
        for name, figures in minute.items():
            found["all", ""].merge(figures)
            tag = self._tags.get(name)
            if tag is not None:
                found.setdefault(("tag", tag), Figures()).merge(figures)
        return found


def _total(names: Mapping[str, Figures], seconds: int, moment: datetime) -> Rollup:
    counts: dict[str, int] = defaultdict(int)
    delays: dict[int, int] = defaultdict(int)
    for figures in names.values():
        for end, count in figures.all_counts.items():
            if end != "missed":
                counts["retried" if end == "postponed" else end] += count
        for index, count in figures.delays.items():
            delays[delay_index(index)] += count
    failures = {name: figures.failures for name, figures in names.items() if figures.failures}
    return Rollup(seconds, start_of(moment, seconds), dict(counts), failures, dict(delays))


def _named(figures: Figures, kind: Kind, name: str, seconds: int, moment: datetime) -> NameRollup:
    return NameRollup(
        kind,
        name,
        seconds,
        start_of(moment, seconds),
        figures.all_counts,
        dict(figures.delays),
        dict(figures.durations),
    )
