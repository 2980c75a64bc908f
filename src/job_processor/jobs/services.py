"""Which names each service defines, with tags, kept in the settings for as long as history is.

A run that a dead worker left is another service's business as long as that may come back; and who
has no definitions knows by it which names and tags there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from job_processor.handlers.registry import Registry
from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.store.desks.settings import Setting

KIND = "service"
LIST_AGAIN = timedelta(days=1)
"""After which a worker lists its names again, so that they are kept while it lives."""


class Listing(NamedTuple):
    """Who listed a name last."""

    service: str
    at: datetime
    tag: str | None = None


async def list_names(store: Store, registry: Registry, settings: Settings) -> None:
    """Keep that a service has handlers of these names; written only where it is news, or a day old.

    Of the names of its other programs and versions those stay that were listed within
    `history_days`. Raises StoreError.
    """
    tags = {name: definition.tag for name, definition in registry if definition.handler is not None}
    if not tags or not store.abilities.needs_heartbeat:  # a database in memory has no other service
        return
    service, kept = settings.service, timedelta(days=settings.history_days)
    again, now = min(LIST_AGAIN, kept / 4), await store.ping()
    while True:
        found = (await store.settings.all(KIND)).get(service)
        listed = _listed(service, found)
        news = {
            name
            for name, tag in tags.items()
            if name not in listed or tag != listed[name].tag or abs(now - listed[name].at) >= again
        }
        if not news:
            return
        kept_on = {name: each for name, each in listed.items() if now - each.at < kept}
        ours = {name: Listing(service, now, tag) for name, tag in tags.items()}
        entries = [_entry(name, each) for name, each in sorted({**kept_on, **ours}.items())]
        if await store.settings.put(KIND, service, {"names": entries}, found):
            return


async def listings(store: Store, now: datetime, kept: timedelta) -> dict[str, Listing]:
    """Return by name which service has listed it last, within `kept`."""
    latest: dict[str, Listing] = {}
    for service, setting in (await store.settings.all(KIND)).items():
        for name, each in _listed(service, setting).items():
            if now - each.at < kept and (name not in latest or each.at > latest[name].at):
                latest[name] = each
    return latest


def names_of(service: str, settings: Mapping[str, Setting]) -> set[str]:
    """Return the names that a service has listed and that are kept still.

    settings: those of this kind.
    """
    return set(_listed(service, settings.get(service)))


def _listed(service: str, setting: Setting | None) -> dict[str, Listing]:
    entries = [] if setting is None else setting["names"]
    return {each["name"]: Listing(service, each["at"], each.get("tag")) for each in entries}


def _entry(name: str, listing: Listing) -> Setting:
    entry: Setting = {"name": name, "at": listing.at}
    return entry if listing.tag is None else {**entry, "tag": listing.tag}
