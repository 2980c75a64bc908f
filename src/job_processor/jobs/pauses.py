"""What is paused for all workers: names and tags, as the settings keep them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bson import ObjectId

from job_processor.errors import InvalidArgumentError
from job_processor.models import object_id
from job_processor.parts import Parts
from job_processor.settings import check_name

KIND = "pause"
"""Kind of the settings; the key of each is that of `setting_key`."""

_Group = Literal["name", "tag"]


@dataclass(frozen=True, slots=True)
class Pauses:
    """The names of jobs and crons, and the tags (queues), that are paused."""

    names: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    workers: frozenset[str] = frozenset()
    """Ids of workers that have been asked to stop, as hex digits."""

    @classmethod
    def of(cls, keys: Iterable[str]) -> Pauses:
        """Return the pauses that these keys of the settings mean."""
        groups: Mapping[str, set[str]] = {"name": set(), "tag": set(), "worker": set()}
        for key in keys:
            group, _, value = key.partition(":")
            groups.get(group, set()).add(value)
        return cls(*map(frozenset, (groups["name"], groups["tag"], groups["worker"])))

    def __bool__(self) -> bool:
        return bool(self.names or self.tags)

    def include(self, name: str, tag: str | None) -> bool:
        """Return True if a definition with this name and tag is paused."""
        return name in self.names or (tag is not None and tag in self.tags)


def worker_key(worker_id: object) -> str:
    """Return the key by which a worker is asked to stop."""
    return f"worker:{worker_id}"


def setting_key(name: Any, tag: Any) -> str:
    """Return the key of a pause; raises InvalidArgumentError unless it is one name or one tag."""
    if (name is None) == (tag is None):
        allowed = "allowed is one of the two: the name of a job or cron, or tag="
        raise InvalidArgumentError("name", name, allowed)
    group: _Group = "name" if tag is None else "tag"
    value = name if tag is None else tag
    check_name(group, value)
    return f"{group}:{value}"


async def pause(parts: Parts, name: str | None, tag: str | None) -> None:
    """Let no worker begin anything of one name or of one tag; raises InvalidArgumentError."""
    await _put(parts, setting_key(name, tag))


async def resume(parts: Parts, name: str | None, tag: str | None) -> None:
    """End the pause of one name or of one tag; raises InvalidArgumentError."""
    await parts.store.settings.remove(KIND, setting_key(name, tag))


async def get_pauses(parts: Parts) -> Pauses:
    """Return what is paused."""
    return Pauses.of(await parts.store.settings.all(KIND))


async def stop_worker(parts: Parts, worker_id: ObjectId | str) -> None:
    """Ask a worker to stop; raises InvalidArgumentError when none of this id is registered."""
    id = object_id(worker_id, "worker_id")
    registrations = await parts.store.workers.registrations()
    if all(worker.id != id for worker in registrations.workers):
        allowed = "allowed is the id of a registered worker"
        raise InvalidArgumentError("worker_id", worker_id, allowed)
    await _put(parts, worker_key(id))


async def _put(parts: Parts, key: str) -> None:
    await parts.store.settings.put(KIND, key, {"since": parts.clock.now()}, None)
