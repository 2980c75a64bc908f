"""How many rows a page of names may have, whatever the names are."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote

_BYTES = 24_000
"""Of a page, for all that its names take in links, forms and texts."""

_TIMES = 5
"""A row has its name so often."""


def fitting(names: Iterable[str]) -> int:
    """Return how many of these names a page holds, so that it stays small; at least one."""
    left, count = _BYTES, 0
    for name in names:
        left -= _TIMES * len(quote(name, safe=""))
        if left < 0 and count:
            break
        count += 1
    return count
