"""What happens in the demo, in order."""

from __future__ import annotations

import csv
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bson import ObjectId

from job_processor.cli.demo.fleet import Fleet, WorkerProcess
from job_processor.cli.demo.jobs import TIMEOUT, modules, rows_in
from job_processor.cli.demo.watcher import Snapshot, Watcher
from job_processor.jobs.request import ShortRequest
from job_processor.models import SETTLED, Job, JobStatus
from job_processor.processor import JobProcessor

ROWS = 320
DELAY = timedelta(seconds=5)
_PASSWORDS = 130
_RANGES = 60
_AT_ONCE = 60
_SPREAD = 9.0  # seconds over which the other ordinary jobs fall due
_CRASH_AFTER = ROWS // 3  # rows


@dataclass(frozen=True, slots=True)
class Cast:
    """The jobs of this demo, as they were scheduled."""

    import_accounts: Job
    rebuild_index: Job
    rebuild_index_again: Job
    read_settings: Job
    guess_password: Job
    endless_report: Job
    send_reminder: Job
    ordinary: tuple[Job, ...]

    @property
    def all(self) -> tuple[Job, ...]:
        """Every one of them."""
        return (
            self.import_accounts,
            self.rebuild_index,
            self.rebuild_index_again,
            self.read_settings,
            self.guess_password,
            self.endless_report,
            self.send_reminder,
            *self.ordinary,
        )


