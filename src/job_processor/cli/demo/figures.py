"""What somebody wants to know at the end of a demo, from the times in its database."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from job_processor.cli.app.output import amount
from job_processor.cli.demo.story import Story
from job_processor.cli.demo.watcher import Snapshot
from job_processor.clock import span
from job_processor.models import Job, JobStatus


@dataclass(frozen=True, slots=True)
class Figures:
    """How much was done, how soon, and what became of the failures."""

    ended: Mapping[str, int]
    """Jobs and cron tasks that ended, by how."""
    seconds: float
    """From the first one to the last end."""
    retries: int
    """Attempts that failed and were followed by another."""
    rescued: int
    """Jobs that ran when their worker was killed, and finished in another."""
    noticed_after: float | None
    """Seconds from the death of the worker until another one had taken them up."""
    delays: tuple[float, ...]
    """Seconds from its time to its start of each job that was scheduled for later, in order."""

    def as_json(self) -> dict[str, Any]:
        """Return them in plain JSON values: of the delays the middle, and the nine in ten."""
        told = {name: value for name, value in asdict(self).items() if name != "delays"}
        return {**told, "picked_up": {"half": self._within(0.5), "nine_in_ten": self._within(0.9)}}

    def lines(self) -> dict[str, str]:
        """Return them as sentences, by what they are of."""
        ended = ", ".join(f"{count} {how}" for how, count in self.ended.items())
        total = sum(self.ended.values())
        lines = {
            "done": f"{amount(total, 'job')} in {span(self.seconds)}: {ended}",
            "retried": f"{amount(self.retries, 'failed attempt')}, each after a pause",
            "rescued": self._rescue(),
            "picked up": self._pickup(),
        }
        return {label: text for label, text in lines.items() if text}

    def _rescue(self) -> str:
        if self.noticed_after is None:
            return ""
        jobs = f"{amount(self.rescued, 'job')} of the killed worker, by others"
        return f"{jobs}, {span(self.noticed_after)} after its death"

    def _pickup(self) -> str:
        half, most = self._within(0.5), self._within(0.9)
        if half is None or most is None:
            return ""
        return f"half within {span(half)} of their time, nine in ten within {span(most)}"

    def _within(self, part: float) -> float | None:
        """Return the seconds within which this part of them was picked up."""
        if not self.delays:
            return None
        return self.delays[max(math.ceil(part * len(self.delays)) - 1, 0)]


def figures_of(seen: Snapshot, story: Story) -> Figures:
    """Return the figures of a demo, from its last snapshot."""
    ended = [job for job in seen.jobs if job.ended_at is not None]
    orphans = [job for job in ended if job.id in story.orphans]
    others = [job for job in ended if job.id not in story.orphans]
    counts = Counter(job.status.value for job in ended)
    return Figures(
        ended=dict(counts.most_common()),
        seconds=_duration(seen.jobs),
        retries=sum(job.attempt - 1 for job in others),
        rescued=sum(job.status is JobStatus.FINISHED for job in orphans),
        noticed_after=story.noticed_after,
        delays=tuple(sorted(map(_delay, filter(_was_for_later, others)))),
    )


def _duration(jobs: Sequence[Job]) -> float:
    ends = [job.ended_at for job in jobs if job.ended_at is not None]
    return (max(ends) - min(job.created_at for job in jobs)).total_seconds() if ends else 0.0


def _was_for_later(job: Job) -> bool:
    """True where the start tells how soon a worker came: what is due at once waits for a slot."""
    first = job.started_at is not None and job.attempt == 1
    return first and job.scheduled_for > job.created_at


def _delay(job: Job) -> float:
    assert job.started_at is not None  # noqa: S101  # see above
    return max((job.started_at - job.scheduled_for).total_seconds(), 0.0)
