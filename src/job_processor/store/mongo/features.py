"""Features that most databases never use, and the indexes that each makes when it is first used.

Each of these indexes is partial, and a plain job is in none of them. A server still looks at every
filter with every write, and holds 64 indexes of a collection at most.

Whoever writes a job that uses a feature has its indexes made first. So where they are not there,
nothing is there that a look along them could find, and none is taken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from pymongo.errors import ExecutionTimeout, OperationFailure

from job_processor.errors import StoreSetupError
from job_processor.store.mongo import indexes as i
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.errors import is_away
from job_processor.store.mongo.handles import Collection
from job_processor.store.mongo.index import Index
from job_processor.store.mongo.making import (
    IndexRefusedError,
    create,
    ensure_indexes,
    existing_indexes,
)

if TYPE_CHECKING:
    from job_processor.store.mongo.desks import MongoDesk

D = TypeVar("D", bound="MongoDesk")
P = ParamSpec("P")
T = TypeVar("T")

_IN_TRANSACTION = 3.0
"""Seconds that a caller's open transaction waits for indexes: where it has written jobs itself, the
server cannot make any before its end."""


_SNAPSHOT_UNAVAILABLE, _TRANSIENT = 246, "TransientTransactionError"
"""What the server says of a transaction that is older than an index it needs."""


@dataclass(frozen=True, eq=False)
class Feature:
    """What a job has that uses it, and the indexes that are made then."""

    title: str
    """What the documentation calls it."""
    fields: frozenset[str]
    """A document that has any of these uses it."""
    indexes: tuple[Index, ...]
    """The first is the sign of the others: where it is there, the feature has been used."""


UNIQUE_KEYS = Feature("unique keys", frozenset({"unique_key"}), (i.UNIQUE_KEY,))
LINES = Feature(
    "limits, and rates with a key",
    frozenset({"lane", "slots", "line", "rate_lane"}),
    (i.LANE, i.SLOTS, i.LINE, i.LINE_BY_TIME, i.RATE_LANE, i.NEWEST_BY_LANE),
)
PARKING = Feature("jobs that are parked", frozenset({"due", "parked"}), (i.PARKED, i.EXPIRING))
AFTER = Feature("jobs after others", frozenset({"after", "waiting_for"}), (i.WAITING_FOR, i.AFTER))
MESSAGES = Feature("messages", frozenset({"topics"}), (i.TOPICS, i.TIMEOUTS))
GROUPS = Feature(
    "groups",
    frozenset({"group", "open_in", "failed_in"}),
    (i.OPEN_MEMBERS, i.FAILED_MEMBERS, i.NEWEST_BY_GROUP),
)
FLOWS = Feature("flows", frozenset({"flow"}), (i.NEWEST_BY_FLOW,))
LABELS = Feature("labels", frozenset({"labels"}), (i.NEWEST_BY_LABEL,))

ALL = (UNIQUE_KEYS, LINES, PARKING, AFTER, MESSAGES, GROUPS, FLOWS, LABELS)
_FIELDS = frozenset[str]().union(*(feature.fields for feature in ALL))


def begun(found: Iterable[Mapping[str, Any]]) -> list[Index]:
    """Return the indexes of the features that have been used, by what is there of them.

    Those whose name or place is taken by another one are among them: whoever verifies says so.
    """
    there = list(found)
    return [
        index
        for feature in ALL
        if any(_is_met(index, each) for index in feature.indexes for each in there)
        for index in feature.indexes
    ]


def _is_met(index: Index, found: Mapping[str, Any]) -> bool:
    return index.is_served_by(found) or index.conflicts_with(found)


class Features:
    """Knows which features are in use on a database, and makes what one needs at its first use."""

    def __init__(
        self, jobs: Collection, logger: logging.Logger, on_made: Callable[[], object]
    ) -> None:
        self._jobs = jobs
        self._logger = logger
        self._on_made = on_made
        self._made: set[Feature] = set()
        """Whose indexes this process has seen finished."""
        self._seen: set[Feature] = set()
        """Whose first index was there when somebody looked, perhaps still being made."""
        self._making = asyncio.Lock()
        self.is_replicated = False
        """True once it is known that the server is a replica set's, or a router."""

    async def use_for(self, documents: Iterable[Mapping[str, Any]], **options: bool) -> None:
        """Have the indexes made of what jobs use that are to be written; see `use`."""
        used = {
            feature
            for document in documents
            if not _FIELDS.isdisjoint(document)
            for feature in ALL
            if not feature.fields.isdisjoint(document)
        }
        if not used <= self._made:
            await self.use(*used, **options)

    async def use(self, *features: Feature, in_transaction: bool = False) -> None:
        """Have their indexes made, once for each process, and wait until they are.

        Also those that are there are asked for once: another process may still be making them, and
        until it has, a unique one refuses nothing.

        in_transaction: for a caller's open transaction, which began before these indexes were made
        and would write past them. It waits for a moment only, and is ended: the error has the label
        by which `with_transaction` begins anew.

        Raises StoreSetupError, which says what to do, when a critical one cannot be had;
        PyMongoError when the server is away.
        """
        async with self._making:
            wanted = [each for each in ALL if each in features and each not in self._made]
            if not wanted:
                return
            indexes = [index for feature in wanted for index in feature.indexes]
            is_late = in_transaction and not all([await self.is_used(each) for each in wanted])
            try:
                await self._make(indexes, in_transaction)
            except IndexRefusedError as error:
                raise StoreSetupError(str(error)) from error.error
            self._made.update(wanted)
            self._on_made()
            if is_late:
                raise _again(self._jobs.name, indexes)

    async def _make(self, indexes: list[Index], in_transaction: bool) -> None:
        options: Document = {"maxTimeMS": int(_IN_TRANSACTION * 1000)} if in_transaction else {}
        if (
            self.is_replicated
        ):  # else each voting member has to be there, and one that is down holds
            options["commitQuorum"] = "majority"
        try:
            await create(self._jobs, indexes, **options)
        except ExecutionTimeout as error:
            if not in_transaction:
                raise
            raise StoreSetupError(_within_transaction(self._jobs.name, indexes)) from error
        except OperationFailure as error:
            if is_away(error):
                raise
            # One is there under another name, or with other options; or this user may make none.
            await ensure_indexes(self._jobs, indexes, self._logger)

    async def is_used(self, feature: Feature) -> bool:
        """Tell whether any job can be there that uses a feature. Raises PyMongoError."""
        if feature in self._made or feature in self._seen:
            return True
        self.see(await existing_indexes(self._jobs))
        return feature in self._seen

    def see(self, found: list[Document]) -> None:
        """Learn which indexes are there."""
        self._seen.update(
            feature
            for feature in ALL
            if any(feature.indexes[0].is_served_by(each) for each in found)
        )


