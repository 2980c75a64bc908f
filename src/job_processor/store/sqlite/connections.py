"""The connections of a store, and on which of them a verb runs.

A desk's functions take a connection and run in its thread, so they are marked with which one that
is. A marked function is called without the connection and returns a future, which stands in the
thread's queue already.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial, wraps
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from job_processor.settings import LOOKS_AT_A_TIME
from job_processor.store.base import Store
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Tell
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite.database import Database
from job_processor.store.sqlite.link import Link
from job_processor.store.sqlite.location import Location
from job_processor.store.sqlite.revision import Revision
from job_processor.store.sqlite.tables import Tables


class Connections:
    """What writes, what reads single jobs, what reads lists, and what looks through jobs.

    No page keeps a claim waiting, or who waits for a job. A database in memory has only one.
    """

    def __init__(self, location: Location) -> None:
        self.location = location
        self._link = Link(location, create=True)
        self.writer = Database("job-processor-sqlite-writer", location.address, self._link)
        self.reader = self._reading("reader")
        self.pages = self._reading("pages")
        self.searchers = [self._reading(f"search-{n}") for n in range(LOOKS_AT_A_TIME)]

    def _reading(self, name: str) -> Database:
        if self.location.path is None:
            return self.writer
        link = Link(self.location, read_only=True)
        return Database(f"job-processor-sqlite-{name}", self.location.address, link)

    @property
    def every(self) -> set[Database]:
        """All of them."""
        return {self.writer, self.reader, self.pages, *self.searchers}

    def of(self, query: JobQuery) -> Database:
        """Return the connection for a selection."""
        if not query.looks_through:
            return self.pages
        self.searchers.append(self.searchers.pop(0))  # in turn
        return self.searchers[0]

    def keep_the_file(self) -> None:
        """From now on a file that vanished is not made anew, empty."""
        self._link.create = False

    async def close(self) -> None:
        """Finish what was asked for, then close them."""
        await asyncio.gather(*(database.close() for database in self.every))


@dataclass(frozen=True, slots=True)
class Plumbing:
    """What every desk of a store works with."""

    tell: Tell
    store: Store
    """A weak reference to it."""
    connections: Connections
    tables: Tables
    revision: Revision


class SqliteDesk(Desk):
    """A desk whose functions run in the threads of connections.

    Nothing of it may refer to the desk itself: where a store is forgotten unclosed, its threads end
    as soon as no function is left in them.
    """

    def __init__(self, plumbing: Plumbing) -> None:
        super().__init__(plumbing.tell, plumbing.store)
        self._connections = plumbing.connections
        self._tables = plumbing.tables
        self._revision = plumbing.revision


D = TypeVar("D", bound=SqliteDesk)
P = ParamSpec("P")
T = TypeVar("T")
Statements: TypeAlias = Callable[Concatenate[D, sqlite3.Connection, P], T]
Begun: TypeAlias = Callable[Concatenate[D, P], asyncio.Future[T]]


def call(statements: Statements[D, P, T]) -> Begun[D, P, T]:
    """By what writes: a single statement is a transaction of its own."""

    @wraps(statements)
    def begin(self: D, /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return self._connections.writer.call(partial(statements, self, **kwargs), *args)

    return begin


def following(statements: Statements[D, P, T]) -> Begun[D, P, T]:
    """Do as `call`; at once where what ran last did not wait for anything either."""

    @wraps(statements)
    def begin(self: D, /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return self._connections.writer.follow(partial(statements, self, **kwargs), *args)

    return begin


def transaction(statements: Statements[D, P, T]) -> Begun[D, P, T]:
    """By what writes, as one immediate transaction: nobody writes in between."""

    @wraps(statements)
    def begin(self: D, /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return self._connections.writer.transaction(partial(statements, self, **kwargs), *args)

    return begin


def read(statements: Statements[D, P, T]) -> Begun[D, P, T]:
    """By what reads single jobs, all of the same moment."""

    @wraps(statements)
    def begin(self: D, /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return self._connections.reader.read(partial(statements, self, **kwargs), *args)

    return begin


def page(statements: Statements[D, P, T]) -> Begun[D, P, T]:
    """By what reads lists, all of the same moment."""

    @wraps(statements)
    def begin(self: D, /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        return self._connections.pages.read(partial(statements, self, **kwargs), *args)

    return begin


def selection(
    statements: Callable[Concatenate[D, sqlite3.Connection, JobQuery, P], T],
) -> Callable[Concatenate[D, JobQuery, P], asyncio.Future[T]]:
    """By what reads lists or, where no index tells what is selected, by what looks through jobs."""

    @wraps(statements)
    def begin(self: D, query: JobQuery, /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        run = partial(statements, self, **kwargs)
        return self._connections.of(query).read(run, query, *args)

    return begin


def verb(begin: Begun[D, P, T]) -> Callable[Concatenate[D, P], Coroutine[Any, Any, T]]:
    """Begun when it is awaited, as a verb that is called by everybody."""

    @wraps(begin)
    async def run(self: D, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await begin(self, *args, **kwargs)

    return run
