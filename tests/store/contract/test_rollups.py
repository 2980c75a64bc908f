"""Counts of spans of time: what is added, what stays apart, and how long."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from bson import ObjectId

from job_processor.store import Store
from job_processor.store.error_groups import ERRORS_KEPT, GROUPS_KEPT, ErrorGroup
from job_processor.store.name_rollups import NAME_SPANS, NameRollup
from job_processor.store.rollups import (
    HOUR,
    KEPT,
    MINUTE,
    OTHERS,
    TEN_MINUTES,
    Rollup,
    start_of,
)
from tests.samples import NOW

NAMES = ["a", "a.b", "$a", "ü %2E", "x" * 200, "a:b;c"]
START = start_of(NOW, HOUR)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("name", NAMES)
async def test_rollups_add_up(store: Store, name: str) -> None:
    """Counts of one span are added, whatever a name holds; spans are read from a time on."""
    start = start_of(NOW, MINUTE)
    first = Rollup(MINUTE, start, {"finished": 2, "errored": 1}, {name: 1}, {0: 2, 5: 1})
    more = Rollup(MINUTE, start, {"finished": 3}, {name: 2, "other": 1}, {5: 1, 23: 4})
    long = Rollup(TEN_MINUTES, start_of(NOW, TEN_MINUTES), {"killed": 1})
    await store.rollups.add([first, long])
    await store.rollups.add([more])
    await store.rollups.add([])
    assert await store.rollups.since(MINUTE, start) == [first.plus(more)]
    assert await store.rollups.since(TEN_MINUTES, long.start) == [long]
    assert await store.rollups.since(MINUTE, start_of(NOW, 1).replace(year=2100)) == []
    assert await store.settings.all("pause") == {}


@pytest.mark.parametrize("name", NAMES)
async def test_rollups_of_names_add_up(store: Store, name: str) -> None:
    """Each of its kind, name, length and start; a tag that is called like a name is apart."""
    first = NameRollup("name", name, MINUTE, START, {"finished": 2}, {0: 2}, {120: 1})
    more = NameRollup("name", name, MINUTE, START, {"errored": 1}, {0: 1, 3: 1}, {})
    later = replace(more, start=START + timedelta(minutes=2))
    tag, hour = replace(first, kind="tag"), replace(first, seconds=HOUR)
    other = replace(first, name="another")
    await store.rollups.add([], [first, tag, later])
    await store.rollups.add([], [more, hour, other])
    rollups = store.rollups
    starts = [START + timedelta(minutes=n) for n in (2, 1, 0)]
    both = first.plus(more)
    assert both.counts == {"finished": 2, "errored": 1}
    assert await rollups.of("name", name, {MINUTE: starts}) == [both, later]
    assert await rollups.of("name", name, {MINUTE: starts[:1]}) == [later]
    assert await rollups.of("name", name, {MINUTE: []}) == []
    assert await rollups.of("tag", name, {MINUTE: starts}) == [tag]
    assert await rollups.of("name", name, {HOUR: starts}) == [hour]
    every = await rollups.of("name", name, {HOUR: starts, MINUTE: starts})
    assert every == [both, later, hour]
    expected = sorted([both.plus(later), other], key=lambda each: each.name)
    assert await rollups.sums("name", MINUTE, START) == expected
    assert await rollups.sums("name", MINUTE, later.start) == [later]
    assert await rollups.sums("tag", MINUTE, START) == [tag]
    assert await rollups.sums("all", MINUTE, START) == []
    assert await rollups.sums("name", MINUTE, START, ["errored", "x"]) == [both.plus(later)]
    assert await rollups.sums("name", MINUTE, START, ["killed"]) == []


@pytest.mark.parametrize("name", NAMES)
async def test_errors_are_grouped(store: Store, name: str) -> None:
    """Those of a name with the same text add up, over hours; the most frequent come first."""
    jobs = [ObjectId() for _ in range(3)]
    hour = timedelta(hours=1)
    text = "$where: {'a.b'} <n>"
    first = ErrorGroup(name, START, text, 2, jobs[0], START + 5 * SECOND)
    early = ErrorGroup(name, START, text, 1, jobs[1], START + 3 * SECOND)
    later = ErrorGroup(name, START + hour, text, 1, jobs[2], START + hour)
    rare = ErrorGroup(name, START, "rare", 1, None, START)
    other = ErrorGroup("another", START, text, 3, jobs[0], START)
    await store.rollups.add([], [], [first, rare])
    await store.rollups.add([], [], [early, later, other])
    find = store.rollups.errors
    whole = replace(first, count=4, last_job=jobs[2], last_at=START + hour)
    assert await find([START, START + hour], name, 10) == [whole, rare]
    within = replace(first, count=3)
    assert [each.count for each in await find([START], name, 10)] == [within.count, 1]
    assert (await find([START], name, 10))[0].last_at == first.last_at
    assert [each.name for each in await find([START, START + hour], None, 10)][:2] == [
        name,
        "another",
    ]
    assert len(await find([START, START + hour], None, 2)) == 2
    assert await find([], name, 10) == []


async def test_only_so_many_errors_stay_apart(store: Store) -> None:
    """Of a name and an hour; the others count as one, whoever writes at the same time."""
    count = GROUPS_KEPT - 10
    parts = [
        [ErrorGroup("a", START, f"{part}-{n}", 1, ObjectId(), NOW) for n in range(count)]
        for part in range(2)
    ]
    await asyncio.gather(*(store.rollups.add([], [], part) for part in parts))
    await store.rollups.add([], [], [replace(parts[0][0], count=5), replace(parts[0][0], name="b")])
    groups = {each.text: each for each in await store.rollups.errors([START], "a", 1000)}
    assert len(groups) == GROUPS_KEPT + 1
    assert groups[OTHERS].count >= 2 * count - GROUPS_KEPT
    assert sum(each.count for each in groups.values()) == 2 * count + 5
    await store.rollups.add([], [], [ErrorGroup("a", START, OTHERS, 7, None, NOW)])
    assert len(await store.rollups.errors([START], "a", 1000)) == GROUPS_KEPT + 1


async def test_old_rollups_go(store: Store) -> None:
    """With the history, by the database's clock: of all, of names, and errors."""

    def rollups(back: timedelta) -> list[Rollup]:
        return [Rollup(s, start_of(NOW - back - age, s), {"killed": 1}) for s, age in KEPT.items()]

    def named(back: timedelta) -> list[NameRollup]:
        return [
            NameRollup("name", "a", s, start_of(NOW - back - KEPT[s], s), {"killed": 1})
            for s in NAME_SPANS
        ]

    margin = timedelta(days=2)
    old_error = ErrorGroup("a", start_of(NOW - ERRORS_KEPT - 2 * margin, HOUR), "x", 1, None, NOW)
    await store.rollups.add(rollups(margin), named(margin), [old_error])
    kept = [Rollup(s, start_of(NOW, s), {"killed": 1}) for s in KEPT]
    kept_named = [NameRollup("name", "a", s, start_of(NOW, s), {"killed": 1}) for s in NAME_SPANS]
    error = ErrorGroup("a", START, "x", 1, None, NOW)
    await store.rollups.add(kept, kept_named, [error])
    await store.history.prune(NOW, 10)
    long_ago = NOW - timedelta(days=365)
    found = [await store.rollups.since(seconds, long_ago) for seconds in KEPT]
    assert found == [[each] for each in kept]
    assert [await store.rollups.sums("name", s, long_ago) for s in NAME_SPANS] == [
        [each] for each in kept_named
    ]
    assert await store.rollups.errors([old_error.start, START], None, 10) == [error]
