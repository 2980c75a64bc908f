"""What every scenario has: a question, its figures, and how one run measures them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from benchmarks.results import Column
from benchmarks.servers import Servers
from benchmarks.sessions import Session
from benchmarks.systems.base import REAL_MONGODB, System, Variant

Measured = Mapping[str, float | None]


@dataclass(slots=True)
class Bench:
    """What all scenarios of one call share."""

    servers: Servers
    jobs: int
    """In a drain."""
    backlog: int
    """Jobs that make the queue long."""
    quick: bool
    """Tiny numbers, to see whether it works: the figures mean nothing."""
    chosen: dict[str, str] = field(default_factory=dict)
    """The fastest variant of each system, by its name, as `drain` found it."""

    def fastest(self, system: System) -> Variant:
        """Return the variant that drained fastest; the plain one before that is known."""
        name = self.chosen.get(system.key)
        return next((each for each in system.variants if each.name == name), system.variants[0])

    def session(self, system: System, variant: Variant, **extra: str) -> Session:
        """Return a fresh start of a system."""
        return Session(self.servers, system, variant, **extra)

    def jobs_for(self, system: System, part: float = 1.0) -> int:
        """Return how many jobs a system gets, so that a slow one ends, too."""
        return max(20, int(self.jobs * system.share * part))


class Scenario(ABC):
    """A question, and how it is answered."""

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    """What is measured, in a sentence or two, for the page."""
    columns: ClassVar[Sequence[Column]]
    kinds: ClassVar[frozenset[str]] = frozenset({"ours", "peer"})
    """Kinds of systems that it makes sense for."""
    plain: ClassVar[bool] = False
    """Whether it takes each system's plain variant, its first, instead of the fastest."""
    peers: ClassVar[frozenset[str] | None] = None
    """Peers that take part unless `--systems` names others; None: all."""
    with_stand_in: ClassVar[bool] = False
    """Whether systems on MongoDB take part although another server stands in for it: their table
    has a column of this scenario."""
    without: ClassVar[frozenset[str]] = frozenset()
    """Systems that never take part, whatever their kind."""
    most_runs: ClassVar[int] = 100
    """More runs than these would only cost time."""

    def prepare(self, bench: Bench, system: System) -> None:
        """Do once what comes before the runs of a system."""

    def includes(self, system: System, named: bool) -> bool:
        """Tell whether a system takes part; `named`: the command line asked for it."""
        if system.kind not in self.kinds or system.key in self.without:
            return False
        if system.rival == "mongodb" and not (named or REAL_MONGODB or self.with_stand_in):
            return False
        return named or self.peers is None or system.kind != "peer" or system.key in self.peers

    @abstractmethod
    def measure(self, bench: Bench, system: System) -> Measured:
        """Measure one run of one system."""

    def variant(self, bench: Bench, system: System) -> Variant:
        """Return the configuration in which a system is measured."""
        return system.variants[0] if self.plain else bench.fastest(system)

    def remark(self, bench: Bench, system: System) -> str:
        """Return what the table says about the configuration."""
        return self.variant(bench, system).name if len(system.variants) > 1 else ""
