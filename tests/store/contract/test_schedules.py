"""Schedules that were made at run time: found by when they are due, changed by who knows them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from job_processor.store import Store
from job_processor.store.hints import Hint
from job_processor.store.schedules import Schedule
from tests.samples import LATER, MS, NOW, SECOND, SOON, WORKER
from tests.store.contract.conftest import Stores

HOUR = timedelta(hours=1)
WHOLE: dict[str, Any] = {
    "payload": {"$ref": 1, "$id": {"b": 1, "a": [NOW, b"x", WORKER]}},
    "cron": None,
    "every": timedelta(minutes=5),
    "anchor": NOW,
    "timezone": "Europe/Paris",
    "start": NOW,
    "end": LATER,
    "limit": 3,
    "misfire": "all",
    "priority": 4,
    "expires_after": 2.5,
    "unique_key": "k",
    "limit_key": "tenant",
    "rev": 7,
    "paused": True,
    "last": NOW,
    "last_job": WORKER,
    "made": 2,
    "problem": "it is so",
    "ended_at": LATER,
    "again": 1,
    "again_until": LATER,
}


def schedule(name: str = "digest:1", **fields: Any) -> Schedule:
    """Return a schedule that is due now."""
    given: dict[str, Any] = {
        "job": "digest",
        "cron": "0 8 * * *",
        "next": NOW,
        "created_at": NOW,
        "updated_at": NOW,
        "moved_at": NOW,
    }
    return Schedule(name=name, **{**given, **fields})


async def names(store: Store, now: datetime = SOON, limit: int = 10) -> list[str]:
    """Return the schedules of digests that are due."""
    return [each.name for each in await store.schedules.due(["digest"], now, limit)]


@pytest.mark.parametrize("fields", [{}, WHOLE, *({name: WHOLE[name]} for name in WHOLE)])
async def test_a_schedule_comes_back_as_it_was_put(store: Store, fields: dict[str, Any]) -> None:
    """Each field, and all of them; whatever characters its name has."""
    for name in ("digest:1", "a.b", "$a", "'\"%_", "ä"):
        put = schedule(name, **fields)
        assert await store.schedules.put(put, None)
        found = await store.schedules.get(name)
        assert found == put
        assert found is not None
        assert list((found.payload or {}).items()) == list((put.payload or {}).items())
    assert await store.schedules.get("none") is None


async def test_it_is_put_by_who_knows_what_stands(store: Store) -> None:
    """Where there is none, by the first; then by whoever knows the token of the last write."""
    assert await store.schedules.put(schedule(), None)
    assert not await store.schedules.put(schedule(rev=2), None)
    found = await store.schedules.get("digest:1")
    assert found is not None
    assert await store.schedules.put(replace(found, rev=2), found.token)
    assert not await store.schedules.put(replace(found, rev=3), found.token)
    present = await store.schedules.get("digest:1")
    assert present is not None
    assert (present.rev, present.token != found.token) == (2, True)
    assert not await store.schedules.put(schedule("another"), found.token)
    assert await store.schedules.get("another") is None


async def test_what_was_removed_and_put_anew_is_another(store: Store) -> None:
    """Who knew the one before it writes nothing."""
    await store.schedules.put(schedule(), None)
    before = await store.schedules.get("digest:1")
    assert before is not None
    assert await store.schedules.remove("digest:1")
    assert not await store.schedules.remove("digest:1")
    await store.schedules.put(schedule(), None)
    assert not await store.schedules.put(replace(before, rev=9), before.token)
    assert await store.schedules.advance([(before, before)]) == set()


async def test_pages_are_by_name(store: Store) -> None:
    """From behind a name on, of one job or of all."""
    for name, job in (("c", "x"), ("a", "x"), ("b", "y"), ("d", "x")):
        await store.schedules.put(schedule(name, job=job), None)
    page = store.schedules.page
    assert [each.name for each in await page("", 10)] == ["a", "b", "c", "d"]
    assert [each.name for each in await page("a", 2)] == ["b", "c"]
    assert [each.name for each in await page("", 10, "x")] == ["a", "c", "d"]
    assert [each.name for each in await page("a", 1, "x")] == ["c"]
    assert await page("", 0) == []


async def test_what_is_due_comes_the_earliest_first(store: Store) -> None:
    """Of the jobs that are asked for; not what is later, is paused, or has ended."""
    await store.schedules.put(schedule("second", next=NOW), None)
    await store.schedules.put(schedule("first", next=NOW - HOUR), None)
    await store.schedules.put(schedule("later", next=LATER), None)
    await store.schedules.put(schedule("paused", next=NOW, paused=True), None)
    await store.schedules.put(schedule("ended", next=None), None)
    await store.schedules.put(schedule("other", job="mail", next=NOW - 2 * HOUR), None)
    assert await names(store) == ["first", "second"]
    assert await names(store, limit=1) == ["first"]
    assert await names(store, NOW - MS) == ["first"]
    assert await names(store, LATER) == ["first", "second", "later"]
    assert await store.schedules.due([], SOON, 10) == []
    assert await store.schedules.next_due(["digest"]) == NOW - HOUR
    assert await store.schedules.next_due(["mail", "digest"]) == NOW - 2 * HOUR
    assert await store.schedules.next_due(["none"]) is None
    assert await store.schedules.next_due([]) is None


async def test_of_many_jobs_the_earliest_is_found(store: Store) -> None:
    """However many are asked for at once."""
    for number in range(3):
        each = schedule(f"s{number}", job=f"job{99 - number}", next=NOW + number * SECOND)
        await store.schedules.put(each, None)
    jobs = [f"job{number}" for number in range(120)]
    assert await store.schedules.next_due(jobs) == NOW
    found = await store.schedules.due(jobs, LATER, 2)
    assert [each.name for each in found] == ["s0", "s1"]


async def test_many_are_moved_on_at_once(store: Store) -> None:
    """Each guarded on its own: who lost is not among the winners, and stays as it is."""
    for name in ("a", "b", "c"):
        await store.schedules.put(schedule(name), None)
    found = await store.schedules.due(["digest"], SOON, 10)
    await store.schedules.remove("b")
    moves = [(each, replace(each, next=LATER, made=1)) for each in found]
    assert await store.schedules.advance(moves) == {"a", "c"}
    assert await store.schedules.advance(moves) == set()
    assert await store.schedules.get("b") is None
    assert [each.made for each in await store.schedules.page("", 10)] == [1, 1]
    assert await store.schedules.advance([]) == set()


async def test_of_two_who_move_one_on_one_wins(stores: Stores) -> None:
    """The other one's is as if it had never been."""
    first, second = await stores.several(2)
    await first.schedules.put(schedule(), None)
    found = await first.schedules.get("digest:1")
    assert found is not None
    won = await asyncio.gather(
        *(each.schedules.advance([(found, replace(found, made=1))]) for each in (first, second))
    )
    assert sorted(map(len, won)) == [0, 1]


