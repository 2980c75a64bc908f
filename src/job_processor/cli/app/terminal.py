"""A console on which nothing that is shown can steer the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.segment import Segment

from job_processor.texts import harmless


class PlainConsole(Console):
    """Takes text as it stands, whatever a database holds: no markup, no emoji, no escapes."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render(self, renderable: Any, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return what is to be printed; what moves the cursor is rich's own."""
        for segment in super().render(renderable, options):
            if segment.control is None:
                yield Segment(harmless(segment.text), segment.style)
            else:
                yield segment