class Story:
    """Plays the demo with a processor that schedules and kills, and workers that work."""

    def __init__(
        self,
        processor: JobProcessor,
        fleet: Fleet,
        watcher: Watcher,
        folder: Path,
        tell: Callable[[str], object],
    ) -> None:
        self._processor = processor
        self._fleet = fleet
        self._watcher = watcher
        self._source = folder / "accounts.csv"
        self._target = folder / "imported.csv"
        self._tell = tell
        self.cast: Cast | None = None
        self.orphans: frozenset[ObjectId] = frozenset()
        """What the crashed worker was running."""
        self.noticed_after: float | None = None
        """Seconds from the crash of a worker until another one goes on with its import."""

    async def play(self) -> None:
        """Play from the first worker to the end of the last job."""
        await self._start_workers()
        await self._clear_the_stage()
        cast = self.cast = await self._schedule()
        await self._kill_one(cast)
        await self._crash_a_worker(cast)
        await self._wait_for_the_rest(cast)
        await self._stop_workers()

    async def _start_workers(self) -> None:
        pids = {(await self._fleet.start()).pid for _ in range(2)}
        await self._watcher.until(lambda seen: pids <= _pids(seen))
        first, second = self._fleet.workers
        self._tell(f"Two workers are ready: processes {first.pid} and {second.pid}.")

    async def _clear_the_stage(self) -> None:
        """Kill what an earlier demo that was cut off left in a database that is kept."""
        left: list[Job] = []
        for status in (JobStatus.PENDING, JobStatus.PAUSED, JobStatus.RUNNING):
            page = await self._processor.find_jobs(status=status, type="simple", limit=1000)
            left += page.jobs
        for job in left:
            await self._processor.kill_job(job.id)
        for job in left:
            await self._processor.wait_for_job(job.id)
        if left:
            self._tell(f"{len(left)} jobs of an earlier demo were in the way: killed.")

    async def _schedule(self) -> Cast:
        processor = self._processor
        self._write_accounts()
        paths = {"source": str(self._source), "target": str(self._target)}
        ordinary = _ordinary()
        cast = Cast(
            import_accounts=await processor.schedule_job("import_accounts", paths),
            rebuild_index=await processor.schedule_job("rebuild_index"),
            rebuild_index_again=await processor.schedule_job("rebuild_index"),
            read_settings=await processor.schedule_job("read_settings", {"text": '{"port": 80'}),
            guess_password=await processor.schedule_job("guess_password", {"hash": "0" * 64}),
            endless_report=await processor.schedule_job("endless_report"),
            send_reminder=await processor.schedule_job(
                "send_reminder", {"subject": "the milk"}, DELAY
            ),
            ordinary=tuple(
                await processor.schedule_jobs([*ordinary[:_AT_ONCE], *_spread(ordinary[_AT_ONCE:])])
            ),
        )
        self._tell(f"{len(cast.all)} jobs are scheduled, most in one bulk write; a cron fires too.")
        return cast

    async def _kill_one(self, cast: Cast) -> None:
        job = cast.guess_password
        await self._watcher.until(lambda seen: seen.status(job) is JobStatus.RUNNING)
        await self._processor.kill_job(job.id)
        self._tell("guess_password would run for years: asked its worker to kill it.")

    async def _crash_a_worker(self, cast: Cast) -> None:
        """Crash the worker of the import once that is on its way, and start another."""
        fragile = (cast.guess_password, cast.endless_report, cast.rebuild_index)
        await self._watcher.until(lambda seen: all(seen.status(job) in SETTLED for job in fragile))
        await self._watcher.until(lambda seen: self._holder(seen, cast) is not None)
        worker = self._holder(self._watcher.snapshot, cast)
        assert worker is not None  # noqa: S101  # just waited for
        await self._fleet.crash(worker)
        died = time.monotonic()
        self.orphans = (await self._watcher.look()).run_by(worker.pid)
        self._tell(f"{worker.name.capitalize()} is dead (SIGKILL), in the midst of its import.")
        replacement = await self._fleet.start()
        self._tell(
            f"{replacement.name.capitalize()} takes its place; "
            f"the crash shows after {TIMEOUT:g} s of silence."
        )
        await self._watcher.until(lambda seen: _resumed(seen, cast))
        self.noticed_after = time.monotonic() - died
        self._tell("The crash was noticed; the import continues after the last row it wrote.")

    def _holder(self, seen: Snapshot, cast: Cast) -> WorkerProcess | None:
        """Return the worker that runs the import, once that has written enough rows."""
        job = seen.get(cast.import_accounts.id)
        if job is None or job.status is not JobStatus.RUNNING:
            return None
        return (
            self._fleet.by_pid(seen.pid_of(job.worker_id))
            if (rows_in(self._target) >= _CRASH_AFTER)
            else None
        )

    async def _wait_for_the_rest(self, cast: Cast) -> None:
        ids = {job.id for job in cast.all}
        await self._watcher.until(lambda seen: ids <= {job.id for job in seen.jobs if job.settled})
        self._tell("All jobs have ended.")

    async def _stop_workers(self) -> None:
        stopped = await self._fleet.stop()
        names = " and ".join(worker.name for worker in stopped)
        self._tell(f"Stopped gracefully (SIGTERM): {names or 'no worker'}.")

    def _write_accounts(self) -> None:
        with self._source.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["account", "password"])
            writer.writerows([f"account{row}", f"password {row}"] for row in range(ROWS))


def _ordinary() -> list[tuple[str, dict[str, Any]]]:
    """Return the jobs that simply run, of several kinds, mixed."""
    words = [("count_words", {"module": module}) for module in modules()]
    sources = [("compress_source", {"module": module}) for module in modules()[::2]]
    passwords = [("hash_password", {"password": f"secret {i}"}) for i in range(_PASSWORDS)]
    size = 100_000
    primes = [
        ("find_primes", {"start": i * size + 2, "stop": (i + 1) * size, "slice": size // 4})
        for i in range(_RANGES)
    ]
    rounds = itertools.zip_longest(words, passwords, sources, primes)
    return [job for each in rounds for job in each if job is not None]


def _spread(jobs: list[tuple[str, dict[str, Any]]]) -> list[ShortRequest]:
    return [
        (name, payload, timedelta(seconds=i * _SPREAD / len(jobs)))
        for i, (name, payload) in enumerate(jobs)
    ]


def _pids(seen: Snapshot) -> set[int]:
    return {group["worker"]["pid"] for group in seen.workers}


def _resumed(seen: Snapshot, cast: Cast) -> bool:
    job = seen.get(cast.import_accounts.id)
    return job is not None and (
        job.settled or (job.status is JobStatus.RUNNING and job.crashes > 0)
    )
