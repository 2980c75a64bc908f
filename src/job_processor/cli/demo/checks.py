"""What the demo expected and what its database says happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any

from job_processor.cli.app.output import amount
from job_processor.cli.demo.jobs import ATTEMPTS, CRON_SECONDS
from job_processor.cli.demo.story import ROWS, Cast
from job_processor.cli.demo.watcher import Snapshot
from job_processor.clock import span
from job_processor.models import CronTask, Job, JobStatus

_FIRINGS = 3


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation, what was found in the database, and whether that is the same."""

    name: str
    expected: str
    happened: str
    met: bool


def check_all(seen: Snapshot, cast: Cast) -> list[Check]:
    """Return every check of a demo, from its last snapshot."""
    checks: list[tuple[Job, str, Callable[[Job], tuple[str, bool]]]] = [
        (cast.import_accounts, "resumed by another worker, no row lost or doubled", _resumed),
        (cast.rebuild_index_again, "skipped: exclusive, and one is active", _skipper(cast)),
        (cast.rebuild_index, "finished", _finished),
        (cast.read_settings, f"errored after {ATTEMPTS} attempts", _retried),
        (cast.guess_password, "killed while it ran", _killed),
        (cast.endless_report, "stopped after its max runtime", _stopped),
        (cast.send_reminder, "finished, not before its time", _delayed),
    ]
    found = []
    for job, expected, judge in checks:
        stored = seen.get(job.id)
        happened, met = judge(stored) if stored is not None else ("it is not stored", False)
        found.append(Check(job.name, expected, happened, met))
    return [*found, _cron(seen), _ordinary(seen, cast)]


def summary_json(seen: Snapshot, checks: Sequence[Check]) -> dict[str, Any]:
    """Return counts by name and status, and the checks, in plain JSON values."""
    return {
        "met": bool(checks) and all(check.met for check in checks),
        "counts": {name: dict(counts) for name, counts in seen.counts().items()},
        "checks": [asdict(check) for check in checks],
    }


def _resumed(job: Job) -> tuple[str, bool]:
    result = job.output.result if job.output is not None else None
    if job.status is not JobStatus.FINISHED or not isinstance(result, dict):
        return job.status.value, False
    parts = " + ".join(f"{each['rows']} (process {each['pid']})" for each in result["processes"])
    whole = result["rows"] == result["accounts"] == ROWS
    met = whole and len(result["processes"]) > 1
    return f"finished, rows: {parts} = {result['rows']} of {ROWS}", met


def _skipper(cast: Cast) -> Callable[[Job], tuple[str, bool]]:
    def judge(job: Job) -> tuple[str, bool]:
        skip = job.output.skip_metadata if job.output is not None else None
        if job.status is not JobStatus.SKIPPED or skip is None:
            return job.status.value, False
        met = skip.conflicting_job_id == cast.rebuild_index.id
        return f"skipped, {skip.conflicting_job_id} was active", met

    return judge


def _finished(job: Job) -> tuple[str, bool]:
    return f"{job.status}, {_took(job)}", job.status is JobStatus.FINISHED


def _retried(job: Job) -> tuple[str, bool]:
    met = job.status is JobStatus.ERRORED and job.attempt == ATTEMPTS
    return f"{job.status} after {amount(job.attempt, 'attempt')}: {_error(job)}", met


def _killed(job: Job) -> tuple[str, bool]:
    met = job.status is JobStatus.KILLED and job.started_at is not None
    return f"{job.status}, {_took(job)}", met


def _stopped(job: Job) -> tuple[str, bool]:
    met = job.status is JobStatus.ERRORED and "max runtime" in _error(job)
    return f"{job.status}, {_took(job)}: {_error(job)}", met


def _delayed(job: Job) -> tuple[str, bool]:
    if job.started_at is None:
        return f"{job.status}, never started", False
    late = job.started_at - job.scheduled_for
    met = job.status is JobStatus.FINISHED and late >= timedelta(0)
    return f"{job.status}, started {span(late.total_seconds())} after it was due", met


def _cron(seen: Snapshot) -> Check:
    tasks = [job for job in seen.jobs if isinstance(job, CronTask)]
    fired = sorted(
        (job for job in tasks if job.status is JobStatus.FINISHED),
        key=lambda job: job.scheduled_for,
    )
    expected = f"fired every {CRON_SECONDS} s, none missed or doubled"
    if not fired:
        return Check("measure_load", expected, "never fired", met=False)
    step = timedelta(seconds=CRON_SECONDS)
    planned = [job.scheduled_for for job in fired]
    regular = all(later - earlier == step for earlier, later in pairwise(planned))
    late = max((job.started_at or seen.now) - job.scheduled_for for job in fired)
    happened = f"fired {len(fired)} times, at most {span(late.total_seconds())} late"
    if not regular:
        happened += ", not in regular steps"
    return Check("measure_load", expected, happened, regular and len(fired) >= _FIRINGS)


def _ordinary(seen: Snapshot, cast: Cast) -> Check:
    ids = {job.id for job in cast.ordinary}
    jobs = [job for job in seen.jobs if job.id in ids]
    counts = Counter(job.status.value for job in jobs)
    again = sum(job.attempt > 1 for job in jobs)
    happened = ", ".join(f"{count} {status}" for status, count in counts.items())
    if again:
        happened += f", {again} of them run again after the crash"
    met = counts == {"finished": len(ids)}
    return Check("the ordinary jobs", f"all {len(ids)} finished", happened, met)


def _took(job: Job) -> str:
    ran = job.output.duration_ms if job.output is not None else None
    return "not run" if job.started_at is None or ran is None else f"ran {span(ran / 1000)}"


def _error(job: Job) -> str:
    error = job.output.error if job.output is not None else None
    return (error or "no error").partition("\n")[0]
