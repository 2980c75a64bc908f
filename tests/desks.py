"""The verbs of a store by their names, `desk.verb`, and who stands before them."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, TypeAlias

from job_processor.store import Store
from job_processor.store.desks.desk import Desk
from job_processor.store.desks.lazily import Lazily

Verb: TypeAlias = Callable[..., Awaitable[Any]]
Through: TypeAlias = Callable[[str, Verb], Verb]
"""Gets the name of a verb and the verb, and returns what is called in its place."""

DESKS: Mapping[str, type[Desk]] = {
    name: getattr(import_module(f"job_processor.store.desks.{name}"), name.capitalize())
    for name, desk in vars(Store).items()
    if isinstance(desk, Lazily)
}


def verbs() -> set[str]:
    """Return the names of all verbs of the interface."""
    return {
        f"{name}.{verb}"
        for name, desk in DESKS.items()
        for verb, _ in inspect.getmembers(desk, inspect.iscoroutinefunction)
        if not verb.startswith("_")
    }


def at(store: Store, verb: str) -> tuple[Any, str]:
    """Return the desk of a verb and its name there, as `setattr` takes them."""
    desk, _, name = verb.partition(".")
    return getattr(store, desk), name


class Between:
    """Stands before a store or a desk of it, and lets `through` have each verb."""

    def __init__(self, before: Any, through: Through, prefix: str = "") -> None:
        self._before = before
        self._through = through
        self._prefix = prefix

    def __getattr__(self, name: str) -> Any:
        """Return what the store has; its verbs and those of its desks pass through."""
        value = getattr(self._before, name)
        if isinstance(value, Desk):
            self.__dict__[name] = Between(value, self._through, f"{name}.")
            return self.__dict__[name]
        if not inspect.iscoroutinefunction(value):
            return value
        return self._through(self._prefix + name, value)


class _Dead:
    def __getattr__(self, verb: str) -> Any:
        async def nothing(*_: Any) -> int:
            return 0

        return nothing


def dead() -> Any:
    """Return a desk of a process that has died: nothing happens of what is handed on to it."""
    return _Dead()
