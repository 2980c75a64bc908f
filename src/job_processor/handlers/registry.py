"""The jobs and crons of one processor, by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from job_processor.errors import DefinitionError, InvalidArgumentError, UnknownJobError, unknown
from job_processor.handlers.defaults import Defaults
from job_processor.handlers.definitions import CronDef, Definition, JobDef, as_definition_error
from job_processor.handlers.limits import Limit
from job_processor.handlers.rates import Rate
from job_processor.settings import check_name

_NO_RATES: Mapping[str, Rate] = {}


class Registry:
    """The jobs and crons of one processor, by name.

    `jobs` holds those that are only scheduled here, too; whatever else asks, asks for those that
    can be run here.
    """

    def __init__(
        self,
        jobs: Mapping[str, JobDef],
        crons: Mapping[str, CronDef],
        defaults: Defaults | None = None,
    ) -> None:
        self.defaults = Defaults() if defaults is None else defaults
        """What holds of a definition that says nothing else."""
        self.jobs: dict[str, JobDef] = {}
        self.crons: dict[str, CronDef] = {}
        self.rates_apply = True
        """False where nothing is to wait for its rate: in tests of handlers."""
        self._rates: Mapping[str, tuple[Rate, tuple[str, ...]]] | None = None
        self._keyed_rates: Mapping[str, Rate] | None = None
        self._served: dict[tuple[str, ...] | None, tuple[str, ...]] = {}
        self._limits: dict[str, int] = {}
        for argument, given in (("jobs", jobs), ("crons", crons)):
            if not isinstance(given, Mapping):
                raise InvalidArgumentError(
                    argument, given, "allowed is a mapping of names to definitions"
                )
        for name, job in jobs.items():
            self.add_job(name, job)
        for name, cron in crons.items():
            self.add_cron(name, cron)

    def add(self, name: str, definition: Definition) -> None:
        """Add a job or a cron; raise DefinitionError when the name is taken."""
        if isinstance(definition, CronDef):
            self.add_cron(name, definition)
        else:
            self.add_job(name, definition)

    def add_job(self, name: str, definition: JobDef) -> None:
        """Add a job; raise DefinitionError when the name is taken or it is no JobDef."""
        if not isinstance(definition, JobDef):
            raise DefinitionError(f"jobs[{name!r}]", definition, "allowed is a JobDef")
        self._check_new(name, definition, self.jobs.get(name))
        whole = self.defaults.applied_to(definition)
        self._check_rate(name, whole)
        self._take_limit(name, whole)
        self.jobs[name] = whole

    def add_cron(self, name: str, definition: CronDef) -> None:
        """Add a cron; raise DefinitionError when the name is taken or it is no CronDef."""
        if not isinstance(definition, CronDef):
            raise DefinitionError(f"crons[{name!r}]", definition, "allowed is a CronDef")
        self._check_new(name, definition, self.crons.get(name))
        whole = self.defaults.applied_to(definition)
        self._check_rate(name, whole)
        self._take_limit(name, whole)
        self.crons[name] = whole

    @property
    def all(self) -> dict[str, Definition]:
        """Every definition by name, those that are only scheduled here, too."""
        return {**self.jobs, **self.crons}

    @property
    def tags(self) -> list[str]:
        """The tags that definitions have, sorted."""
        return sorted({each.tag for each in self.all.values() if each.tag is not None})

    def get(self, name: str) -> Definition | None:
        """Return the definition of a job or cron that can be run here; None: there is none."""
        definition = self.jobs.get(name) or self.crons.get(name)
        return definition if definition is not None and definition.handler is not None else None

    def job(self, name: str) -> JobDef:
        """Return the definition of a job; raise UnknownJobError when there is none."""
        definition = self.jobs.get(name) if isinstance(name, str) else None
        if definition is None:
            raise unknown("name", name, "the jobs defined here", self.jobs)
        return definition

    def runnable(self, name: str) -> JobDef:
        """Return the definition of a job that can be run here; raise UnknownJobError."""
        definition = self.job(name)
        if definition.handler is None:
            raise UnknownJobError("name", name, "it has no handler here, it can only be scheduled")
        return definition

    @property
    def rates(self) -> Mapping[str, tuple[Rate, tuple[str, ...]]]:
        """The rates that are defined here by group, or by name where there is none, and of whom."""
        if not self.rates_apply:
            return {}
        if self._rates is None:
            found: dict[str, tuple[Rate, tuple[str, ...]]] = {}
            for name, each in self.all.items():
                if each.rate_limit is not None:
                    group = each.rate_limit.group or name
                    _, names = found.get(group, (each.rate_limit, ()))
                    found[group] = each.rate_limit, (*names, name)
            self._rates = found
        return self._rates

    def keyed_rate(self, name: str) -> Rate | None:
        """Return the rate of a name that has a key, None when it has none."""
        if not self.rates_apply:
            return None
        definition = self.jobs.get(name)
        rate = None if definition is None else definition.rate_limit
        return None if rate is None or rate.key is None else rate

    @property
    def keyed_rates(self) -> Mapping[str, Rate]:
        """The rates that have a key, by group, or by name where there is none.

        The same mapping until something is defined.
        """
        if not self.rates_apply:
            return _NO_RATES
        if self._keyed_rates is None:
            found = {group: rate for group, (rate, _) in self.rates.items() if rate.key is not None}
            self._keyed_rates = found
        return self._keyed_rates

    def served(self, tags: tuple[str, ...] | None) -> tuple[str, ...]:
        """Return the names that a worker with these tags takes; None stands for all tags."""
        names = self._served.get(tags)
        if names is None:
            names = tuple(
                name for name, each in self if not each.tag or tags is None or each.tag in tags
            )
            self._served[tags] = names
        return names

    @property
    def limits(self) -> Mapping[str, int]:
        """The amount of each group that has a limit wherever it runs, a name being one, too."""
        return self._limits

    @property
    def limit_groups(self) -> dict[str, tuple[Limit, tuple[str, ...]]]:
        """The limits that are defined here by group, or by name where there is none, and of whom.

        Those that each worker keeps by itself, too.
        """
        found: dict[str, tuple[Limit, tuple[str, ...]]] = {}
        for name, each in self.all.items():
            if each.limited is not None:
                group = each.limited.group or name
                limit, names = found.get(group, (each.limited, ()))
                found[group] = limit, (*names, name)
        return found

    def amounts_of(self, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
        """Return the amounts that settings have for the limits here, by group.

        One after the other stays so: of a limit with an order nothing can be set.
        """
        groups = self.limit_groups if settings else {}
        found: dict[str, int] = {}
        for group in groups.keys() & settings.keys():
            amount = settings[group].get("amount")
            if isinstance(amount, int) and amount >= 1 and not groups[group][0].ordered:
                found[group] = amount
        return found

    def limited(self, name: str) -> Limit | None:
        """Return the limit of a name that holds wherever it runs, None when it has none."""
        definition = self.jobs.get(name) or self.crons.get(name)
        limit = None if definition is None else definition.limited
        return None if limit is None or limit.per == "worker" else limit

    def per_worker(self, name: str) -> tuple[str, int] | None:
        """Return the group of a name of which each worker runs so many, and how many."""
        definition = self.jobs.get(name) or self.crons.get(name)
        limit = None if definition is None else definition.limited
        return (limit.group or name, limit.amount) if limit and limit.per == "worker" else None

    def unknown_tags(self, tags: tuple[str, ...]) -> list[str]:
        """Return those of `tags` that no definition has."""
        known = self.tags
        return [tag for tag in tags if tag not in known]

    def __iter__(self) -> Iterator[tuple[str, Definition]]:
        yield from ((name, job) for name, job in self.jobs.items() if job.handler is not None)
        yield from self.crons.items()

    def _check_rate(self, name: str, new: Definition) -> None:
        """Raise DefinitionError where others of the group have another rate."""
        self._rates = self._keyed_rates = None
        if new.rate_limit is None:
            return
        group = new.rate_limit.group or name
        for other, each in self.all.items():
            theirs = each.rate_limit
            if other == name or theirs is None or (theirs.group or other) != group:
                continue
            if _of_all(theirs, group) != _of_all(new.rate_limit, group):
                raise DefinitionError(
                    f"rate of {name!r}",
                    new.rate,
                    f"{other!r}, which shares the rate of {group!r}, has {theirs!r}; write one "
                    "rate = Rate(…), and rate=rate for both",
                )

    def _take_limit(self, name: str, definition: Definition) -> None:
        """Note the limit of a definition; raises DefinitionError where its group has another."""
        limit = definition.limited
        if limit is None or limit.per == "worker":
            return
        group = limit.group or name
        others = [each for each in (*self.jobs, *self.crons) if each != name]
        for other in others:
            of_other = self.limited(other)
            if of_other is None or (of_other.group or other) != group:
                continue
            if (of_other.amount, of_other.order) != (limit.amount, limit.order):
                allowed = (
                    f"{other!r} has {of_other} of the same group; allowed is the same for both"
                )
                raise DefinitionError("limit", definition.limit, allowed)
        self._limits[group] = limit.amount

    def _check_new(self, name: str, new: Definition, old: Definition | None) -> None:
        with as_definition_error():
            check_name("name", name)
        again = old is not None and _is_defined_again(old, new)
        if not again and (name in self.jobs or name in self.crons):
            raise DefinitionError("name", name, "allowed is a name that no job or cron has yet")
        self._served.clear()


def _of_all(rate: Rate, group: str) -> Rate:
    """Return a rate as all of its group have it; the key, each finds in its own payload."""
    return replace(rate, group=group, key=None if rate.key is None else True)


def _is_defined_again(old: Definition, new: Definition) -> bool:
    """Tell whether the same function is defined once more by hand, as in a cell that runs again."""
    if not hasattr(sys, "ps1"):  # which an interactive session has
        return False
    places = {
        (getattr(each.handler, "__module__", None), getattr(each.handler, "__qualname__", each))
        for each in (old, new)
    }
    return len(places) == 1 and places.pop()[0] == "__main__"
