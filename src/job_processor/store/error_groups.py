"""Errors that are the same but for what varies: grouped by their first line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bson import ObjectId

from job_processor.store.rollups import OTHERS
from job_processor.texts import harmless

GROUPS_KEPT = 50
"""Kinds of errors that are counted apart, for a name and an hour; the others count as `…`."""

ERRORS_KEPT = timedelta(days=2)
"""How long they are kept."""

TEXT_LIMIT = 200
"""Characters of a first line."""


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failed attempts of one name whose errors have the same first line."""

    name: str
    """The name of the jobs."""
    start: datetime
    """Start of the hour, in UTC; for several hours, of the first one."""
    text: str
    """The first line of the error, with `<id>`, `<n>` and `<email>` in place of variable parts;
    `…`: all errors that are not counted separately.
    """
    count: int
    """Failed attempts, retried ones included."""
    last_job: ObjectId | None
    """The last job that failed with this error."""
    last_at: datetime
    """When that job failed."""

    def plus(self, other: ErrorGroup) -> ErrorGroup:
        """Return the sum of two groups of one name and text, with the later of their last jobs."""
        last = max(self, other, key=lambda each: each.last_at)
        count = self.count + other.count
        return replace(self, count=count, last_job=last.last_job, last_at=last.last_at)


def fingerprint(error: str | None) -> str:
    """Return what stands for an error: its first line, without what differs from job to job.

    Ids, numbers and addresses of people go; a status or an error code stays, as in `HTTP 503`.
    """
    lines = (line.strip() for line in (error or "").splitlines())
    first = harmless(next(filter(None, lines), ""), "")[: TEXT_LIMIT * 2]
    text = _VARIES.sub(_placeholder, first)
    return (text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…") or "-"


def constant_parts(line: str) -> list[str]:
    """Return what a line consists of between what `fingerprint` replaces."""
    parts, begin = [], 0
    for found in _VARIES.finditer(line):
        if found.lastgroup != "kept":
            parts.append(line[begin : found.start()])
            begin = found.end()
    return [*parts, line[begin:]]


def fold(groups: Iterable[ErrorGroup], most: int = GROUPS_KEPT) -> list[ErrorGroup]:
    """Return the first of these groups of a name and hour; the others added up as `…`."""
    kept: dict[str, ErrorGroup] = {}
    for each in groups:
        known = each.text in kept or len(kept) - (OTHERS in kept) < most
        group = each if known else replace(each, text=OTHERS)
        kept[group.text] = kept[group.text].plus(group) if group.text in kept else group
    return list(kept.values())


def ranked(groups: Iterable[ErrorGroup]) -> list[ErrorGroup]:
    """Return what groups of any hours add up to by name and text, the most frequent first."""
    sums: dict[tuple[str, str], ErrorGroup] = {}
    for each in sorted(groups, key=lambda group: group.start):
        key = each.name, each.text
        sums[key] = sums[key].plus(each) if key in sums else each
    return sorted(sums.values(), key=lambda each: (-each.count, each.name, each.text))


_VARIES = re.compile(
    r"""
    (?P<kept>\b(?:http\w*|status(?:[ _-]?code)?|code|errno|error)\W{1,3}\d{1,5}\b)
    |(?P<email>[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)
    |(?P<id>
        \b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b
        |\b0x[0-9a-f]+\b
        |\b(?=\d*[a-f])(?=[a-f]*\d)[0-9a-f]{8,}\b
        |\b(?=(?:[a-z]*\d){3})(?=\d*[a-z])[0-9a-z]{8,}\b
    )
    |(?P<n>
        \b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?
        |(?<![a-z0-9.])[-+]?\d+(?:[.,:_]\d+)*
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def _placeholder(found: re.Match[str]) -> str:
    return found[0] if found.lastgroup == "kept" else f"<{found.lastgroup}>"
