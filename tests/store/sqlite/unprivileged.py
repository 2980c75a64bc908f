"""Permissions hold for anybody but root, so tests of them run as somebody else."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NOBODY = 65534


@contextlib.contextmanager
def unprivileged() -> Iterator[Path]:
    """Let this process have no more rights than others; yields a folder of its own."""
    was_root = os.geteuid() == 0
    if was_root:
        try:
            os.seteuid(NOBODY)
        except OSError as error:  # a container that knows one user only
            pytest.skip(f"root cannot become somebody else here: {error}")
    try:
        # Not pytest's folder, which belongs to root alone.
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    finally:
        if was_root:
            os.seteuid(0)
