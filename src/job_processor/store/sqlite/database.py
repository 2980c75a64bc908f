"""The thread that owns a connection: no wait for SQLite blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar, TypeVarTuple

from job_processor.errors import NotSetUpError
from job_processor.settings import CLOSE_TIMEOUT
from job_processor.store.sqlite.link import Link
from job_processor.tasks import OwnThread

T = TypeVar("T")
Args = TypeVarTuple("Args")
Deliver: TypeAlias = Callable[[Any, BaseException | None], object]
Wanted: TypeAlias = Callable[[], bool]
_Item: TypeAlias = tuple[Callable[..., Any], tuple[Any, ...], Deliver, Wanted]


class Database:
    """Runs functions with one connection, in the order they were called, in a thread of its own.

    Thread and connection begin with the first call. A function that raises leaves no transaction
    behind, and sqlite3's errors come out as StoreError. Whoever waits may be cancelled: the
    function then runs to its end and its result is dropped. Only what is read is given up with who
    asked for it.
    """

    def __init__(self, name: str, address: str, link: Link) -> None:
        self._queue: SimpleQueue[_Item | None] = SimpleQueue()
        self._link = link
        self._last: Callable[[], asyncio.Future[Any] | None] = _nothing
        """What was called last, as long as anybody needs it: it may hold much."""
        # A daemon: a program that forgets to close must still be able to end. A result is handed
        # over only after its commit, so nothing that was acknowledged is lost by that.
        self._thread = OwnThread(partial(_serve, self._queue, link), name)
        self._closed = False
        self._address = address
        self._finalize = weakref.finalize(self, self._queue.put, None)

    def call(
        self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Return a future of `function(connection, *args)`, which stands in the queue already."""
        return self._called(function, args, _always_wanted)

    def read(
        self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Return a future of `function(connection, *args)`, whose reads see the same moment.

        Cancelling it is giving it up: it does not begin any more, or is interrupted.
        """
        return self._called(_snapshot, (function, args), _is_awaited)

    def _called(
        self,
        function: Callable[[sqlite3.Connection, *Args], T],
        args: tuple[*Args],
        wanted: Callable[[asyncio.Future[T]], bool],
    ) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def deliver(result: Any, error: BaseException | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_resolve, future, result, error)

        self._put(function, args, deliver, partial(wanted, future))
        self._last = weakref.ref(future)
        return future

    def transaction(
        self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Return a future of `function(connection, *args)`, run as one immediate transaction."""
        return self.call(_transaction, function, args)

    def here(
        self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args, alone: bool
    ) -> T | None:
        """Return `function(connection, *args)` in the caller's thread, as a transaction.

        None where it might have to wait for anything, such as for what was called before: then
        nothing was done. Whatever goes wrong is undone and None, too: the thread finds out what.
        alone: a single statement, which is a transaction of its own.
        """
        last = self._last()
        if self._closed or (last is not None and not last.done()):
            return None
        if alone:
            return self._link.run_here(function, *args)
        return self._link.run_here(_transaction, function, args)

    def follow(
        self, function: Callable[[sqlite3.Connection, *Args], T], *args: *Args
    ) -> asyncio.Future[T]:
        """Do as `call`; at once, as `here`, where what ran last was run that way.

        So what an insert has woken needs no other thread either.
        """
        if self._link.ran_here:
            result = self.here(function, *args, alone=True)
            if result is not None:
                answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
                answered.set_result(result)
                return answered
        return self.call(function, *args)

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

        self._put(function, args, deliver, lambda: True)
        return future.result()

    async def close(self) -> None:
        """Finish what was called, close the connection and end the thread.

        A thread that hangs in the file system is left alone after `CLOSE_TIMEOUT`: it does that
        when it gets on.
        """
        self._closed = True
        if self._thread.begun:
            self._finalize()
            await self._thread.ended(CLOSE_TIMEOUT)

    def _put(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        deliver: Deliver,
        wanted: Wanted,
    ) -> None:
        if self._closed:
            raise NotSetUpError(f"{self._address} was closed; nothing can be asked of it any more")
        self._queue.put((function, args, deliver, wanted))
        if not self._thread.begun:
            self._thread.start()


def _serve(queue: SimpleQueue[_Item | None], link: Link) -> None:
    """The thread's side. It knows nothing of its Database, which may be forgotten unclosed."""
    try:
        while _serve_one(queue, link):
            pass
    finally:
        link.close()


def _serve_one(queue: SimpleQueue[_Item | None], link: Link) -> bool:
    item = queue.get()
    if item is None:
        return False
    function, args, deliver, wanted = item
    if not wanted():
        return True
    try:
        link.wanted = wanted
        result = link.run(function, *args)
    except BaseException as error:  # noqa: BLE001  # it belongs to the caller, whatever it is
        deliver(None, error)
    else:
        deliver(result, None)
    return True


def _nothing() -> None:
    return None


def _always_wanted(_: object) -> bool:
    return True


def _is_awaited(future: asyncio.Future[T]) -> bool:
    """Tell, in any thread, whether anybody waits for it still."""
    return not future.cancelled()


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
