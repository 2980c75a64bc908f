"""What every desk of the MongoDB store works with, and how the driver's errors become ours."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar

from job_processor.settings import MONGO_MAX_HISTORY_DAYS
from job_processor.store.base import Store
from job_processor.store.contention import Turns
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Tell
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.errors import DRIVER_ERRORS, translate
from job_processor.store.mongo.features import Features
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.hinting import Hinting

C = TypeVar("C", bound=type)
T = TypeVar("T")


@dataclass(slots=True)
class Days:
    """After how many days jobs go that have ended."""

    ours: float
    """As we are told."""
    of_database: float = MONGO_MAX_HISTORY_DAYS
    """After which the database removes them, once its index has been read."""


@dataclass(frozen=True, slots=True)
class Plumbing:
    """What the desks of a store share."""

    tell: Tell
    store: Store
    """A weak reference to it."""
    address: str
    """Where the database is, for messages."""
    handles: Handles
    hinting: Hinting
    features: Features
    turns: Turns
    days: Days
    shares_with_node: Callable[[], bool]
    """Tells whether the Node package works on the database, as far as it is known by now."""
    logger: logging.Logger


class MongoDesk(Desk):
    """A desk that works on the collections of one prefix."""

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing.tell, plumbing.store)
        self.address = plumbing.address
        self._handles = plumbing.handles
        self._jobs = plumbing.handles.jobs
        self._last = plumbing.handles.latest_jobs
        self._hinting = plumbing.hinting
        self.features = plumbing.features
        self._logger = plumbing.logger

    def _united(self, parts: Sequence[list[Document]]) -> list[Document]:
        """Return a pipeline over jobs that gives what all of these give, one after the other."""
        others = [{"$unionWith": {"coll": self._jobs.name, "pipeline": part}} for part in parts[1:]]
        return [*parts[0], *others]


def translated(*, but: str | None = None) -> Callable[[C], C]:
    """Let what a desk of this class raises of the driver's come out as errors of ours.

    That is done for whatever the interface leaves to the store, and for all else that others call.
    but: a verb whose errors pass, since the caller's driver has to see them.
    """

    def decorate(desk: C) -> C:
        left_to_us = {name for base in desk.__mro__ for name in _abstract(base)}
        for name, function in list(vars(desk).items()):
            of_others = not name.startswith("_") and iscoroutinefunction(function)
            if (name in left_to_us or of_others) and name != but and callable(function):
                setattr(desk, name, _translating(function))
        return desk

    return decorate


def _abstract(base: type) -> frozenset[str]:
    names: frozenset[str] = getattr(base, "__abstractmethods__", frozenset())
    return names


def _translating(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    async def verb(self: Any, *arguments: Any, **named: Any) -> Any:
        try:
            return await function(self, *arguments, **named)
        except DRIVER_ERRORS as error:
            raise translate(error, self.address) from error

    return verb


async def answered(call: Awaitable[T], address: str) -> T:
    """Await what the driver answers; its errors become ours."""
    try:
        return await call
    except DRIVER_ERRORS as error:
        raise translate(error, address) from error
