"""Which names each service defines, kept in the settings for as long as history is.

A run that a dead worker left is another service's business as long as that may come back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from job_processor.handlers.registry import Registry
from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.store.base import Setting

KIND = "service"
LIST_AGAIN = timedelta(days=1)
"""After which a worker lists its names again, so that they are kept while it lives."""


class Listing(NamedTuple):
    """Who listed a name last."""

    service: str
    at: datetime


async def list_names(store: Store, registry: Registry, settings: Settings) -> None:
    """Keep that a service has handlers of these names; written only where it is news, or a day old.

    Of the names of its other programs and versions those stay that were listed within
    `history_days`. Raises StoreError.
    """
    names = [name for name, definition in registry if definition.handler is not None]
    if (
        not names or not store.abilities.needs_heartbeat
    ):  # a database in memory has no other service
        return
    service, kept = settings.service, timedelta(days=settings.history_days)
    again, now = min(LIST_AGAIN, kept / 4), await store.ping()
    while True:
        found = (await store.settings.all(KIND)).get(service)
        listed = _times(found)
        if all(name in listed and abs(now - listed[name]) < again for name in names):
            return
        kept_on = {name: at for name, at in listed.items() if now - at < kept}
        entries = [
            {"name": name, "at": at}
            for name, at in sorted({**kept_on, **dict.fromkeys(names, now)}.items())
        ]
        if await store.settings.put(KIND, service, {"names": entries}, found):
            return


async def listings(store: Store, now: datetime, kept: timedelta) -> dict[str, Listing]:
    """Return by name which service has listed it last, within `kept`."""
    latest: dict[str, Listing] = {}
    for service, setting in (await store.settings.all(KIND)).items():
        for name, at in _times(setting).items():
            if now - at < kept and (name not in latest or at > latest[name].at):
                latest[name] = Listing(service, at)
    return latest


def _times(setting: Setting | None) -> dict[str, datetime]:
    return {} if setting is None else {each["name"]: each["at"] for each in setting["names"]}
