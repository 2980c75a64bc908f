"""How much memory this process takes."""

from __future__ import annotations

import mmap
from pathlib import Path

_STATM = Path("/proc/self/statm")  # Linux: pages, all of them and the resident ones first


def resident_memory() -> int | None:
    """Return the bytes of this process that are in memory; None where the system does not tell."""
    try:
        return int(_STATM.read_bytes().split()[1]) * mmap.PAGESIZE
    except OSError:
        return None
