"""Who in this process wants to know that something may have changed in the database."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from typing import TypeAlias

from bson import ObjectId

from job_processor.models import SETTLED, WAITING, JobStatus
from job_processor.store.base import EndListener, Hint, HintListener

_NOTHING = Hint(0)
_logger = logging.getLogger("job_processor")


Listener: TypeAlias = Callable[[Hint, Collection[ObjectId] | None], object]
"""Gets a hint and, of settled jobs, their ids; None: any may have been settled."""


def of_hints(listener: HintListener) -> Listener:
    """Return a listener that hands on the hints."""
    return lambda hint, _: listener(hint)


def of_ends(listener: EndListener) -> Listener:
    """Return a listener that hands on which jobs were settled."""

    def forward(hint: Hint, ended: Collection[ObjectId] | None) -> None:
        if hint & Hint.SETTLED:
            listener(ended)

    return forward


def told(states: Iterable[tuple[ObjectId, JobStatus]]) -> tuple[Hint, list[ObjectId]]:
    """Return what a write of these states may mean to a listener, and which jobs it ends."""
    waits, ended = False, []
    for job_id, status in states:
        if status in SETTLED:
            ended.append(job_id)
        elif status in WAITING:
            waits = True
    return (Hint.WORK if waits else _NOTHING) | (Hint.SETTLED if ended else _NOTHING), ended


class HintListeners:
    """Hands each hint to every listener; one that fails is logged and harms nobody."""

    def __init__(self) -> None:
        self._listeners: tuple[Listener, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each hint; returns a function that ends it (twice is harmless)."""

        def forward(hint: Hint, ended: Collection[ObjectId] | None) -> None:
            listener(hint, ended)  # one of our own, so that a listener may be added twice

        self._listeners = (*self._listeners, forward)

        def forget() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not forward)

        return forget

    def emit(self, hint: Hint, ended: Collection[ObjectId] | None = None) -> None:
        """Hand `hint` to the listeners, unless it says nothing."""
        if not hint:
            return
        for listener in self._listeners:
            try:
                listener(hint, ended)
            except BaseException:  # a SystemExit of a listener ends nobody else
                _logger.exception("a listener failed on the hint %s", hint)
