"""Hints that something changed: our own writes at once, those of others by a change stream.

The stream is a hint, never the truth. It is opened with the first listener and closed a while after
the last. After any error it is opened anew, without its token, and everybody is told to look.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextvars import Context
from functools import reduce
from operator import or_
from typing import Any

from bson import ObjectId
from pymongo.errors import OperationFailure, PyMongoError

from job_processor.models import JobStatus
from job_processor.store.contention import EARLY, ON, Turns
from job_processor.store.hints import ANYTHING, NOTHING, Hint, HintListeners, Tell
from job_processor.store.mongo.connection import CLOSE_TIMEOUT, Connection
from job_processor.store.mongo.documents import (
    SETTLED_STATUSES,
    WAITING_STATUSES,
    Document,
)
from job_processor.store.mongo.errors import is_unauthorized, reason
from job_processor.store.mongo.handles import Handles
from job_processor.store.mongo.stream import BATCH, open_stream
from job_processor.tasks import Backoff, cancel

_SHORTEST_PAUSE = 0.002
_LONGEST_PAUSE = 0.02
"""Seconds between two requests while changes keep coming: each then brings many. The pause grows up
to the longest, and starts short again after a quiet moment."""

_CROWDED_PAUSE = 0.1
"""Seconds up to which it grows where answers bring a crowd each, and are far from full."""

_CROWD = 100
"""Changes in one answer."""

_ASKED_AGAIN_AFTER = CLOSE_TIMEOUT / 2
"""Seconds after which a stream is asked once more to end. What it has left to do takes no longer:
it has lost the first request, as PyMongo does on Python 3.11 now and then."""

_LINGER = 5.0
"""Seconds that the stream outlives its last listener: who waits for a job often waits again."""

_SETTLED_AFTER = 10.0
"""Seconds after which an open stream counts as well, and the next error is a first one."""

_RUNNING = JobStatus.RUNNING.value
_NEW_STATUS = "$updateDescription.updatedFields.status"
_AGE: Document = {
    "$subtract": [
        "$updateDescription.updatedFields.updated_at",
        {"$convert": {"input": "$documentKey._id", "to": "date", "onError": None}},
    ]
}
_YOUNG = 2000
"""Milliseconds from when an id was made, to the second, within which all have had their turns."""

_IS_YOUNG: Document = {"$lt": [_AGE, _YOUNG]}
_TAKEN = (NOTHING, Hint.SETTLED)
"""What a change means of a job that nobody has to try for any more."""

_AWAITED_SETTINGS = ("limit", "pause", "rate", "service")
"""Kinds of settings whose changes workers wait for."""

_UNSUPPORTED_PAUSE = 600.0
"""Seconds after which one is tried again that was not to be had: a role may be given meanwhile."""

_FORBIDDEN = "the user may not open one (the role read on the database allows it)"
_NONE = "this server has none"
_UNSUPPORTED = {
    40573: "this is a standalone server; make it a replica set",
    40324: _NONE,  # unrecognized pipeline stage
    59: _NONE,  # CommandNotFound
    115: _NONE,  # CommandNotSupported
    238: _NONE,  # NotImplemented
}
_UNKNOWN_OPTIONS = "this version of pymongo does not tell how its client was made; pass db as a URL"


class Watch:
    """Tells listeners what may have changed."""

    def __init__(
        self, connection: Connection, handles: Handles, turns: Turns, logger: logging.Logger
    ) -> None:
        self._options = connection.options
        self._handles = handles
        self._turns = turns
        self._turn: asyncio.TimerHandle | None = None
        self._awaited: dict[ObjectId, float] = {}
        """New jobs that nobody has yet, for which it will be our turn then, and when each came."""
        self._logger = logger
        self._listeners = HintListeners()
        self.tell = self._listeners.tell
        self._task: asyncio.Task[None] | None = None
        self._endings: set[asyncio.Task[Any]] = set()
        self._linger: asyncio.TimerHandle | None = None
        self.supported = True
        self._for_ends = 0
        """Listeners that want to hear of what others settle."""
        self._with_ends = False
        """True when the stream brings that, too: it is most of what changes."""

    def subscribe(self, listener: Tell, *, ends: bool) -> Callable[[], None]:
        """Call `listener` in the event loop with each hint; returns a function that ends it.

        ends: whether it is to hear of jobs that others settle. The first such listener has the
        stream opened anew.
        """
        remove = self._listeners.add(listener)
        self._for_ends += ends
        if self._for_ends and not self._with_ends:
            self._stop()
        self._start()

        def forget() -> None:
            remove()
            self._for_ends -= ends
            if not self._listeners.all and self._task is not None and self._linger is None:
                loop = asyncio.get_running_loop()
                self._linger = loop.call_later(_LINGER, self._stop)

        return forget

    async def close(self) -> None:
        """End the stream and wait for its end."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._stop()
        if self._endings:
            await asyncio.wait(self._endings)

    def _start(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._task is None or self._task.done():
            self._with_ends = self._for_ends > 0
            # A context of its own: the caller's may have a deadline, as by pymongo.timeout().
            self._task = asyncio.get_running_loop().create_task(
                self._run(), name="job-processor change stream", context=Context()
            )

    def _stop(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        task, self._task = self._task, None
        if task is not None:
            ended = cancel([task], 2 * CLOSE_TIMEOUT, again_after=_ASKED_AGAIN_AFTER)
            ending = asyncio.get_running_loop().create_task(ended)
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _run(self) -> None:
        """Keep a stream open: after each error a pause that grows, jittered, then a new one.

        Where none is to be had, it is tried again only now and then.
        """
        if self._options is None:
            self._give_up(_UNKNOWN_OPTIONS)
            return
        backoff, failed = Backoff(), False
        while True:
            opened = time.monotonic()
            try:
                await self._follow(self._options)
            except PyMongoError as error:
                why = _why_unsupported(error)
                if why is not None:
                    self._give_up(why)
                    await asyncio.sleep(_UNSUPPORTED_PAUSE * random.uniform(0.5, 1.0))
                    continue
                self._report(error, again=failed)
            except Exception:
                self._logger.exception("the change stream failed; opening it again")
            failed = True
            if time.monotonic() - opened > _SETTLED_AFTER:
                backoff.reset()
                failed = False
            await asyncio.sleep(backoff.next())

    async def _follow(self, options: Document) -> None:
        """Open a stream from now on and hand out what it brings, until it fails or ends."""
        # Not the driver's watch(), which goes on from its token after many an error, and tells
        # nobody to look.
        self._with_ends = self._for_ends > 0
        pipeline = _pipeline(self._handles, ends=self._with_ends)
        async with open_stream(options, self._handles.database.name, pipeline) as stream:
            self.supported = True
            self.tell(ANYTHING | Hint.NODE)  # what happened while no stream was open
            pause, early = _SHORTEST_PAUSE, 0
            while stream.alive:
                asked = time.monotonic()
                changes = await stream.next_batch()
                waited = time.monotonic() - asked
                if changes:
                    self._tell(changes)
                    pause = _SHORTEST_PAUSE if waited > _LONGEST_PAUSE else pause
                    await asyncio.sleep(pause)
                    crowded = _CROWD <= len(changes) <= BATCH // 2
                    longest = _CROWDED_PAUSE if crowded else _LONGEST_PAUSE
                    pause, early = min(2 * pause, longest), 0
                elif waited < EARLY:
                    early += 1
                    await asyncio.sleep(ON.after_early(early))

    def _tell(self, changes: Sequence[Document]) -> None:
        """Hand out a batch: new work when it is our turn to try for it, all else at once."""
        hints = [self._hint(change) for change in changes]
        hint = reduce(or_, hints)
        pairs = list(zip(changes, hints, strict=True))
        new = [_job(change) for change, means in pairs if means is Hint.WORK]
        delay = self._turns.delay(new) if new else 0.0
        if delay > 0:
            hint &= ~Hint.WORK
            self._tell_of_work_in(delay, [job_id for job_id, _ in new])
        self._forget_taken(_job(change)[0] for change, means in pairs if means in _TAKEN)
        self.tell(hint, [_job(change)[0] for change, means in pairs if means is Hint.SETTLED])

    def _hint(self, change: Any) -> Hint:
        """Return what a change may mean to a listener."""
        collection = change.get("of")
        if collection == self._handles.signals.name:
            return Hint.KILL
        if collection == self._handles.settings.name:
            return Hint.SETTINGS
        if collection == self._handles.schedules.name:
            return Hint.SCHEDULES
        if collection == self._handles.workers.name:
            return Hint.NODE
        status = change.get("status")
        if status == _RUNNING:
            return NOTHING
        # Without a state it is a job that was let into its line.
        return Hint.WORK if status is None or status in WAITING_STATUSES else Hint.SETTLED

    def _tell_of_work_in(self, delay: float, jobs: Iterable[ObjectId]) -> None:
        """Hand out one hint for all the work that is told of until then."""
        loop = asyncio.get_running_loop()
        self._awaited |= dict.fromkeys(jobs, loop.time())
        timer = self._turn
        if timer is not None:
            if loop.time() < timer.when() <= loop.time() + delay:
                return
            timer.cancel()
        self._turn = loop.call_later(delay, self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        self._awaited.clear()
        self.tell(Hint.WORK)

    def _forget_taken(self, jobs: Iterable[ObjectId]) -> None:
        """Let our turn pass where others have all the jobs that it would be for."""
        if self._turn is None:
            return
        now = asyncio.get_running_loop().time()
        for job_id in jobs:
            came = self._awaited.pop(job_id, None)
            if came is not None:
                self._turns.note_taken(now - came)
        if not self._awaited:
            self._turn.cancel()
            self._turn = None

    def _give_up(self, why: str) -> None:
        if not self.supported:
            return
        self.supported = False
        self._logger.info(
            "%s: no change stream, so changes of other processes are found by polling: %s",
            self._handles.database.name,
            why,
        )
        self.tell(ANYTHING)  # whoever counts on hints has to look sooner from now on

    def _report(self, error: PyMongoError, *, again: bool) -> None:
        level = logging.DEBUG if again else logging.WARNING
        self._logger.log(level, "the change stream broke (%s); opening it again", reason(error))


def _why_unsupported(error: PyMongoError) -> str | None:
    """Return why no stream can be had for a while; None when it is worth another try soon."""
    if is_unauthorized(error):
        return _FORBIDDEN
    return _UNSUPPORTED.get(error.code or 0) if isinstance(error, OperationFailure) else None


def _pipeline(handles: Handles, *, ends: bool) -> list[Document]:
    """Select on the server what may matter, and of that no more than is looked at.

    What a worker asks of a change is where it was and what it is about: neither documents as they
    are now nor as they were before are asked for, which would cost a look-up each.
    """
    told = [*WAITING_STATUSES, *(SETTLED_STATUSES if ends else [])]
    collections = [
        *(handles.jobs.name, handles.signals.name, handles.settings.name, handles.workers.name),
        handles.schedules.name,
    ]
    return [
        {
            "$match": {
                "ns.coll": {"$in": collections},
                "operationType": {"$in": ["insert", "update", "replace", "delete"]},
                "$or": [
                    {"ns.coll": handles.signals.name, "operationType": "insert"},
                    # Counts and the like change all the time.
                    *(
                        {
                            "ns.coll": handles.settings.name,
                            "documentKey._id": {"$gte": f"{kind}:", "$lt": f"{kind};"},
                        }
                        for kind in _AWAITED_SETTINGS
                    ),
                    {  # what a worker has moved on, it knows
                        "ns.coll": handles.schedules.name,
                        "fullDocument.put": True,
                    },
                    {
                        "ns.coll": handles.workers.name,
                        "operationType": "insert",
                        "fullDocument.timeout_s": None,  # ours have one
                    },
                    {"fullDocument.status": {"$in": told}},
                    {"updateDescription.updatedFields.status": {"$in": told}},
                    # Somebody has a job for which others may still await their turn. What has
                    # waited for longer has had all of them: a backlog is emptied unheard.
                    {"updateDescription.updatedFields.status": _RUNNING, "$expr": _IS_YOUNG},
                    {"updateDescription.updatedFields.ready": {"$exists": True}},
                    {"updateDescription.removedFields": "parked"},
                ],
            }
        },
        {
            "$project": {
                "documentKey._id": 1,
                "of": {"$cond": [{"$eq": ["$ns.coll", handles.jobs.name]}, "$$REMOVE", "$ns.coll"]},
                "name": "$fullDocument.name",
                "status": {"$ifNull": ["$fullDocument.status", _NEW_STATUS]},
            }
        },
    ]


def _job(change: Document) -> tuple[ObjectId, str | None]:
    """Return the id of the job that changed and, of a new one, its name."""
    return change["documentKey"]["_id"], change.get("name")
