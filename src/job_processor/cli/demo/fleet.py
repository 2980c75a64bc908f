"""The worker processes of the demo: started, crashed on purpose, stopped whatever happens."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

APP = "job_processor.cli.demo.jobs:make"
_STOP_SECONDS = 15.0  # more than the grace that the workers give their jobs
_LOG_LINES = 15


@dataclass(slots=True)
class WorkerProcess:
    """One worker, and what became of it."""

    number: int
    process: Process
    log: Path
    fate: str = ""
    """Empty while it is meant to run."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def name(self) -> str:
        """What it is called in the story."""
        return f"worker {self.number}"


class Fleet:
    """All workers of one demo; none is left when the `async with` block has ended."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self._folder = folder
        self.workers: list[WorkerProcess] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
        finally:
            self.kill()

    async def start(self) -> WorkerProcess:
        """Start one more worker."""
        number = len(self.workers) + 1
        log = self._folder / f"worker-{number}.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "job_processor", "worker", APP),
                env={**os.environ, "JOB_PROCESSOR_DB": self._url},
                stdin=PIPE,  # its end of file tells the worker that the demo is gone
                stdout=DEVNULL,
                stderr=errors,
                start_new_session=True,  # a Ctrl-C of the terminal is for the demo to handle
            )
        worker = WorkerProcess(number, process, log)
        self.workers.append(worker)
        return worker

    def by_pid(self, pid: int | None) -> WorkerProcess | None:
        """Return the worker with this process id."""
        return next((worker for worker in self.workers if worker.pid == pid), None)

    async def crash(self, worker: WorkerProcess) -> None:
        """End a worker with SIGKILL, as a machine that loses power would."""
        worker.fate = "crashed (SIGKILL)"
        worker.process.kill()
        await worker.process.wait()

    async def stop(self) -> list[WorkerProcess]:
        """Stop every worker gracefully; return those that it worked for."""
        running = [worker for worker in self.workers if worker.process.returncode is None]
        for worker in running:
            worker.fate = worker.fate or "stopped (SIGTERM)"
            with suppress(ProcessLookupError):
                worker.process.terminate()
        waiting = [asyncio.create_task(worker.process.wait()) for worker in running]
        if waiting:
            await asyncio.wait(waiting, timeout=_STOP_SECONDS)
        return [worker for worker in running if worker.process.returncode == 0]

    def kill(self) -> None:
        """End whatever still runs, at once."""
        for worker in self.workers:
            if worker.process.returncode is None:
                with suppress(ProcessLookupError):
                    worker.process.kill()

    async def first_unexpected_end(self) -> WorkerProcess:
        """Return the first worker that ends although nobody told it to."""
        while True:
            for worker in self.workers:
                if worker.process.returncode is not None and not worker.fate:
                    worker.fate = f"ended with exit code {worker.process.returncode}"
                    return worker
            await asyncio.sleep(0.2)  # whichever of them ends first

    def log_ends(self) -> str:
        """Return the last log lines of every worker."""
        ends = []
        for worker in self.workers:
            lines = worker.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
            ends.append("\n".join([f"--- log of {worker.name}", *lines]))
        return "\n".join(ends)
