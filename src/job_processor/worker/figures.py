"""What a process counts of each name in a minute, in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

from job_processor.models import Job, JobStatus, Output
from job_processor.redaction import Redaction, without
from job_processor.store.error_groups import GROUPS_KEPT, ErrorGroup, fingerprint
from job_processor.store.name_rollups import class_of, class_of_duration
from job_processor.store.rollups import HOUR, OTHERS, start_of

_ENDS = {
    JobStatus.FINISHED: "finished",
    JobStatus.ERRORED: "errored",
    JobStatus.KILLED: "killed",
    JobStatus.SKIPPED: "skipped",
    JobStatus.PAUSED: "paused",
}
_RAN = frozenset({"finished", "errored", "retried"})
_REDACTION = Redaction()
_READ = 4000  # characters of an error: far more than its first line is kept of


class Figures:
    """What was counted of a name, in one minute, since the last write."""

    __slots__ = ("_finished", "counts", "delays", "durations", "errors")

    def __init__(self) -> None:
        self._finished = 0
        """Of those that nobody is to hear of: these are most."""
        self.counts: Counter[str] = Counter()
        self.delays: defaultdict[int, int] = defaultdict(int)
        self.durations: defaultdict[int, int] = defaultdict(int)
        self.errors: dict[str, ErrorGroup] = {}

    def add_finished(self, job: Job, output: Output | None) -> None:
        """Count a job that has finished, as it was claimed."""
        self._finished += 1
        self._add_spans(job, output)

    def add_alike(self, delay: timedelta, output: Output | None, count: int) -> None:
        """Count so many that have finished, all as late and as soon."""
        self._finished += count
        self.delays[class_of(delay)] += count
        ran = None if output is None else class_of_duration(output.duration)
        if ran is not None:
            self.durations[ran] += count

    def add(self, before: Job, after: Job) -> None:
        """Count a run: its job as it was claimed, and as it was written."""
        end = _ENDS.get(after.status)
        if end is None:
            end = "retried" if after.attempt > before.attempt else "postponed"
        self.counts[end] += 1
        if end in _RAN:
            self._add_spans(before, after.output)
        if end == "errored":
            self._add_error(after, None if after.output is None else after.output.error)
        elif end == "retried":
            self._add_error(after, after.attempts[-1].error if after.attempts else None)

    def add_missed(self, count: int) -> None:
        """Count occurrences that nobody started in time."""
        self.counts["missed"] += count

    def merge(self, other: Figures) -> None:
        """Add what was counted apart, in the same minute."""
        self._finished += other._finished
        self.counts.update(other.counts)
        _merge(self.delays, other.delays)
        _merge(self.durations, other.durations)
        for group in other.errors.values():
            self._add_group(group)

    @property
    def all_counts(self) -> dict[str, int]:
        """Runs by how they ended."""
        finished = {"finished": self._finished} if self._finished else {}
        return dict(self.counts + Counter(finished))

    @property
    def failures(self) -> int:
        """How many attempts have failed, followed by another one or not."""
        return self.counts["errored"] + self.counts["retried"]

    def _add_spans(self, job: Job, output: Output | None) -> None:
        if job.attempt == 1 and job.started_at is not None:
            self.delays[class_of(job.started_at - job.scheduled_for)] += 1
        ran = None if output is None else class_of_duration(output.duration)
        if ran is not None:
            self.durations[ran] += 1

    def _add_error(self, job: Job, error: str | None) -> None:
        at, text = job.updated_at, fingerprint(_harmless(job, error))
        self._add_group(ErrorGroup(job.name, start_of(at, HOUR), text, 1, job.id, at))

    def _add_group(self, group: ErrorGroup) -> None:
        text = group.text
        if text not in self.errors and len(self.errors) >= GROUPS_KEPT:
            text = OTHERS
        known = self.errors.get(text)
        self.errors[text] = replace(group, text=text) if known is None else known.plus(group)


Minute: TypeAlias = defaultdict[str, Figures]
"""What was counted of each name in a minute."""


def _harmless(job: Job, error: str | None) -> str:
    """Return the beginning of an error without what the payload hides: it is kept, and shown."""
    secrets = _REDACTION.secrets(getattr(job, "payload", None))
    return str(without(_REDACTION.text((error or "")[:_READ]), secrets))


def _merge(mine: defaultdict[int, int], theirs: Mapping[int, int]) -> None:
    for index, count in theirs.items():
        mine[index] += count
