"""A database that keeps jobs: its desks, its life, and what it says of itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from bson import ObjectId

from job_processor.store.desks.desk import Desk
from job_processor.store.desks.lazily import Lazily
from job_processor.store.hints import EndListener, HintListener

if TYPE_CHECKING:
    from job_processor.store.desks.crons import Crons
    from job_processor.store.desks.groups import Groups
    from job_processor.store.desks.history import History
    from job_processor.store.desks.intake import Intake
    from job_processor.store.desks.kills import Kills
    from job_processor.store.desks.lanes import Lanes
    from job_processor.store.desks.messages import Messages
    from job_processor.store.desks.queue import Queue
    from job_processor.store.desks.rates import Rates
    from job_processor.store.desks.rollups import Rollups
    from job_processor.store.desks.runs import Runs
    from job_processor.store.desks.schedules import Schedules
    from job_processor.store.desks.settings import Settings
    from job_processor.store.desks.tokens import Tokens
    from job_processor.store.desks.waits import Waits
    from job_processor.store.desks.workers import Workers
    from job_processor.store.node import NodeSide

Level: TypeAlias = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Abilities:
    """What differs between databases, for those who have to act by it."""

    needs_heartbeat: bool = True
    """False where every worker lives in this process."""
    hints_of_others: bool = True
    """False where changes of other processes are found by polling only."""
    hints_are_prompt: bool = True
    """False where they come late or not at all: whoever had work a moment ago asks for more."""
    history_days: float = inf
    """After how many days the database itself removes settled jobs."""
    claims_one_sooner: bool = False
    """True where a claim of one job takes fewer round trips than a claim of several."""
    lanes_bring_all: bool = False
    """True where a claim of lanes brings what of its names stands in no lane as well."""


class Remark(NamedTuple):
    """One thing that a database says of itself."""

    subject: str
    """What it is: `connection`, `indexes`."""
    level: Level
    text: str
    """What is there."""
    advice: str = ""
    """What to do, in one line; empty where it is well."""


@dataclass(frozen=True, slots=True)
class Description:
    """How a database stands."""

    remarks: tuple[Remark, ...]
    is_there: bool = True
    """False where there is nothing to be asked of it: it was not made yet, or nobody shares it."""
    has_own_clock: bool = True
    """False where its clock is that of this machine."""


class Pulse(ABC):
    """The heartbeat's own connection, used from the heartbeat's own thread."""

    @abstractmethod
    def beat(
        self, worker_id: ObjectId, memory: int | None = None, clock_ahead: float | None = None
    ) -> bool:
        """Do what `Workers.beat` does, through this connection."""

    @abstractmethod
    def close(self) -> None:
        """Give the connection back."""


class Store(ABC):
    """A database that keeps jobs, crons, workers, kill requests and settings."""

    address: str
    """Where it is, for messages; without credentials."""

    _gifts: Mapping[str, Callable[[Any], object]] = {}
    """What the desks are given once they are made, by their names."""

    intake: Lazily[Intake] = Lazily()
    queue: Lazily[Queue] = Lazily()
    runs: Lazily[Runs] = Lazily()
    kills: Lazily[Kills] = Lazily()
    history: Lazily[History] = Lazily()
    workers: Lazily[Workers] = Lazily()
    crons: Lazily[Crons] = Lazily()
    settings: Lazily[Settings] = Lazily()
    rollups: Lazily[Rollups] = Lazily()
    rates: Lazily[Rates] = Lazily()
    lanes: Lazily[Lanes] = Lazily()
    waits: Lazily[Waits] = Lazily()
    schedules: Lazily[Schedules] = Lazily()
    messages: Lazily[Messages] = Lazily()
    tokens: Lazily[Tokens] = Lazily()
    groups: Lazily[Groups] = Lazily()

    def desk(self, name: str) -> Any:
        """Return the desk of a name, made by now."""
        desk = self.__dict__.get(name)
        if desk is None:
            desk = self.__dict__[name] = self._make(name)
            if name in self._gifts:
                self._gifts[name](desk)
        return desk

    def equip(self, gifts: Mapping[str, Callable[[Any], object]]) -> None:
        """Call each of these with the desk of its name: now if that is made, else once it is."""
        self._gifts = gifts
        for name in gifts.keys() & self.__dict__.keys():
            gifts[name](self.__dict__[name])

    @abstractmethod
    def _make(self, name: str) -> Desk:
        """Make a desk, to which the store is given weakly: see `Desk`."""

    @property
    @abstractmethod
    def abilities(self) -> Abilities:
        """What this database can do, as far as it is known by now: `setup()` may find out more."""

    @abstractmethod
    async def setup(self) -> None:
        """Connect, create and verify what the store needs; safe from many processes at once.

        Raises StoreSetupError when the database cannot serve as it is.
        """

    async def exists(self) -> bool:
        """Return whether it is there already, so that `setup` makes none; makes nothing itself."""
        return True

    @abstractmethod
    async def describe(self) -> Description:
        """Return how the database stands; raises StoreError.

        Needs no `setup`, and changes nothing but what a database does by being opened.
        """

    @abstractmethod
    async def close(self) -> None:
        """Close what this store opened; a client that was passed in stays open."""

    @abstractmethod
    async def ping(self) -> datetime:
        """Return the database's present time."""

    @abstractmethod
    def subscribe(self, listener: HintListener, *, ends: bool = True) -> Callable[[], None]:
        """Call `listener` in the event loop whenever something may have changed.

        Writes of this process and, as far as the database tells, those of others. Returns a
        function that ends it. Hints may be missing or spurious.

        ends: False for one that asks nothing about jobs that other processes settle. Where nobody
            does, a store may leave those out, which are most of what changes.
        """

    @abstractmethod
    def on_ended(self, listener: EndListener) -> Callable[[], None]:
        """Call `listener` in the event loop whenever jobs may have been settled, with their ids.

        As `subscribe` does. None stands for any: what others do is not always told job by job.
        """

    def node_side(self) -> NodeSide | None:
        """Return what is special beside the Node package; None where it knows no such database."""
        return None

    @abstractmethod
    def open_pulse(self, patience: float | None = None) -> Pulse:
        """Open a connection of its own for the heartbeat, from the thread that will use it.

        patience: seconds after which a beat that got no answer is to fail, where the store may
            choose. Raises StoreError where there can be no such connection.
        """
