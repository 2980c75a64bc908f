"""A site of real worker processes on one database, and the log of what their handlers did."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Self

from bson import ObjectId

from job_processor import Job, JobProcessor
from tests.acceptance import app
from tests.insides import store_of
from tests.processors import WAIT

APP = "tests.acceptance.app:make"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Span:
    """One run of a handler: `end` is None when its process was killed meanwhile."""

    job: str
    pid: int
    start: float
    end: float | None


@dataclass
class WorkerProcess:
    """A worker in a process of its own, started by the command line."""

    process: subprocess.Popen[bytes]
    output: Path
    ended_at: float | None = field(default=None)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def send(self, signal_number: int) -> None:
        """Send it a signal."""
        self.process.send_signal(signal_number)

    def kill(self) -> None:
        """SIGKILL it and wait for its death."""
        self.process.kill()
        self.process.wait()
        self.ended_at = time.time()

    async def wait(self, timeout: float = WAIT) -> int:
        """Wait for its end; return its exit status."""
        status = await asyncio.to_thread(self.process.wait, timeout)
        self.ended_at = time.time()
        return status

    @property
    def log(self) -> str:
        """What it printed."""
        return self.output.read_text(encoding="utf-8", errors="replace")


class Site:
    """Starts workers, knows what they did, and ends them all at last."""

    def __init__(self, db_url: str, folder: Path, **options: Any) -> None:
        self.db_url = db_url
        self.folder = folder
        self.options = options
        self.environment: dict[str, str] = {}
        """Further variables of the workers to come."""
        self.log_file = folder / "handlers.log"
        self.log_file.touch()
        self.workers: list[WorkerProcess] = []
        self._count = itertools.count()
        os.environ["ACCEPTANCE_LOG"] = str(self.log_file)
        self.processor = self.make_processor()

    def make_processor(self) -> JobProcessor:
        """Return a processor of this process, with the site's definitions."""
        os.environ["ACCEPTANCE_DB"] = self.db_url
        return app.make()

    async def __aenter__(self) -> Self:
        await self.processor.setup()
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            if worker.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    worker.send(signal.SIGCONT)
                worker.kill()
        await self.processor.close()

    def start_worker(self, **options: Any) -> WorkerProcess:
        """Start a worker process; `options` override the site's."""
        output = self.folder / f"worker-{next(self._count)}.log"
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "job_processor", "worker", APP],
                cwd=ROOT,
                env={
                    **os.environ,
                    "ACCEPTANCE_DB": self.db_url,
                    "ACCEPTANCE_LOG": str(self.log_file),
                    "ACCEPTANCE_OPTIONS": json.dumps({**self.options, **options}),
                    **self.environment,
                },
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        worker = WorkerProcess(process, output)
        self.workers.append(worker)
        return worker

    async def stop_still(self, worker: WorkerProcess) -> None:
        """SIGSTOP a worker, on SQLite between two of its writes.

        One that stands in the middle of a write keeps the lock of the file: nobody could do a thing
        until it goes on.
        """
        while True:
            worker.send(signal.SIGSTOP)
            if not self.db_url.startswith("sqlite") or await asyncio.to_thread(self._is_free):
                return
            worker.send(signal.SIGCONT)

    def _is_free(self) -> bool:
        """True when nobody holds the lock of the file for a second."""
        path = self.db_url.removeprefix("sqlite:///")
        with contextlib.closing(sqlite3.connect(path, timeout=1, isolation_level=None)) as file:
            try:
                file.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return False
        return True

    async def settled(self, jobs: Iterable[Job], timeout: float | None = 2 * WAIT) -> list[Job]:
        """Return jobs once they are all settled."""
        async with asyncio.timeout(timeout):
            return [await self.processor.wait_for_job(job.id) for job in jobs]

    async def until_started(self, count: int, timeout: float = WAIT) -> list[dict[str, Any]]:
        """Return the log once so many handlers have started."""
        async with asyncio.timeout(timeout):
            while True:
                lines = self.lines("start")
                if len(lines) >= count:
                    return lines
                await asyncio.sleep(0.02)  # other processes write the file

    async def until_workers(self, count: int, timeout: float = WAIT) -> None:
        """Return once so many workers are registered."""
        async with asyncio.timeout(timeout):
            while len(await self._workers()) != count:  # noqa: ASYNC110  # other processes register
                await asyncio.sleep(0.02)

    async def _workers(self) -> list[Any]:
        # Not the health check, which looks at what is due as well: this asks again and again.
        return list((await store_of(self.processor).workers.registrations()).workers)

    async def settled_at_last(self, jobs: Iterable[Job], patience: float = 2 * WAIT) -> None:
        """Return once all are settled; an error where for so long nothing begins, and none ends.

        However long it takes in all: that tells only how fast the machine is.
        """
        settling = asyncio.create_task(self.settled(jobs, None))
        try:
            while not settling.done():
                written = self.log_file.stat().st_size
                await asyncio.wait([settling], timeout=patience)
                assert settling.done() or self.log_file.stat().st_size > written, "they stand"
            await settling
        finally:
            settling.cancel()

    async def until_inside(self, ended: int, timeout: float = 2 * WAIT) -> WorkerProcess:
        """Return a worker that runs a handler, the last that began one, once so many have ended."""
        living = {each.pid: each for each in self.workers if each.ended_at is None}
        async with asyncio.timeout(timeout):
            while True:
                runs = sorted(chain(*self.spans().values()), key=lambda run: run.start)
                inside = [run for run in runs if run.end is None and run.pid in living]
                if inside and sum(run.end is not None for run in runs) >= ended:
                    return living[inside[-1].pid]
                await asyncio.sleep(0.05)  # other processes write the file

    def lines(self, what: str | None = None) -> list[dict[str, Any]]:
        """Return what the handlers wrote down, in order of time."""
        text = self.log_file.read_text(encoding="utf-8")
        lines = [json.loads(line) for line in text.splitlines()]
        return sorted(
            (line for line in lines if what in (None, line["what"])), key=lambda line: line["at"]
        )

    def spans(self) -> dict[str, list[Span]]:
        """Return the runs of each job, in order of their start."""
        spans: dict[str, list[Span]] = defaultdict(list)
        open_runs: dict[tuple[str, int], float] = {}
        for line in self.lines():
            key = (line["job"], line["pid"])
            if line["what"] == "start":
                if key in open_runs:  # a run that never noted its end, in the same process
                    spans[line["job"]].append(Span(*key, open_runs.pop(key), None))
                open_runs[key] = line["at"]
            elif line["what"] == "end":
                spans[line["job"]].append(Span(*key, open_runs.pop(key), line["at"]))
        for (job, pid), start in open_runs.items():
            spans[job].append(Span(job, pid, start, None))
        return {job: sorted(each, key=lambda span: span.start) for job, each in spans.items()}

    def assert_no_overlap(self) -> None:
        """No run of a job began before the one before had ended, or its process was dead."""
        deaths = {worker.pid: worker.ended_at for worker in self.workers}
        for job, spans in self.spans().items():
            for before, behind in itertools.pairwise(spans):
                end = before.end if before.end is not None else deaths.get(before.pid)
                assert end is not None, f"{job} was begun twice while {before} lived"
                assert behind.start >= end, f"{job}: {behind} overlaps {before} (ended {end})"

    def assert_hooked_at_most_once(self) -> None:
        """`on_job_exited` was called at most once for each settled job."""
        hooked = [line["job"] for line in self.lines("exited")]
        assert len(hooked) == len(set(hooked))

    async def assert_nothing_runs(self, jobs: Iterable[Job]) -> None:
        """Every job is there and settled."""
        for job in jobs:
            found = await self.processor.get_job(job.id)
            assert found is not None, f"job {job.id} is lost"
            assert found.settled, f"job {job.id} is {found.status}"


def ids(jobs: Iterable[Job]) -> list[ObjectId]:
    """Return the ids of jobs."""
    return [job.id for job in jobs]
