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
from job_processor.store.hints import EndListener, HintListener, of_ends, of_hints
from job_processor.store.mongo.connection import CLOSE_TIMEOUT, Connection, adopt, connect
from job_processor.store.mongo.crons import MongoCrons
from job_processor.store.mongo.description import found_indexes, remarks_on, version_of
from job_processor.store.mongo.desks import Plumbing, answered
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.features import Features
from job_processor.store.mongo.groups import MongoGroups
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.hinting import Hinting
from job_processor.store.mongo.history import MongoHistory
from job_processor.store.mongo.intake import MongoIntake
from job_processor.store.mongo.kills import MongoKills
from job_processor.store.mongo.lanes import MongoLanes
from job_processor.store.mongo.messages import MongoMessages
from job_processor.store.mongo.node import MongoNodeSide
from job_processor.store.mongo.preparation import prepare
from job_processor.store.mongo.presence import is_node_here
from job_processor.store.mongo.pulse import ThreadPulse
from job_processor.store.mongo.queue import MongoQueue
from job_processor.store.mongo.rates import MongoRates
from job_processor.store.mongo.rollups import MongoRollups
from job_processor.store.mongo.runs import MongoRuns
from job_processor.store.mongo.schedules import MongoSchedules
from job_processor.store.mongo.settings import MongoSettings
from job_processor.store.mongo.tokens import MongoTokens
from job_processor.store.mongo.waits import MongoWaits
from job_processor.store.mongo.watch import Watch
from job_processor.store.mongo.workers import MongoWorkers
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
        plumbing = Plumbing(self._watch.tell, self.address, handles, hinting, features, logger)
        self.intake = MongoIntake(plumbing, self._is_beside_node)
        self.queue = queue = MongoQueue(plumbing, turns=self._turns)
        self.rates = rates = MongoRates(plumbing)
        self.tokens = MongoTokens(plumbing, rates=rates)
        self.lanes = MongoLanes(plumbing, starts=self.tokens)
        self.runs = MongoRuns(plumbing)
        self.kills = kills = MongoKills(plumbing)
        self.rollups = rollups = MongoRollups(plumbing)
        self.groups = groups = MongoGroups(plumbing)
        groups.intake = MongoIntake(plumbing, self._is_beside_node)
        self.history = self._history = MongoHistory(
            plumbing, history_days, kills=kills, rollups=rollups, groups=groups
        )
        self.workers = self._workers = MongoWorkers(plumbing, queue=queue, turns=self._turns)
        self.crons = crons = MongoCrons(plumbing, self._is_beside_node)
        self.settings = settings = MongoSettings(plumbing)
        self.waits = MongoWaits(plumbing)
        self.schedules = MongoSchedules(plumbing)
        self.messages = self.runs.messages = MongoMessages(plumbing)
        for desk in (self.intake, self.runs, self.kills, self.history):
            desk.lanes, desk.waits, desk.tokens = self.lanes, self.waits, self.tokens
            desk.groups = groups
        # A weak one back, or the two would keep each other alive.
        self.waits.groups, groups.waits = groups, weakref.proxy(self.waits)
        self._node = MongoNodeSide(plumbing, self._history, settings, self._workers, crons)

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
            history_days=self._history.database_days,
            claims_one_sooner=True,
        )

    async def setup(self) -> None:
        """Connect, create and verify what the store needs; safe from many processes at once."""
        try:
            hello = await self._workers.hello()
            preparing = prepare(self._handles, self.features, hello, self._logger)
            days = await answered(preparing, self.address)
        except (StoreUnavailableError, StoreSetupError):
            raise
        except StoreError as error:
            raise StoreSetupError(str(error)) from error
        self._routed = hello.get("msg") == "isdbgrid"
        self.features.is_replicated = self._routed or "setName" in hello
        self._history.database_days = days
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
        return await self._workers.now()

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
                "dead worker; pass db as a URL instead"
            )
        names = self._handles.database.name, self._handles.workers.name
        return ThreadPulse(options, *names, self.address, patience)

    def _is_beside_node(self) -> bool:
        return self._node.refuses_own_fields
