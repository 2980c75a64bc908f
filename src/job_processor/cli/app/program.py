"""How this program is called, so that what it says to type can be typed."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

NAME = "job-processor"


def program() -> str:
    """Return the words that call this program from here."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m job_processor"
    found = shutil.which(NAME)
    if called.name != NAME or not called.exists():
        return NAME
    if found is not None and called.samefile(found):
        return NAME
    return min(str(called), os.path.relpath(called), key=len)
