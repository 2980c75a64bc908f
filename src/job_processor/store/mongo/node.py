"""Beside the Node package, and on the way from it: looks, and a few guarded changes."""

from __future__ import annotations

from collections.abc import Collection as Ids
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bson import ObjectId, json_util
from pymongo.errors import DuplicateKeyError, OperationFailure

from job_processor.models import Cron, cron_id, occurrence_id, written_at
from job_processor.settings import COUNT_CAP, HISTORY_BATCH, STATUS_NAMES
from job_processor.store.desks.lazily import Lazily
from job_processor.store.mongo.description import found_indexes, version_of
from job_processor.store.mongo.desks import Plumbing, translated
from job_processor.store.mongo.documents import (
    GROUP_FIELDS,
    JOB_STATUSES,
    LANE_FIELDS,
    Document,
    cron_document,
)
from job_processor.store.mongo.errors import is_away, reason
from job_processor.store.mongo.presence import is_node_here, serve_node
from job_processor.store.mongo.pruning import end_killed
from job_processor.store.mongo.schema import (
    current_validator,
    install,
    is_of_node,
    recognize,
    validator,
)
from job_processor.store.node import NodeSide, Survey, ValidatorOwner

if TYPE_CHECKING:
    from job_processor.store.mongo.crons import MongoCrons
    from job_processor.store.mongo.history import MongoHistory
    from job_processor.store.mongo.settings import MongoSettings
    from job_processor.store.mongo.workers import MongoWorkers

_OWN_FIELDS = (
    *("attempt", "attempts", "crash", "crashes", "expires_at", "notes", "planned_for", "priority"),
    *("state", "state_saved", "steps", "traceparent", "unique_key", "unique_until"),
    *LANE_FIELDS,
    *GROUP_FIELDS,
    *("flow", "flow_name", "labels"),
)
"""What a job of ours may have and the Node package's validator refuses."""

_EXAMPLES = 1000
"""Jobs with such fields that are looked at, to name the fields."""

_KIND, _NAME = "node_validator", "jobs"
"""The setting that keeps Node's validator."""

_OWNERS: dict[str, ValidatorOwner] = {
    "none": "none",
    "older": "older",
    "newer or ours": "ours",
    "node": "node",
    "foreign": "foreign",
}


