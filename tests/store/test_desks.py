"""What is the same on every store: that there is nothing to do, and who is told what was done."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from types import SimpleNamespace
from typing import Any, TypeAlias

import pytest
from bson import ObjectId

from job_processor.models import JobStatus, Output
from job_processor.store.desks.desk import Desk
from job_processor.store.hints import Hint
from job_processor.store.rates import Reservation
from job_processor.store.requests import JobQuery, Outcome, Verdict
from tests.desks import DESKS
from tests.samples import NOW, Made, claim, end, retry, simple

Told: TypeAlias = list[tuple[Hint, Collection[ObjectId] | None]]

ONE, OTHER = simple(), simple()
ENDED = simple(status=JobStatus.SKIPPED, ended_at=NOW)
RUN = simple(status=JobStatus.RUNNING, worker_id=ObjectId())
RESERVED = Reservation(granted=2, wait=0.0, tat=0.0, interval=1000.0)
DONE = Outcome(JobStatus.FINISHED, NOW, Output("--"))
AGAIN = simple(status=JobStatus.RUNNING, worker_id=ObjectId())


def desk(name: str, answer: Callable[..., Any], told: Told) -> Any:
    """Return a desk whose abstract parts give `answer`; what it tells is collected."""

    async def part(*_: Any) -> Any:
        return answer()

    kind = DESKS[name]
    parts = dict.fromkeys(getattr(kind, "__abstractmethods__", ()), part)
    made: Callable[..., Desk] = type(f"Any{kind.__name__}", (kind,), parts)
    beside = SimpleNamespace(desk=lambda other: desk(other, answer, told))
    return made(lambda hint, ended: told.append((hint, ended)) if hint else None, beside)


def never() -> None:
    """Fail: the database was asked."""
    raise AssertionError("the database was asked for nothing")


EMPTY: dict[str, tuple[tuple[Any, ...], Any]] = {
    "intake.insert": (([],), []),
    "queue.claim": ((claim(0),), []),
    "queue.next_due": (([],), None),
    "queue.due": ((NOW, 0), []),
    "runs.settle": (([],), Verdict()),
    "runs.save_notes": (([],), {}),
    "runs.of_worker": ((ObjectId(), 0), []),
    "runs.summaries": ((ObjectId(), 0), []),
    "kills.requested": (([],), set()),
    "kills.acknowledge": (([],), None),
    "history.get_many": (([],), []),
    "history.states_of": (([],), {}),
    "history.find": ((JobQuery(limit=0),), []),
    "history.summaries": ((JobQuery(limit=0),), []),
    "history.latest": (([("simple", "a"), ("simple", "b")], 0), [[], []]),
    "history.names": ((0,), []),
    "history.count": (([], 10), []),
    "history.delete": (([],), set()),
    "rollups.add": (([],), None),
    "groups.get_many": (([],), []),
    "groups.newest": ((None, 0), []),
    "groups.unfinished": ((None, 0), []),
    "groups.open_of": (([],), set()),
    "groups.look": (([],), None),
    "groups.mend": (([],), 0),
    "rates.give_back": (("rate:a", RESERVED, 0), True),
    "messages.find": (([], NOW), {}),
    "messages.deliver": (([], NOW), 0),
    "messages.wake": (([],), 0),
    "messages.waiting": ((0,), []),
    "messages.waiting_for": (("paid:42", 0), []),
}
"""Verbs with arguments that ask for nothing, and what they return then."""


@pytest.mark.parametrize("verb", EMPTY)
async def test_who_asks_for_nothing_asks_no_database(verb: str) -> None:
    """And nobody is told anything."""
    name, _, called = verb.partition(".")
    arguments, answer = EMPTY[verb]
    told: Told = []
    assert await getattr(desk(name, never, told), called)(*arguments) == answer
    assert told == []


WRITES: list[tuple[str, tuple[Any, ...], Any, Told]] = [
    ("intake.insert", ([ONE, ENDED],), [], [(Hint.WORK | Hint.SETTLED, [ENDED.id])]),
    ("intake.insert", ([ONE, OTHER],), [OTHER], [(Hint.WORK, [])]),
    ("intake.insert", ([ONE],), [ONE], []),
    ("intake.put", (ONE,), [], [(Hint.WORK, [])]),
    ("intake.put", (ONE,), [ONE], []),
    ("intake.replace", (ONE, OTHER), ONE, [(Hint.WORK, None)]),
    ("intake.replace", (ONE, OTHER), None, []),
    ("runs.settle", ([end(RUN)],), Verdict({RUN.id}), [(Hint.SETTLED, [RUN.id])]),
    ("runs.settle", ([retry(RUN)],), Verdict({RUN.id}), [(Hint.WORK, [])]),
    ("runs.settle", ([end(RUN), retry(AGAIN)],), Verdict({AGAIN.id}), [(Hint.WORK, [])]),
    ("runs.settle", ([end(RUN)],), Verdict(), []),
    ("runs.settle_together", (Made([RUN]), DONE), Verdict({RUN.id}), [(Hint.SETTLED, [RUN.id])]),
    ("runs.settle_together", (Made([RUN, AGAIN]), DONE), Verdict({RUN.id}), []),
    ("kills.kill_waiting", (ONE.id, NOW), ONE, [(Hint.SETTLED, [ONE.id])]),
    ("kills.kill_waiting", (ONE.id, NOW), None, []),
    ("kills.request", (ONE.id, ObjectId(), NOW), None, [(Hint.KILL, None)]),
    ("history.requeue", (ONE.id, NOW), ONE, [(Hint.WORK, None)]),
    ("history.requeue", (ONE.id, NOW), None, []),
    ("crons.skip_waiting", ("tick", NOW), 2, [(Hint.SETTLED, None)]),
    ("crons.skip_waiting", ("tick", NOW), 0, []),
    ("settings.put", ("kind", "name", {}, None), True, [(Hint.SETTINGS, None)]),
    ("settings.remove", ("kind", "name"), True, [(Hint.SETTINGS, None)]),
    ("rates.hold", ("rate:a", 30.0), None, [(Hint.WORK, None)]),
    ("settings.remove_before", ("kind", "name"), None, [(Hint.SETTINGS, None)]),
    ("messages.wake", ([ONE.id],), 1, [(Hint.WORK, None)]),
    ("messages.wake", ([ONE.id],), 0, []),
]
"""Verbs, what the database answers, and what is told of it."""


@pytest.mark.parametrize(("verb", "arguments", "answer", "wanted"), WRITES)
async def test_what_was_written_is_told_and_nothing_else(
    verb: str, arguments: tuple[Any, ...], answer: Any, wanted: Told
) -> None:
    """Whoever waits learns what may have changed, once it has: not of writes that lost."""
    name, _, called = verb.partition(".")
    told: Told = []
    await getattr(desk(name, lambda: answer, told), called)(*arguments)
    assert told == wanted


async def test_a_store_that_has_the_insert_in_its_queue_tells_of_work_early() -> None:
    """Before it has answered, and only once; that jobs have ended is told afterwards."""
    told: Told = []
    seen: Told = []

    def answer() -> list[Any]:
        seen.extend(told)
        return []

    intake = desk("intake", answer, told)
    type(intake)._early = Hint.WORK
    await intake.insert([ONE, ENDED])
    assert seen == [(Hint.WORK, None)]
    assert told == [(Hint.WORK, None), (Hint.SETTLED, [ENDED.id])]


def test_each_verb_with_a_frame_of_its_own_has_a_part_for_the_store() -> None:
    """An abstract function with an underscore belongs to the verb of its name."""
    for kind in DESKS.values():
        abstract: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
        frames = {name for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction)}
        parts = {name.removeprefix("_") for name in abstract if name.startswith("_")}
        assert parts <= frames - abstract
