"""Desks are made when they are first used."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.desks import DESKS
from tests.samples import simple
from tests.store.contract.conftest import Stores

NOW = datetime(2026, 3, 1, tzinfo=UTC)


async def test_who_only_inserts_has_one_desk(stores: Stores) -> None:
    """A store makes no desk by itself, and a desk no other one that it does not use."""
    store = await stores.open()
    assert not DESKS.keys() & vars(store).keys()
    await store.intake.insert([simple()])
    assert DESKS.keys() & vars(store).keys() == {"intake"}


async def test_each_desk_is_made_once(stores: Stores) -> None:
    """Whoever asks, the store or another desk of it, gets the same one, of its own noun."""
    store = await stores.open()
    for name, kind in DESKS.items():
        made = getattr(store, name)
        assert isinstance(made, kind)
        assert made is getattr(store, name) is store.intake.desk(name)


async def test_a_desk_is_equipped_before_it_is_used(stores: Stores) -> None:
    """With what was given last, whether that was before it was made or after."""
    store = await stores.open()
    store.equip({"waits": lambda waits: setattr(waits, "now", lambda: NOW)})
    assert store.waits.now() == NOW
    given: list[object] = []
    store.equip({"waits": given.append, "groups": given.append})
    assert given == [store.waits]
    assert given == [store.waits, store.groups]
