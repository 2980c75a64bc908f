"""Settings: small documents that only whoever knows the last value replaces."""

from __future__ import annotations

import asyncio

from job_processor.store import Store
from tests.samples import NOW, WORKER
from tests.store.contract.conftest import Stores

VALUE = {"b": 1, "a": {"y": [1, {"x": None}], "c": "d"}, "at": NOW, "by": WORKER, "on": True}


async def test_a_setting_is_put_where_there_is_none(store: Store) -> None:
    """Expecting none, the first wins; a second is refused and changes nothing."""
    assert await store.settings.all("owner") == {}
    assert await store.settings.put("owner", "nightly", VALUE, None)
    assert not await store.settings.put("owner", "nightly", {"a": 2}, None)
    assert not await store.settings.put("owner", "nightly", VALUE, None)
    assert await store.settings.all("owner") == {"nightly": VALUE}


async def test_a_setting_is_replaced_by_who_knows_it(store: Store) -> None:
    """Expecting what stands there, the whole of it is replaced; expecting else changes nothing."""
    await store.settings.put("owner", "nightly", VALUE, None)
    for stale in ({}, {"b": 1}, {**VALUE, "more": 1}, {**VALUE, "b": 2}, {**VALUE, "a": None}):
        assert not await store.settings.put("owner", "nightly", {"lost": True}, stale)
    assert await store.settings.all("owner") == {"nightly": VALUE}
    assert await store.settings.put("owner", "nightly", {"c": 3}, VALUE)
    assert await store.settings.all("owner") == {"nightly": {"c": 3}}
    assert not await store.settings.put("owner", "nightly", {"d": 4}, VALUE)


async def test_the_order_of_fields_does_not_matter(store: Store) -> None:
    """Two values with the same fields are equal, whatever their order, at every level."""
    await store.settings.put("owner", "nightly", {"a": 1, "b": {"c": [{"d": 1, "e": 2}]}}, None)
    same = {"b": {"c": [{"e": 2, "d": 1}]}, "a": 1}
    assert await store.settings.put("owner", "nightly", {"a": 2}, same)


async def test_what_is_absent_is_not_replaced(store: Store) -> None:
    """Expecting a value where there is none loses, and stores nothing."""
    assert not await store.settings.put("owner", "nightly", VALUE, VALUE)
    assert not await store.settings.put("owner", "nightly", VALUE, {})
    assert await store.settings.all("owner") == {}


async def test_an_empty_setting_is_not_an_absent_one(store: Store) -> None:
    """An empty document is a value, that is expected as such."""
    assert await store.settings.put("pause", "resize", {}, None)
    assert not await store.settings.put("pause", "resize", {"a": 1}, None)
    assert await store.settings.put("pause", "resize", {"a": 1}, {})


async def test_kinds_and_names_are_kept_apart(store: Store) -> None:
    """A setting belongs to one kind and one name, whatever characters are in the name."""
    names = ["a", "a:b", "a.b", "$a", "ä", "", "'\"%_"]
    for i, name in enumerate(names):
        assert await store.settings.put("owner", name, {"i": i}, None)
        assert await store.settings.put("owners", name, {"other": i}, None)
    assert await store.settings.all("owner") == {name: {"i": i} for i, name in enumerate(names)}
    assert await store.settings.all("own") == {}
    await store.settings.remove("owner", "a")
    assert "a" not in await store.settings.all("owner")
    assert len(await store.settings.all("owners")) == len(names)


async def test_a_setting_is_removed(store: Store) -> None:
    """Present → absent; what is gone is no matter, and can be put again."""
    await store.settings.put("owner", "nightly", VALUE, None)
    for _ in range(2):
        await store.settings.remove("owner", "nightly")
        assert await store.settings.all("owner") == {}
    assert await store.settings.put("owner", "nightly", {"a": 1}, None)


async def test_of_many_that_put_a_setting_one_wins(stores: Stores) -> None:
    """Ten put the first value, and ten replace it: each time exactly one wins, and it stands."""
    everyone = await stores.several(10)
    present = None
    for round in range(3):
        values = [{"round": round, "by": i} for i in range(len(everyone))]
        won = await asyncio.gather(
            *(
                store.settings.put("owner", "nightly", value, present)
                for store, value in zip(everyone, values, strict=True)
            )
        )
        assert won.count(True) == 1
        present = values[won.index(True)]
        assert await everyone[0].settings.all("owner") == {"nightly": present}


async def test_a_counter_loses_no_increment(stores: Stores) -> None:
    """Compare-and-set, repeated until it wins, adds up."""
    everyone = await stores.several(5)
    await everyone[0].settings.put("count", "all", {"n": 0}, None)

    async def add(store: Store) -> None:
        for _ in range(4):
            while True:
                present = (await store.settings.all("count"))["all"]
                if await store.settings.put("count", "all", {"n": present["n"] + 1}, present):
                    break

    await asyncio.gather(*(add(store) for store in everyone))
    assert await everyone[0].settings.all("count") == {"all": {"n": 20}}


async def test_the_last_settings_of_a_kind(store: Store) -> None:
    """They are bounded in number and come last first; another kind is another list."""
    for name in ("b", "d", "a", "c"):
        await store.settings.put("note", name, {"is": name}, None)
        await store.settings.put("notes", name, {"other": name}, None)
    assert list(await store.settings.last("note", 3)) == ["d", "c", "b"]
    assert await store.settings.last("note", 1) == {"d": {"is": "d"}}
    assert len(await store.settings.last("note", 10)) == 4
    assert await store.settings.last("not", 10) == {}


async def test_settings_before_a_name_are_removed(store: Store) -> None:
    """Those of this kind alone, and neither the name itself nor what comes after it."""
    for name in ("a", "b", "c"):
        await store.settings.put("note", name, {"is": name}, None)
        await store.settings.put("notes", name, {"other": name}, None)
        await store.settings.put("not", name, {"other": name}, None)
    await store.settings.remove_before("note", "b")
    assert sorted(await store.settings.all("note")) == ["b", "c"]
    assert sorted(await store.settings.all("notes")) == ["a", "b", "c"]
    assert sorted(await store.settings.all("not")) == ["a", "b", "c"]


async def test_a_setting_is_removed_as_it_was_read(store: Store) -> None:
    """Changed meanwhile it stays, and the caller is told; without a condition it goes."""
    read = {"service": "shop", "listed_at": NOW, "seen": ["a", "b"]}
    assert await store.settings.put("owner", "a", read, None)
    changed = {**read, "seen": ["a"]}
    assert await store.settings.put("owner", "a", changed, read)
    assert not await store.settings.remove("owner", "a", read)
    assert await store.settings.all("owner") == {"a": changed}
    assert await store.settings.remove("owner", "a", changed)
    assert not await store.settings.remove("owner", "a", changed)
    assert await store.settings.put("owner", "a", read, None)
    assert await store.settings.remove("owner", "a")
    assert not await store.settings.remove("owner", "a")


async def test_several_kinds_are_read_at_once(store: Store) -> None:
    """Each by its names; a kind that begins like another one is none of it."""
    await store.settings.put("a", "x", {"n": 1}, None)
    await store.settings.put("ab", "x", {"n": 2}, None)
    await store.settings.put("b", "y", {"n": 3}, None)
    found = await store.settings.several(["a", "b", "c"])
    assert found == {"a": {"x": {"n": 1}}, "b": {"y": {"n": 3}}, "c": {}}
    assert await store.settings.several([]) == {}
