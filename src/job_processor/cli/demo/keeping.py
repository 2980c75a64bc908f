"""The folder of a demo, whose database stays for a look at it until the next demo."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "job-processor-demo-"
_ENDED = "ended"
"""A file that is there once the demo is over: whoever plays is left alone."""

DATABASE = "demo.db"


def make_folder() -> Path:
    """Return a folder for a demo; those of demos that are over go."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _is_ours(folder) and (folder / _ENDED).exists():
            shutil.rmtree(folder, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=_PREFIX))


def leave(folder: Path, *, keep: bool) -> None:
    """Remove a folder, or all of it but its database."""
    if not keep or not (folder / DATABASE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in folder.iterdir():
        if not path.name.startswith(DATABASE):
            path.unlink(missing_ok=True)
    (folder / _ENDED).touch()


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat().st_uid == os.getuid()
    except OSError:  # it went meanwhile
        return False
