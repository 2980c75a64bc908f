"""Which index a statement is to walk, named to the server as long as the index is there.

The server chooses a plan by trying several for a moment, and keeps it: what it chose on a small
collection may be wrong on a large one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from pymongo.errors import OperationFailure

from job_processor.store.mongo.errors import BAD_VALUE
from job_processor.store.mongo.index import Index

T = TypeVar("T")
IndexHint: TypeAlias = list[tuple[str, int]] | None
"""The keys of an index; None: the server chooses."""

BY_ID: IndexHint = [("_id", 1)]

_GONE_FOR = 60.0
"""Seconds for which an index that was not there is not named: somebody may be making it."""


class Hinting:
    """Names indexes of one collection."""

    def __init__(self, collection: str, logger: logging.Logger) -> None:
        self._collection = collection
        self._logger = logger
        self._gone: dict[str, float] = {}
        """Until when, by the monotonic clock."""
        self._told: set[str] = set()

    async def walk(self, index: Index, statement: Callable[[IndexHint], Awaitable[T]]) -> T:
        """Run a statement by an index; by the server's own choice where somebody has dropped it."""
        if self._gone.get(index.name, 0.0) > time.monotonic():
            return await statement(None)
        try:
            return await statement(list(index.keys))
        except OperationFailure as error:
            if error.code != BAD_VALUE:
                raise
        self._gone[index.name] = time.monotonic() + _GONE_FOR
        if index.name not in self._told:
            self._told.add(index.name)
            self._logger.warning(
                "the index %r of %s is gone: what it is for costs more with each job, until the "
                "next setup() makes it again",
                index.name,
                self._collection,
            )
        return await statement(None)

    def trust_again(self) -> None:
        """Every index is there again: what was missing has been made."""
        self._gone.clear()
        self._told.clear()
