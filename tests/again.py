"""Tells what failed in the last run, and refuses to try more than a few of it again."""

from __future__ import annotations

import json
import sys
from pathlib import Path

MOST = 3
"""More failures than these are no accident of what ran beside each other."""

LAST_FAILED = Path(".pytest_cache/v/cache/lastfailed")


def main() -> int:
    """Print the names; return 0 where they may be tried again."""
    try:
        failed = sorted(json.loads(LAST_FAILED.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return _refuse("no test has failed; what ended the run was something else")
    if len(failed) > MOST:
        return _refuse(f"{len(failed)} tests failed; at most {MOST} are run again")
    names = "".join(f"  {name}\n" for name in failed)
    sys.stdout.write(f"again: if these pass now, they flicker, and are to be mended:\n{names}")
    return 0


def _refuse(why: str) -> int:
    sys.stderr.write(f"again: {why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
