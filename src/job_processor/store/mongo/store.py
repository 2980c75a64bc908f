"""The MongoDB store: its desks, its life, and who is told what changes."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable
from datetime import datetime

import pymongo
from pymongo.asynchronous.database import AsyncDatabase

from job_processor.errors import StoreError, StoreSetupError, StoreUnavailableError
from job_processor.settings import MONGO_MAX_HISTORY_DAYS
from job_processor.store.base import Abilities, Description, Pulse, Remark, Store
from job_processor.store.contention import Turns
from job_processor.store.desks.desk import Desk
from job_processor.store.desks.lazily import kind_of
from job_processor.store.hints import EndListener, HintListener, of_ends, of_hints
from job_processor.store.mongo.connection import CLOSE_TIMEOUT, Connection, adopt, connect
from job_processor.store.mongo.description import found_indexes, remarks_on, version_of
from job_processor.store.mongo.desks import Days, Plumbing, answered
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.features import Features
from job_processor.store.mongo.handles import Handles, hello
from job_processor.store.mongo.hinting import Hinting
from job_processor.store.mongo.node import MongoNodeSide
from job_processor.store.mongo.preparation import prepare
from job_processor.store.mongo.presence import is_node_here
from job_processor.store.mongo.pulse import ThreadPulse
from job_processor.store.mongo.watch import Watch
from job_processor.store.node import NodeSide


def open_mongo(
    url: str,
    *,
    prefix: str = "job_processor",
    history_days: float = MONGO_MAX_HISTORY_DAYS,
) -> MongoStore:
    """Return a store on the database that `url` names; its client is closed with the store.

    Nothing is sent before `setup()`. Raises InvalidArgumentError when the URL is malformed or names
    no database.
    """
    return MongoStore(connect(url), prefix=prefix, history_days=history_days)


class MongoStore(Store):
    """Jobs in the collections `<prefix>.jobs`, `.workers`, `.signals`, `.settings` and so on."""

    _routed = False
    """True behind a router, once that is known."""

    def __init__(self, connection: Connection, *, prefix: str, history_days: float) -> None:
        self.address = connection.address
        self._connection = connection
        self._logger = logger = logging.getLogger("job_processor")
        self._handles = handles = Handles.of(connection.database, prefix)
        self._turns = Turns()
        self._watch = Watch(connection, handles, self._turns, logger)
        self._hinting = hinting = Hinting(handles.jobs.name, logger)
        self.features = features = Features(handles.jobs, logger, hinting.trust_again)
        self._days = Days(history_days)
        self._plumbing = Plumbing(
            self._watch.tell,
            weakref.proxy(self),
            self.address,
            handles,
            hinting,
            features,
            self._turns,
            self._days,
            lambda: node.refuses_own_fields,
            logger,
        )
        self._node = node = MongoNodeSide(self._plumbing)

    def _make(self, name: str) -> Desk:
        return kind_of("job_processor.store.mongo", "Mongo", name)(self._plumbing)

    @classmethod
    def from_database(
        cls,
        database: AsyncDatabase[Document],
        *,
        prefix: str = "job_processor",
        history_days: float = MONGO_MAX_HISTORY_DAYS,
    ) -> MongoStore:
        """Return a store on a database that was passed in, whose client stays open.

        Raises InvalidArgumentError, which says what to pass instead, for anything but an
        AsyncDatabase of pymongo.
        """
        return cls(adopt(database), prefix=prefix, history_days=history_days)

    @property
    def abilities(self) -> Abilities:
        """What this database can do.

        Hints of others lack on a standalone server, and without the right to open a change stream;
        behind a router they are late, since its streams wait for the clocks of all shards.
        """
        return Abilities(
            hints_of_others=self._watch.supported,
            hints_are_prompt=self._watch.supported and not self._routed,
            history_days=self._days.of_database,
            claims_one_sooner=True,
        )

    async def setup(self) -> None:
        """Connect, create and verify what the store needs; safe from many processes at once."""
        try:
            told = await answered(hello(self._handles), self.address)
            preparing = prepare(self._handles, self.features, told, self._logger)
            days = await answered(preparing, self.address)
        except (StoreUnavailableError, StoreSetupError):
            raise
        except StoreError as error:
            raise StoreSetupError(str(error)) from error
        self._routed = told.get("msg") == "isdbgrid"
        self.features.is_replicated = self._routed or "setName" in told
        self._days.of_database = days
        self._hinting.trust_again()
        await self._node.look()

    async def describe(self) -> Description:
        """Return how the database stands, and see whether Node is beside us."""
        await self.ping()  # connects, which takes longer than an answer
        began = time.perf_counter()
        await self.ping()
        took = (time.perf_counter() - began) * 1000
        server = await answered(version_of(self._handles), self.address)
        node = await answered(is_node_here(self._handles), self.address)
        indexes = await answered(found_indexes(self._handles, node), self.address)
        await self._node.look()
        what = f"{self.address}, MongoDB {server}, answers in {took:.0f} ms"
        return Description((Remark("connection", "ok", what), *remarks_on(indexes, node)))

    async def close(self) -> None:
        """Close the change stream, and the client unless it was passed in."""
        await self._watch.close()
        if self._connection.owned:
            with pymongo.timeout(CLOSE_TIMEOUT):
                await self._connection.database.client.close()

    async def ping(self) -> datetime:
        """Return the database's present time."""
        now: datetime = (await answered(hello(self._handles), self.address))["localTime"]
        return now

    def subscribe(self, listener: HintListener, *, ends: bool = True) -> Callable[[], None]:
        """Call `listener` after our own writes and, as the change stream tells, those of others."""
        return self._watch.subscribe(of_hints(listener), ends=ends)

    def on_ended(self, listener: EndListener) -> Callable[[], None]:
        """Call `listener` with the jobs that our own writes and, by the stream, others settle."""
        return self._watch.subscribe(of_ends(listener), ends=True)

    def node_side(self) -> NodeSide:
        """Return what is special beside the Node package."""
        return self._node

    def open_pulse(self, patience: float | None = None) -> Pulse:
        """Open a client of its own for the heartbeat.

        From a passed database whose options cannot be found out there can be none: StoreError.
        """
        options = self._connection.options
        if options is None:
            raise StoreError(
                f"{self.address}: this version of pymongo does not tell how its client was made, "
                "so heartbeats go through the event loop: a handler that blocks it looks like a "
                "crashed worker; pass db as a URL instead"
            )
        names = self._handles.database.name, self._handles.workers.name
        return ThreadPulse(options, *names, self.address, patience)
