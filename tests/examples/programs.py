"""Runs the programs of `examples/` as a user would: as processes, in an empty folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
EXAMPLES: Final = ROOT / "examples"

TIMEOUT: Final = 120.0
"""Seconds that an example gets; each needs a few."""

# All are errors, but for what Python 3.12.0 and 3.12.1 say of `?1` in SQL, which 3.12.2 took back.
WARNINGS = ["-W", "error", "-W", "ignore:Binding:DeprecationWarning"]


def run(name: str, folder: Path, failing: Sequence[str] = ()) -> list[str]:
    """Run an example in `folder` until it ends; return the lines that it printed.

    It must succeed, and say nothing on its standard error: no warning, no traceback of its own. Of
    the jobs in `failing`, and of no other, its worker logs there that they failed.
    """
    done = subprocess.run(
        [sys.executable, *WARNINGS, str(EXAMPLES / name)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    logged = set(re.findall(r"^([\w.]+) failed \(", done.stderr, re.MULTILINE))
    assert (done.returncode, logged) == (0, set(failing)), f"{done.stdout}\n{done.stderr}"
    assert failing or not done.stderr, done.stderr
    assert "Warning" not in done.stderr
    assert "Traceback" not in done.stderr  # those of handlers are shown without that line
    return done.stdout.splitlines()


def environment(**variables: str) -> dict[str, str]:
    """Return our environment without what would configure an example, and with `variables`."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"JOB_PROCESSOR_DB", "WORKER_TAGS"}
    }
    return inherited | {"PYTHONUNBUFFERED": "1"} | variables
