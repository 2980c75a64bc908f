"""One harmless call of each verb of the store, for rules that hold for all of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from bson import ObjectId

from job_processor.models import JobStatus, Message, Notes, Output, Step
from job_processor.store.desks.lanes import Lanes
from job_processor.store.desks.tokens import Tokens
from job_processor.store.groups import GroupRecord
from job_processor.store.lanes import EVERYWHERE, LaneClaim, LimitBook
from job_processor.store.mongo import MongoStore
from job_processor.store.rates import Pace, Reservation
from job_processor.store.requests import JobQuery, Outcome
from job_processor.store.rollups import Rollup
from job_processor.store.tokens import KeyedRate, RateBook
from job_processor.store.waits import End, job_tag
from tests.samples import NOW, SOON, WORKER, Made, claim, cron, end, simple, worker
from tests.store.contract.test_schedules import schedule

Call: TypeAlias = Callable[[MongoStore], Awaitable[Any]]

_RUN = simple(worker_id=WORKER)
_DONE = Outcome(JobStatus.FINISHED, NOW, Output("--"))
MESSAGE = Message("paid:42", 1, ObjectId(), NOW, SOON)
WAIT = Outcome(JobStatus.PENDING, NOW, scheduled_for=SOON, topics=("paid:42",))
PACE = Pace.of(1, 60.0, 1)
RESERVED = Reservation(granted=1, wait=0.0, tat=0.0, interval=60_000.0)
_GROUP = GroupRecord(id=ObjectId(), created_at=NOW, touched_at=NOW)
_KEYED = simple(unique_key="key")


def _knowing_limits(store: MongoStore) -> Lanes:
    store.lanes.book = LimitBook(lambda: {"resize": 1}, lambda: ["resize"])
    return store.lanes


SWEPT = frozenset(
    {
        "lanes.hand_over",
        "tokens.admit",
        "waits.release",
        "groups.look",
        "groups.release_waiters",
        "messages.waited",
    }
)
"""Verbs that raise nothing when the database does not answer: the write before them holds, and the
next sweep does what they would have."""


def _knowing_rates(store: MongoStore) -> Tokens:
    rates = {"resize": KeyedRate(PACE)}
    store.tokens.book = RateBook(lambda: rates, lambda: ["resize"])
    return store.tokens


WRITES: Mapping[str, Call] = {
    "intake.insert": lambda store: store.intake.insert([simple(), simple()]),
    "intake.put": lambda store: store.intake.put(simple()),
    "queue.claim": lambda store: store.queue.claim(claim(1)),
    "runs.settle": lambda store: store.runs.settle([end(_RUN)]),
    "runs.settle_together": lambda store: store.runs.settle_together(Made([_RUN]), _DONE),
    "runs.move": lambda store: store.runs.move(ObjectId(), ObjectId()),
    "intake.release_key": lambda store: store.intake.release_key(_KEYED),
    "intake.replace": lambda store: store.intake.replace(_KEYED, simple()),
    "runs.save_notes": lambda store: store.runs.save_notes([(_RUN, Notes())]),
    "runs.save_state": lambda store: store.runs.save_state(_RUN, 1),
    "runs.save_step": lambda store: store.runs.save_step(_RUN, Step("a", NOW, NOW)),
    "history.requeue": lambda store: store.history.requeue(ObjectId(), NOW),
    "kills.kill_waiting": lambda store: store.kills.kill_waiting(ObjectId(), NOW),
    "kills.request": lambda store: store.kills.request(ObjectId(), WORKER, NOW),
    "kills.acknowledge": lambda store: store.kills.acknowledge([ObjectId()]),
    "workers.register": lambda store: store.workers.register(worker()),
    "workers.beat": lambda store: store.workers.beat(WORKER, 4096, 1.5),
    "workers.unregister": lambda store: store.workers.unregister(ObjectId()),
    "workers.remove_dead": lambda store: store.workers.remove_dead(worker()),
    "crons.create": lambda store: store.crons.create(cron()),
    "crons.update": lambda store: store.crons.update(cron(), "0 * * * *", SOON, NOW),
    "crons.remove": lambda store: store.crons.remove("unknown"),
    "crons.remove_occurrences": lambda store: store.crons.remove_occurrences("unknown", NOW, ()),
    "crons.skip_waiting": lambda store: store.crons.skip_waiting("unknown", NOW),
    "settings.put": lambda store: store.settings.put("kind", "name", {"a": 1}, None),
    "settings.remove": lambda store: store.settings.remove("kind", "unknown"),
    "settings.remove_before": lambda store: store.settings.remove_before("kind", "unknown"),
    "history.delete": lambda store: store.history.delete([ObjectId()]),
    "rollups.add": lambda store: store.rollups.add([Rollup(60, NOW, {"killed": 1})]),
    "rates.reserve": lambda store: store.rates.reserve("rate:a", PACE, 1),
    "rates.give_back": lambda store: store.rates.give_back("rate:a", RESERVED, 1),
    "rates.hold": lambda store: store.rates.hold("rate:a", 0),
    "history.prune": lambda store: store.history.prune(NOW, 10),
    "messages.put": lambda store: store.messages.put(MESSAGE),
    "messages.deliver": lambda store: store.messages.deliver([MESSAGE.topic], NOW),
    "messages.wake": lambda store: store.messages.wake([ObjectId()]),
    "messages.waited": lambda store: store.messages.waited([WAIT]),
    "schedules.put": lambda store: store.schedules.put(schedule(), None),
    "schedules.remove": lambda store: store.schedules.remove("unknown"),
    "schedules.advance": lambda store: store.schedules.advance([(schedule("a"), schedule("a"))]),
    "schedules.prune": lambda store: store.schedules.prune(NOW, 10),
    "lanes.claim": lambda store: store.lanes.claim(LaneClaim(WORKER, ("resize",), 10, SOON)),
    "lanes.hand_over": lambda store: _knowing_limits(store).hand_over(["resize:a"]),
    "lanes.park": lambda store: store.lanes.park([ObjectId()], "token", NOW),
    "lanes.release": lambda store: store.lanes.release([ObjectId()], NOW),
    "lanes.withdraw": lambda store: store.lanes.withdraw(["resize:a"], NOW, ()),
    "lanes.expire": lambda store: store.lanes.expire(NOW, 10),
    "lanes.retract": lambda store: _knowing_limits(store).retract(["resize:a"]),
    "lanes.dissolve": lambda store: store.lanes.dissolve(["resize:a"], ["resize"], 10),
    "waits.follow": lambda store: store.waits.follow([ObjectId()]),
    "waits.release": lambda store: store.waits.release([End(job_tag(ObjectId()), True)]),
    "waits.bring_back": lambda store: store.waits.bring_back(job_tag(ObjectId()), NOW, 10),
    "tokens.admit": lambda store: _knowing_rates(store).admit(["resize:a"]),
    "tokens.recall": lambda store: store.tokens.recall("resize", NOW, NOW),
    "tokens.hasten": lambda store: store.tokens.hasten("resize:a", NOW),
    "tokens.withdraw": lambda store: store.tokens.withdraw(["resize:a"], NOW, ()),
    "tokens.dissolve": lambda store: store.tokens.dissolve(["resize:a"], ["resize"], 10),
    "groups.open": lambda store: store.groups.open(_GROUP),
    "groups.touch": lambda store: store.groups.touch(ObjectId(), NOW),
    "groups.seal": lambda store: store.groups.seal(ObjectId()),
    "groups.abandon": lambda store: store.groups.abandon(ObjectId(), NOW, "left"),
    "groups.break_off": lambda store: store.groups.break_off(ObjectId(), "killed"),
    "groups.reopen": lambda store: store.groups.reopen(ObjectId(), NOW),
    "groups.look": lambda store: store.groups.look([ObjectId()]),
    "groups.complete": lambda store: store.groups.complete(ObjectId()),
    "groups.serve": lambda store: store.groups.serve(_GROUP),
    "groups.release_waiters": lambda store: store.groups.release_waiters(_GROUP),
    "groups.note_served": lambda store: store.groups.note_served(ObjectId(), 1),
    "groups.mend": lambda store: store.groups.mend([ObjectId()]),
}
READS: Mapping[str, Call] = {
    "ping": lambda store: store.ping(),
    "messages.find": lambda store: store.messages.find([MESSAGE.topic], NOW),
    "messages.waiting": lambda store: store.messages.waiting(10),
    "messages.waiting_for": lambda store: store.messages.waiting_for(MESSAGE.topic, 10),
    "schedules.get": lambda store: store.schedules.get("unknown"),
    "schedules.page": lambda store: store.schedules.page("", 10),
    "schedules.due": lambda store: store.schedules.due(["resize"], NOW, 10),
    "schedules.next_due": lambda store: store.schedules.next_due(["resize"]),
    "schedules.moved_after": lambda store: store.schedules.moved_after(NOW, 10),
    "queue.next_due": lambda store: store.queue.next_due(["resize"]),
    "runs.of_worker": lambda store: store.runs.of_worker(WORKER, 10),
    "kills.requested": lambda store: store.kills.requested([ObjectId()]),
    "workers.registrations": lambda store: store.workers.registrations(),
    "runs.workers": lambda store: store.runs.workers(),
    "crons.all": lambda store: store.crons.all(),
    "settings.all": lambda store: store.settings.all("kind"),
    "settings.last": lambda store: store.settings.last("kind", 10),
    "history.get": lambda store: store.history.get(ObjectId()),
    "history.get_many": lambda store: store.history.get_many([ObjectId()]),
    "history.states_of": lambda store: store.history.states_of([ObjectId()]),
    "history.find": lambda store: store.history.find(JobQuery()),
    "intake.find_holder": lambda store: store.intake.find_holder("resize", "key"),
    "runs.state": lambda store: store.runs.state(ObjectId()),
    "history.count_matching": lambda store: store.history.count_matching(JobQuery(), 10),
    "history.reach": lambda store: store.history.reach(JobQuery(error="x")),
    "rollups.since": lambda store: store.rollups.since(60, NOW),
    "history.count_states": lambda store: store.history.count_states(10),
    "settings.several": lambda store: store.settings.several(["a", "b"]),
    "rollups.of": lambda store: store.rollups.of("name", "a", {60: [NOW]}),
    "rollups.sums": lambda store: store.rollups.sums("name", 60, NOW),
    "rollups.errors": lambda store: store.rollups.errors([NOW], None, 10),
    "history.find_active": lambda store: store.history.find_active("simple", "resize"),
    "history.summaries": lambda store: store.history.summaries(JobQuery()),
    "runs.summaries": lambda store: store.runs.summaries(WORKER, 10),
    "history.summaries_of": lambda store: store.history.summaries_of([ObjectId()]),
    "history.latest": lambda store: store.history.latest([("simple", name) for name in "abc"], 10),
    "workers.vitals": lambda store: store.workers.vitals(),
    "workers.count_alive": lambda store: store.workers.count_alive(),
    "queue.count_due": lambda store: store.queue.count_due(["resize"], NOW, 10),
    "queue.due": lambda store: store.queue.due(NOW, 10),
    "crons.standing_at": lambda store: store.crons.standing_at([ObjectId()]),
    "history.names": lambda store: store.history.names(10),
    "rates.states": lambda store: store.rates.states(10),
    "history.count": lambda store: store.history.count([("simple", "resize")], 10),
    "waits.flows": lambda store: store.waits.flows(None, 10),
    "waits.graph": lambda store: store.waits.graph(ObjectId(), 10),
    "waits.counts_of_flow": lambda store: store.waits.counts_of_flow(ObjectId()),
    "lanes.waiting": lambda store: store.lanes.waiting("", 10),
    "lanes.in_use": lambda store: store.lanes.in_use([EVERYWHERE], 10),
    "lanes.look_at": lambda store: store.lanes.look_at(["resize:a", "resize:b"], 10),
    "lanes.members": lambda store: store.lanes.members("resize:a", 10),
    "lanes.parked": lambda store: store.lanes.parked(["resize"], 10),
    "lanes.holding": lambda store: store.lanes.holding([ObjectId()]),
    "groups.get": lambda store: store.groups.get(ObjectId()),
    "groups.get_many": lambda store: store.groups.get_many([ObjectId()]),
    "groups.newest": lambda store: store.groups.newest(None, 10),
    "groups.unfinished": lambda store: store.groups.unfinished(None, 10),
    "groups.open_of": lambda store: store.groups.open_of([ObjectId()]),
    "groups.counts": lambda store: store.groups.counts(ObjectId()),
    "lanes.next_ready": lambda store: store.lanes.next_ready(["resize"]),
    "waits.waited_for": lambda store: store.waits.waited_for("", 10),
    "waits.parents": lambda store: store.waits.parents([ObjectId()]),
    "waits.followers": lambda store: store.waits.followers(job_tag(ObjectId()), 10),
    "tokens.waiting": lambda store: store.tokens.waiting("", 10),
    "tokens.lanes_of": lambda store: store.tokens.lanes_of([ObjectId()]),
}
VERBS: Mapping[str, Call] = {**WRITES, **READS}
ELSEWHERE = frozenset({"messages.put_in", "intake.insert_in", "waits.follow_in"})
"""What belongs to the caller's own client."""