async def test_what_was_computed_later_is_found(store: Store) -> None:
    """By the clock of whoever did it."""
    await store.schedules.put(schedule("right", moved_at=NOW), None)
    await store.schedules.put(schedule("ahead", moved_at=NOW + HOUR), None)
    found = await store.schedules.moved_after(SOON, 10)
    assert [each.name for each in found] == ["ahead"]
    assert await store.schedules.moved_after(NOW + HOUR, 10) == []


async def test_what_has_ended_goes_after_a_while(store: Store) -> None:
    """Those that ended before a time, at most so many; what goes on stays."""
    for number in range(3):
        await store.schedules.put(schedule(f"s{number}", next=None, ended_at=NOW - HOUR), None)
    await store.schedules.put(schedule("new", next=None, ended_at=NOW), None)
    await store.schedules.put(schedule("on"), None)
    assert await store.schedules.prune(NOW, 2) == 2
    assert await store.schedules.prune(NOW, 2) == 1
    assert await store.schedules.prune(NOW, 2) == 0
    assert [each.name for each in await store.schedules.page("", 10)] == ["new", "on"]


async def test_who_listens_hears_of_a_put(stores: Stores) -> None:
    """In this process at once, in others as the database tells."""
    first, second = await stores.several(2)
    heard = asyncio.Event()
    forget = second.subscribe(lambda hint: heard.set() if hint & Hint.SCHEDULES else None)
    try:
        async with asyncio.timeout(60):
            await heard.wait()  # of whatever was before
            heard.clear()
            while not heard.is_set():
                await first.schedules.put(schedule(f"s{asyncio.get_running_loop().time()}"), None)
                await asyncio.sleep(0.05)
    finally:
        forget()


async def test_what_a_later_version_keeps_in_it_stays(store: Store) -> None:
    """Whoever moves it on writes it back."""
    await store.schedules.put(replace(schedule(), stored={"colour": "green"}), None)
    found = await store.schedules.get("digest:1")
    assert found is not None
    await store.schedules.advance([(found, replace(found, made=1))])
    again = await store.schedules.get("digest:1")
    assert again is not None
    assert (again.made, again.stored["colour"]) == (1, "green")