@translated()
class MongoNodeSide(NodeSide):
    """Reads and writes the collections of one prefix."""

    _history: Lazily[MongoHistory] = Lazily("history")
    _settings: Lazily[MongoSettings] = Lazily("settings")
    _workers: Lazily[MongoWorkers] = Lazily("workers")
    _crons: Lazily[MongoCrons] = Lazily("crons")

    def __init__(self, plumbing: Plumbing) -> None:
        self.address = plumbing.address
        self._handles = plumbing.handles
        self._jobs = plumbing.handles.jobs
        self._logger = plumbing.logger
        self._store = plumbing.store

    def desk(self, name: str) -> Any:
        """Return a desk of the store."""
        return self._store.desk(name)

    async def look(self) -> None:
        """Bring `refuses_own_fields` up to date."""
        self.refuses_own_fields = await is_of_node(self._handles)

    async def make_indexes(self) -> None:
        """Make what is missing of the indexes that the Node package alone needs."""
        try:
            await serve_node(self._handles, self._logger)
        except OperationFailure as error:
            if is_away(error):
                raise
            self._logger.warning(
                "%s: the indexes of the Node package are left to it: %s",
                self._jobs.name,
                reason(error),
            )

    # --- crons beside its scheduler -------------------------------------------------------------

    async def planned(self, name: str, moments: Ids[datetime]) -> set[datetime]:
        """Return those of the moments that have an occurrence whose id is not derived from them."""
        occurrences = {
            "type": "cron_task",
            "name": name,
            "status": {"$in": JOB_STATUSES},
            "scheduled_for": {"$in": list(moments)},
        }
        found = self._jobs.find(occurrences, {"scheduled_for": 1})
        return {
            document["scheduled_for"]
            async for document in found
            if document["_id"] != occurrence_id(name, document["scheduled_for"])
        }

    async def remove_planned(self, name: str, moment: datetime) -> None:
        """Pending cron tasks of this moment whose ids are not derived from it → absent."""
        derived = occurrence_id(name, moment)
        planned = {"type": "cron_task", "name": name, "status": "pending"}
        await self._jobs.delete_many({**planned, "scheduled_for": moment, "_id": {"$ne": derived}})

    async def give_cron(self, cron: Cron) -> bool:
        """Ours, at this expression and pointer → the Node package's; False when it had changed.

        Gone first, so that its scheduler never sees two: after a crash in between, the owner that
        is still in the settings has it put back.
        """
        found = await self._jobs.find_one_and_delete(
            {
                "_id": cron_id(cron.name),
                "type": "cron",
                "cron_string": cron.cron_string,
                "scheduled_for": cron.scheduled_for,
            }
        )
        if found is None:
            return False
        result = await self._jobs.update_one(
            {"type": "cron", "name": cron.name},
            {"$setOnInsert": {**found, "_id": ObjectId()}},
            upsert=True,
        )
        return result.upserted_id is not None

    # --- the move away from it ------------------------------------------------------------------

    async def survey(self) -> Survey:
        """Return what is there."""
        handles, history = self._handles, self._history
        name = handles.jobs.name
        found = recognize(await current_validator(handles.database, name), name)
        node_is_here = await is_node_here(handles)
        owners = await self._settings.all("cron_owner")
        killed = {"status": "killed", "ended_at": None}
        return Survey(
            server=await version_of(handles),
            node_is_here=node_is_here,
            validator=_OWNERS[found],
            saved_validator=bool(await self._settings.all(_KIND)),
            registrations=await self._workers.registrations(),
            jobs=tuple(await history.count(await history.names(STATUS_NAMES), COUNT_CAP)),
            crons=tuple(await self._crons.all()),
            owners={name: str(owner["service"]) for name, owner in owners.items()},
            indexes=tuple(await found_indexes(handles, node_is_here)),
            killed_without_end=await handles.jobs.count_documents(killed, limit=COUNT_CAP),
            own_fields=tuple(await self._own_fields()),
        )

    async def _own_fields(self) -> list[str]:
        selection = {"$or": [{field: {"$exists": True}} for field in _OWN_FIELDS]}
        shown = dict.fromkeys(_OWN_FIELDS, 1)
        there: set[str] = set()
        async for document in self._handles.jobs.find(selection, shown, limit=_EXAMPLES):
            there |= document.keys() - {"_id"}
        return sorted(there)

    async def end_killed(self) -> None:
        """Killed without an end → ended."""
        while await end_killed(self._jobs, HISTORY_BATCH):
            pass

    async def take_crons(self) -> list[str]:
        """Crons that Node made → ours, at the same pointer; return their names."""
        jobs, taken = self._handles.jobs, []
        for cron in await self._crons.all():
            ours = cron_id(cron.name)
            if cron.id == ours:
                continue
            # Ours first: a crash in between leaves two of one name, and the repetition takes away
            # the other.
            with suppress(DuplicateKeyError):
                taken_over = {"_id": ours, "updated_at": written_at(cron.updated_at)}
                await jobs.insert_one(cron_document(cron) | taken_over)
            await jobs.delete_one({"_id": cron.id})
            await self._remove_standing(cron.name)
            taken.append(cron.name)
        return taken

    async def _remove_standing(self, name: str) -> None:
        """Node's occurrences that wait for a later time → absent."""
        now = await self._workers.now()
        waiting: Document = {
            "type": "cron_task",
            "name": name,
            "status": "pending",
            "scheduled_for": {"$gt": now},
        }
        ids = [
            document["_id"]
            async for document in self._handles.jobs.find(waiting, {"scheduled_for": 1})
            if document["_id"] != occurrence_id(name, document["scheduled_for"])
        ]
        if ids:
            await self._handles.jobs.delete_many({**waiting, "_id": {"$in": ids}})

    async def take_validator(self) -> bool:
        """Node's validator → ours, Node's kept."""
        handles = self._handles
        current = await current_validator(handles.database, handles.jobs.name)
        if recognize(current, handles.jobs.name) != "node":
            return False
        await self._settings.remove(_KIND, _NAME)
        await self._settings.put(_KIND, _NAME, {"json": json_util.dumps(current)}, None)
        await install(handles.database, handles.jobs.name, validator(handles.jobs.name))
        return True

    async def give_validator_back(self) -> bool:
        """Ours → Node's, as it was kept."""
        handles = self._handles
        saved = (await self._settings.all(_KIND)).get(_NAME)
        if saved is None:
            return False
        node: Mapping[str, Any] = json_util.loads(saved["json"])
        await install(handles.database, handles.jobs.name, node, level="strict")
        await self._settings.remove(_KIND, _NAME)
        return True
