"""Which index a statement is to walk, named to the server as long as the index is there.

The server chooses a plan by trying several for a moment, and keeps it: what it chose on a small
collection may be wrong on a large one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from pymongo.errors import OperationFailure

from job_processor.store.mongo.errors import BAD_VALUE
from job_processor.store.mongo.index import Index

T = TypeVar("T")
IndexHint: TypeAlias = list[tuple[str, int]] | None
"""The keys of an index; None: the server chooses."""

BY_ID: IndexHint = [("_id", 1)]


class Hinting:
    """Names indexes of one collection."""

    def __init__(self, collection: str, logger: logging.Logger) -> None:
        self._collection = collection
        self._logger = logger
        self._gone: set[str] = set()

    async def walk(self, index: Index, statement: Callable[[IndexHint], Awaitable[T]]) -> T:
        """Run a statement by an index; by the server's own choice where somebody has dropped it."""
        if index.name in self._gone:
            return await statement(None)
        try:
            return await statement(list(index.keys))
        except OperationFailure as error:
            if error.code != BAD_VALUE:
                raise
        self._gone.add(index.name)
        self._logger.warning(
            "the index %r of %s is gone: what it is for costs more with each job, until the next "
            "setup() makes it again",
            index.name,
            self._collection,
        )
        return await statement(None)

    def trust_again(self) -> None:
        """Every index is there again: `setup()` has made what was missing."""
        self._gone.clear()
