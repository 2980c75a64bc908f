"""That something may have changed in the database: what is told, and to whom in this process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from enum import Flag, auto
from typing import TypeAlias

from bson import ObjectId

from job_processor.listeners import Listeners
from job_processor.models import SETTLED, WAITING, JobStatus

_logger = logging.getLogger("job_processor")


class Hint(Flag):
    """What may have changed. A hint is never the truth: whoever gets one looks."""

    WORK = auto()
    """A job may have become claimable."""
    KILL = auto()
    """A kill request may have arrived."""
    SETTLED = auto()
    """A job may have been settled."""
    FREED = auto()
    """This process has freed a slot of a lane without a key, which nobody is handed."""
    SETTINGS = auto()
    """A setting may have changed."""
    SCHEDULES = auto()
    """A schedule may have been put."""
    NODE = auto()
    """A worker of the Node package may have begun, which rearranges what we share with it."""


NOTHING = Hint(0)

ANYTHING = Hint.WORK | Hint.KILL | Hint.SETTLED | Hint.SETTINGS | Hint.SCHEDULES
"""All that processes of ours change; a store that Node knows adds `Hint.NODE`."""

HintListener: TypeAlias = Callable[[Hint], object]

EndListener: TypeAlias = Callable[[Collection[ObjectId] | None], object]
"""Gets the ids of jobs that were settled; None: any may have been."""

Tell: TypeAlias = Callable[[Hint, Collection[ObjectId] | None], object]
"""Gets a hint and, of settled jobs, their ids; None: any may have been settled."""


def of_hints(listener: HintListener) -> Tell:
    """Return a listener that hands on the hints."""
    return lambda hint, _: listener(hint)


def of_ends(listener: EndListener) -> Tell:
    """Return a listener that hands on which jobs were settled."""

    def forward(hint: Hint, ended: Collection[ObjectId] | None) -> None:
        if hint & Hint.SETTLED:
            listener(ended)

    return forward


_MEANING = {
    (False, False): NOTHING,
    (True, False): Hint.WORK,
    (False, True): Hint.SETTLED,
    (True, True): Hint.WORK | Hint.SETTLED,
}
"""By whether something waits, and whether something has ended."""


def told(states: Iterable[tuple[ObjectId, JobStatus]]) -> tuple[Hint, list[ObjectId]]:
    """Return what a write of these states may mean to a listener, and which jobs it ends."""
    waits, ended = False, []
    for job_id, status in states:
        if status in SETTLED:
            ended.append(job_id)
        elif status in WAITING:
            waits = True
    return _MEANING[waits, bool(ended)], ended


class HintListeners(Listeners[Tell]):
    """Hands each hint to every listener; one that fails is logged and harms nobody."""

    def tell(self, hint: Hint, ended: Collection[ObjectId] | None = None) -> None:
        """Hand `hint` to the listeners, unless it says nothing."""
        if not hint:
            return
        for listener in self.all:
            try:
                listener(hint, ended)
            except BaseException:  # a SystemExit of a listener ends nobody else
                _logger.exception("a listener failed on the hint %s", hint)
