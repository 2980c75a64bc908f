"""A connection and the thread that owns it: SQLite never blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar, TypeVarTuple

from job_processor.errors import NotSetUpError
from job_processor.store.sqlite.failures import explain, needs_reopening

T = TypeVar("T")
Args = TypeVarTuple("Args")
Connect: TypeAlias = Callable[[], sqlite3.Connection]
Deliver: TypeAlias = Callable[[Any, BaseException | None], object]
_Item: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], Deliver]


class Database:
    """Runs functions with one connection, in the order they were called, in a thread of its own.

    Thread and connection begin with the first call. A function that raises leaves no transaction
    behind, and sqlite3's errors come out as StoreError. Whoever waits may be cancelled: the
    function then runs to its end and its result is dropped.
    """

    def __init__(self, name: str, address: str, connect: Connect) -> None:
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._owner = _Owner(self._queue, address, connect)
        # A daemon: a program that forgets to close must still be able to end. A result is handed
        # over only after its commit, so nothing that was acknowledged is lost by that.
        self._thread = threading.Thread(target=self._owner.serve, name=name, daemon=True)
        self._closed = False
        self._address = address
        self._finalize = weakref.finalize(self, self._queue.put, None)

    async def call(self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args) -> T:
        """Return `function(connection, *args)`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def deliver(result: Any, error: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, future, result, error)

        self._put(function, args, deliver)
        return await future

    async def transaction(
        self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args
    ) -> T:
        """Return `function(connection, *args)`, run as one immediate transaction."""
        return await self.call(_transaction, function, args)

    async def snapshot(self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args) -> T:
        """Return `function(connection, *args)`, all of whose reads see the same moment."""
        return await self.call(_snapshot, function, args)

    def call_from_thread(
        self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args
    ) -> T:
        """Return `function(connection, *args)` to another thread, which waits for it."""
        future: Future[T] = Future()

        def deliver(result: Any, error: BaseException | None) -> None:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self._put(function, args, deliver)
        return future.result()

    async def close(self) -> None:
        """Finish what was called, close the connection and end the thread."""
        self._closed = True
        if self._thread.ident is not None and self._finalize.alive:
            self._finalize()
            await asyncio.to_thread(self._thread.join)

    def _put(self, function: Callable[..., Any], args: tuple[Any, ...], deliver: Deliver) -> None:
        if self._closed:
            raise NotSetUpError(f"{self._address} was closed; nothing can be asked of it any more")
        self._queue.put((function, args, deliver))
        if self._thread.ident is None:
            self._thread.start()


class _Owner:
    """The thread's side. It knows nothing of its Database, which may be forgotten unclosed."""

    def __init__(self, queue: SimpleQueue[_Item | None], address: str, connect: Connect) -> None:
        self._queue = queue
        self._address = address
        self._connect = connect
        self._connection: sqlite3.Connection | None = None

    def serve(self) -> None:
        try:
            while self._serve_one():
                pass
        finally:
            self._disconnect()

    def _serve_one(self) -> bool:
        item = self._queue.get()
        if item is None:
            return False
        function, args, deliver = item
        try:
            if self._connection is None:
                self._connection = self._connect()
            result = function(self._connection, *args)
        except BaseException as error:  # noqa: BLE001  # it belongs to the caller, whatever it is
            deliver(None, self._failed(error))
        else:
            deliver(result, None)
        return True

    def _failed(self, error: BaseException) -> BaseException:
        if self._connection is not None and self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
        if not isinstance(error, sqlite3.Error):
            return error
        if needs_reopening(error):
            self._disconnect()
        explained = explain(error, self._address)
        explained.__cause__ = error
        return explained

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _resolve(future: asyncio.Future[T], result: T, error: BaseException | None) -> None:
    if future.done():  # cancelled
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def _transaction(
    connection: sqlite3.Connection,
    function: Callable[[sqlite3.Connection, *Args], T],
    args: tuple[*Args],
) -> T:
    connection.execute("BEGIN IMMEDIATE")
    result = function(connection, *args)
    connection.execute("COMMIT")
    return result


def _snapshot(
    connection: sqlite3.Connection,
    function: Callable[[sqlite3.Connection, *Args], T],
    args: tuple[*Args],
) -> T:
    connection.execute("BEGIN")
    result = function(connection, *args)
    connection.execute("COMMIT")
    return result
