"""Who in this process wants to know that something may have changed in the database."""

from __future__ import annotations

import logging
from collections.abc import Callable

from job_processor.store.base import Hint, HintListener

_logger = logging.getLogger("job_processor")


class HintListeners:
    """Hands each hint to every listener; one that fails is logged and harms nobody."""

    def __init__(self) -> None:
        self._listeners: tuple[HintListener, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._listeners)

    def add(self, listener: HintListener) -> Callable[[], None]:
        """Call `listener` with each hint; returns a function that ends it (twice is harmless)."""

        def forward(hint: Hint) -> None:  # one of our own, so that a listener may be added twice
            listener(hint)

        self._listeners = (*self._listeners, forward)

        def forget() -> None:
            self._listeners = tuple(other for other in self._listeners if other is not forward)

        return forget

    def emit(self, hint: Hint) -> None:
        """Hand `hint` to the listeners, unless it says nothing."""
        if not hint:
            return
        for listener in self._listeners:
            try:
                listener(hint)
            except Exception:
                _logger.exception("a listener failed on the hint %s", hint)
