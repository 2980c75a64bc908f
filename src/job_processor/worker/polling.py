"""How often an idle worker looks for work that nobody tells it of in time: pure."""

from __future__ import annotations

EAGER = 5.0
"""Seconds after its last job for which a worker looks as often as it may: jobs come in groups."""

SHORTEST = 0.02
"""Seconds between two looks then."""

GROWTH = 0.1
"""Seconds by which a pause is longer for each second that it stays idle after that."""


def pause(idle: float, interval: float, questions: int = 1) -> float:
    """Return the seconds until the next look, `idle` seconds after the last job.

    At most `interval`, the `poll_interval` of the worker. `questions`: how many each look takes.
    """
    return min(interval, max(SHORTEST, (idle - EAGER) * GROWTH) * questions)
