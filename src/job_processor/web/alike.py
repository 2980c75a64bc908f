"""Errors that are alike: grouped by their first line, whatever numbers and ids stand in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from job_processor.redaction import REDACTED
from job_processor.store.error_groups import constant_parts, fingerprint
from job_processor.store.summaries import JobSummary

LOOKED_AT = 250
"""The newest jobs of a selection, whose errors are grouped."""

GROUPS = 50
"""Groups that are shown; the rest is told by its number."""

NAMES = 3
"""Names of jobs that are shown of a group, the most frequent ones."""

_PART = 200  # characters of an error that may be looked for
_TELLING = 4  # characters; a shorter part of a line is in too many others


@dataclass(slots=True)
class Alike:
    """Jobs that failed the same way."""

    line: str
    """The first line of the newest one's error."""
    newest: str
    """The id of that job."""
    last: datetime | None = None
    """When the last of those that were looked at ended; a job that was retried ends late."""
    first: datetime | None = None
    """When the first of them ended."""
    count: int = 0
    names: Counter[str] = field(default_factory=Counter)

    @property
    def most(self) -> list[tuple[str, int]]:
        """The names that failed so most often."""
        return self.names.most_common(NAMES)

    @property
    def part(self) -> str:
        """What to look for to find them all: the longest part of the line that does not vary.

        "": there is none that tells anything.
        """
        shown = self.line.replace(REDACTED, "…").split("…")
        parts = (part for piece in shown for part in constant_parts(piece))
        longest = max((part.strip() for part in parts), key=len)[:_PART]
        return longest if len(longest) >= _TELLING else ""


def alike(jobs: Iterable[JobSummary]) -> list[Alike]:
    """Group jobs by the first line of their error, the most frequent first; others are left out.

    jobs: the newest first.
    """
    groups: dict[str, Alike] = {}
    for job in jobs:
        line = first_line(job)
        if line is None:
            continue
        group = groups.setdefault(fingerprint(line), Alike(line, str(job.id)))
        group.count += 1
        group.names[job.name] += 1
        if job.ended_at is not None:
            group.first = min(group.first or job.ended_at, job.ended_at)
            group.last = max(group.last or job.ended_at, job.ended_at)
    return sorted(groups.values(), key=lambda group: -group.count)


def first_line(job: JobSummary) -> str | None:
    """Return the first line of a job's error; None of one that has none."""
    error = None if job.output is None else job.output.error
    return None if error is None else error.strip().partition("\n")[0]