Verb: TypeAlias = Callable[Concatenate[D, P], Coroutine[Any, Any, T]]


def if_used(feature: Feature, nothing: Callable[[], T]) -> Callable[[Verb[D, P, T]], Verb[D, P, T]]:
    """Let a verb of a desk return `nothing()` on a database where nobody has used a feature."""

    def decorate(verb: Verb[D, P, T]) -> Verb[D, P, T]:
        @wraps(verb)
        async def asked(self: D, /, *arguments: P.args, **named: P.kwargs) -> T:
            if not await self.features.is_used(feature):
                return nothing()
            return await verb(self, *arguments, **named)

        return asked

    return decorate


def _again(collection: str, indexes: Iterable[Index]) -> OperationFailure:
    names = ", ".join(index.name for index in indexes)
    told = f"the indexes {names} of {collection} have just been made; repeat the transaction"
    details = {"errmsg": told, "code": _SNAPSHOT_UNAVAILABLE, "errorLabels": [_TRANSIENT]}
    return OperationFailure(told, _SNAPSHOT_UNAVAILABLE, details)


def _within_transaction(collection: str, indexes: Iterable[Index]) -> str:
    names = ", ".join(index.name for index in indexes)
    return (
        f"{collection} lacks the indexes {names}, which are made when they are first needed, and "
        "this transaction is in the way: schedule one such job without a session first, once for "
        "this database"
    )
