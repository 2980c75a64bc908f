"""What was changed for all workers while they run, kept in the settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from job_processor.store import Store
from job_processor.store.desks.settings import Setting


async def change(
    store: Store, kind: str, name: str, changed: Callable[[Setting], dict[str, Any]]
) -> None:
    """Replace what is kept of a name by compare-and-set, until nobody else gets in between.

    changed: makes what is to be kept of what is there; empty for nothing.
    """
    while True:
        present = (await store.settings.all(kind)).get(name)
        wanted = changed(present or {})
        if wanted == (present or {}):
            return
        if wanted:
            done = await store.settings.put(kind, name, wanted, present)
        else:
            done = await store.settings.remove(kind, name, present)
        if done:
            return
