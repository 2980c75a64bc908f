"""One harmless call of each verb of the store, for rules that hold for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from bson import ObjectId

from job_processor.models import Notes
from job_processor.store.mongo import MongoStore
from job_processor.store.requests import JobQuery
from job_processor.store.rollups import Rollup
from tests.samples import NOW, SOON, WORKER, claim, cron, end, simple, worker

Call: TypeAlias = Callable[[MongoStore], Awaitable[Any]]

_RUN = simple(worker_id=WORKER)
_KEYED = simple(unique_key="key")

WRITES: Mapping[str, Call] = {
    "insert": lambda store: store.insert([simple(), simple()]),
    "claim": lambda store: store.claim(claim(1)),
    "settle": lambda store: store.settle([end(_RUN)]),
    "move_runs": lambda store: store.move_runs(ObjectId(), ObjectId()),
    "release_key": lambda store: store.release_key(_KEYED),
    "replace": lambda store: store.replace(_KEYED, simple()),
    "save_notes": lambda store: store.save_notes([(_RUN, Notes())]),
    "save_state": lambda store: store.save_state(_RUN, 1),
    "requeue": lambda store: store.requeue(ObjectId(), NOW),
    "kill_waiting": lambda store: store.kill_waiting(ObjectId(), NOW),
    "request_kill": lambda store: store.request_kill(ObjectId(), WORKER, NOW),
    "acknowledge_kills": lambda store: store.acknowledge_kills([ObjectId()]),
    "register": lambda store: store.register(worker()),
    "beat": lambda store: store.beat(WORKER, 4096, 1.5),
    "unregister": lambda store: store.unregister(ObjectId()),
    "remove_dead": lambda store: store.remove_dead(worker()),
    "create_cron": lambda store: store.create_cron(cron()),
    "update_cron": lambda store: store.update_cron(cron(), "0 * * * *", SOON, NOW),
    "remove_cron": lambda store: store.remove_cron("unknown"),
    "remove_occurrences": lambda store: store.remove_occurrences("unknown", NOW, ()),
    "skip_waiting": lambda store: store.skip_waiting("unknown", NOW),
    "put_setting": lambda store: store.put_setting("kind", "name", {"a": 1}, None),
    "remove_setting": lambda store: store.remove_setting("kind", "unknown"),
    "remove_settings_before": lambda store: store.remove_settings_before("kind", "unknown"),
    "delete": lambda store: store.delete([ObjectId()]),
    "add_rollups": lambda store: store.add_rollups([Rollup(60, NOW, {"killed": 1})]),
    "prune": lambda store: store.prune(NOW, 10),
}
READS: Mapping[str, Call] = {
    "ping": lambda store: store.ping(),
    "next_due": lambda store: store.next_due(["resize"]),
    "runs_of": lambda store: store.runs_of(WORKER, 10),
    "kill_requests": lambda store: store.kill_requests([ObjectId()]),
    "registrations": lambda store: store.registrations(),
    "running_worker_ids": lambda store: store.running_worker_ids(),
    "crons": lambda store: store.crons(),
    "settings": lambda store: store.settings("kind"),
    "last_settings": lambda store: store.last_settings("kind", 10),
    "get": lambda store: store.get(ObjectId()),
    "get_many": lambda store: store.get_many([ObjectId()]),
    "states_of": lambda store: store.states_of([ObjectId()]),
    "find": lambda store: store.find(JobQuery()),
    "find_holder": lambda store: store.find_holder("resize", "key"),
    "state": lambda store: store.state(ObjectId()),
    "count_matching": lambda store: store.count_matching(JobQuery(), 10),
    "rollups": lambda store: store.rollups(60, NOW),
    "find_active": lambda store: store.find_active("simple", "resize"),
    "find_summaries": lambda store: store.find_summaries(JobQuery()),
    "summaries_of_runs": lambda store: store.summaries_of_runs(WORKER, 10),
    "latest": lambda store: store.latest([("simple", name) for name in "abc"], 10),
    "vitals": lambda store: store.vitals(),
    "count_alive": lambda store: store.count_alive(),
    "queue": lambda store: store.queue(NOW, 10),
    "names": lambda store: store.names(10),
    "count": lambda store: store.count([("simple", "resize")], 10),
}
VERBS: Mapping[str, Call] = {**WRITES, **READS}
LIFE = frozenset({"setup", "close", "subscribe", "on_ended", "open_pulse", "insert_in"})
"""What is no verb, or belongs to the caller's own client."""
