"""What is special of a database that the Node package may use: beside it, and on the way from it.

MongoDB alone has such a side: the Node package knows no other database. Nothing here needs
`setup()`, and nothing is changed by a look.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from job_processor.models import Cron, Registrations
from job_processor.store.requests import NameCount

ValidatorOwner: TypeAlias = Literal["none", "node", "ours", "older", "foreign"]
IndexState: TypeAlias = Literal["there", "missing", "differs"]


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """An index that we need, and whether it is there."""

    collection: str
    name: str
    state: IndexState
    critical: bool
    of_node: bool = False
    """True for one that the Node package alone needs."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a database holds, as it was read without changing anything."""

    server: str
    """The version of MongoDB."""
    node_is_here: bool
    """True where the Node package has left its validator, a registration or a cron."""
    validator: ValidatorOwner
    """Whose validator the jobs have."""
    saved_validator: bool
    """True when the Node package's was kept when ours took its place."""
    registrations: Registrations
    jobs: tuple[NameCount, ...]
    crons: tuple[Cron, ...]
    owners: dict[str, str]
    """The service of each cron that one of ours owns."""
    indexes: tuple[FoundIndex, ...]
    """Those that we need; and those of the Node package where it is here or they are there."""
    killed_without_end: int
    own_fields: tuple[str, ...]
    """Fields that the Node package does not know, where any job has them."""


class NodeSide(ABC):
    """Looks, and writes what ours and Node's have to settle; each write may be repeated."""

    refuses_own_fields: bool = False
    """True where the Node package's validator refuses what a plain job does not have: retries and
    the like. As `setup` or `look` saw it last."""

    @abstractmethod
    async def look(self) -> None:
        """Bring `refuses_own_fields` up to date."""

    @abstractmethod
    async def make_indexes(self) -> None:
        """Absent → made, the indexes that the Node package alone needs.

        It makes them itself when it starts, so what refuses one is told and no more.
        """

    # --- crons beside its scheduler -------------------------------------------------------------

    @abstractmethod
    async def planned(self, name: str, moments: Collection[datetime]) -> set[datetime]:
        """Return those of the moments for which the Node package has made an occurrence.

        Whatever became of it since; its id is not derived from name and time, as ours are.
        """

    @abstractmethod
    async def remove_planned(self, name: str, moment: datetime) -> None:
        """Pending occurrences that the Node package has made for this moment → absent."""

    @abstractmethod
    async def give_cron(self, cron: Cron) -> bool:
        """Ours, at this expression and pointer → the Node package's; False when it had changed.

        Its id is then no longer derived from its name; its occurrences stay.
        """

    # --- the move away from it ------------------------------------------------------------------

    @abstractmethod
    async def survey(self) -> Survey:
        """Return what is there; raises StoreUnavailableError."""

    @abstractmethod
    async def end_killed(self) -> None:
        """Killed without an end, as Node's kill of a waiting job leaves it → ended."""

    @abstractmethod
    async def take_crons(self) -> list[str]:
        """Crons that Node made → ours, at the same pointer; return their names.

        Node's pending occurrences of a later time go: a worker of ours that defines the cron puts
        its own in their place. Whoever defines it, a start of Node finds it by its name.
        """

    @abstractmethod
    async def take_validator(self) -> bool:
        """Node's validator → ours, Node's kept for `give_validator_back`; False: it is not there.

        Raises StoreError without the privilege.
        """

    @abstractmethod
    async def give_validator_back(self) -> bool:
        """Ours → Node's, as it was kept; False when none was kept."""
