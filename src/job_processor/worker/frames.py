"""The frames of a traceback that are the user's, and the place at which something was raised.

Ours are cut: between a worker and a handler they are the same for every failure.
"""

from __future__ import annotations

import os
import re
import sysconfig
import traceback
from collections.abc import Sequence
from pathlib import Path

from job_processor.errors import JobProcessorError

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_CALLERS = tuple(  # call handlers: what is raised there is of the call, and nothing of ours
    str(Path(_PACKAGE, *place)) + ".py"
    for place in (
        ("handlers", "callables"),
        ("handlers", "around"),
        ("worker", "executor"),
        ("worker", "processes", "child"),
    )
)
_HANDLERS = str(Path(_PACKAGE, "cli", "demo")) + os.sep  # of ours, and none the less handlers
_STANDARD = (sysconfig.get_path("stdlib") + os.sep, "<frozen ")
_INSTALLED = re.compile(r"[\\/](?:site|dist)-packages[\\/]")
_FRAME = re.compile(
    r'^  File "(?P<path>[^"\n]*)", line (?P<line>\d+), in (?P<name>.+)$', re.MULTILINE
)


def of_user(error: BaseException) -> str:
    """Return the frames of an exception as text, without ours; never raises.

    What of the standard library leads from ours to the user's goes as well. Where nothing is left,
    it has none, if it is an error of ours, which says all, or was raised by the mere call of the
    handler; else it has all of them.
    """
    try:
        frames = traceback.extract_tb(error.__traceback__)
        kept = _without_ours(frames)
        if not kept and not isinstance(error, JobProcessorError) and not _is_of_call(frames):
            kept = frames
        return "".join(traceback.StackSummary.from_list(kept).format()).rstrip()
    except BaseException:  # noqa: BLE001  # it reads source, which a module may bring by code
        return ""


def place_in(text: str) -> str | None:
    """Return the last place of the application in frames as text: `app/jobs.py:41 in charge`.

    Where there is none of the application, the last one of what is installed, then any.
    """
    frames = list(_FRAME.finditer(text))
    if not frames:
        return None
    others = [each for each in frames if not each["path"].startswith(_STANDARD)]
    own = [each for each in others if not _INSTALLED.search(each["path"])]
    frame = (own or others or frames)[-1]
    return f"{_shown(frame['path'])}:{frame['line']} in {frame['name']}"


def _without_ours(frames: Sequence[traceback.FrameSummary]) -> Sequence[traceback.FrameSummary]:
    starts = (n for n, each in enumerate(frames) if not _is_ours_or_standard(each.filename))
    return [each for each in frames[next(starts, 0) :] if not _is_ours(each.filename)]


def _is_of_call(frames: Sequence[traceback.FrameSummary]) -> bool:
    return bool(frames) and frames[-1].filename in _CALLERS


def _is_ours(path: str) -> bool:
    return path.startswith(_PACKAGE) and not path.startswith(_HANDLERS)


def _is_ours_or_standard(path: str) -> bool:
    return _is_ours(path) or (path.startswith(_STANDARD) and not _INSTALLED.search(path))


def _shown(path: str) -> str:
    """Return a path as seen from the working directory, where it is below that."""
    try:
        return path.removeprefix(str(Path.cwd()) + os.sep)
    except OSError:  # that directory is gone
        return path
