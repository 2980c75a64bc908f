"""One fresh start of one system: an empty store, a producer, workers, a probe."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.probe import ENVIRONMENT, Probe, Reading
from benchmarks.programs import Actor, Program, ProgramError
from benchmarks.servers import Server, Servers
from benchmarks.systems.base import System, Task, Variant

STALL_SECONDS = 60.0
"""Without another job in so long, a system is given up."""
POLL_SECONDS = 0.005
"""Between two looks at the probe, which has the exact times."""
SETTLED_POLL_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Drained:
    """How a queue was emptied."""

    jobs: int
    seconds: float
    """From the first to the last handler call."""
    settled_seconds: float | None
    """From the first handler call until the store said that all are settled; None: not asked."""

    @property
    def rate(self) -> float:
        """Jobs a second."""
        return self.jobs / self.seconds if self.seconds else 0.0

    @property
    def settled_rate(self) -> float:
        """Jobs a second until all were settled, where that is known; else to the last handler."""
        return self.jobs / self.settled_seconds if self.settled_seconds else self.rate


class Session:
    """A context manager; its store starts empty and is thrown away."""

    def __init__(self, servers: Servers, system: System, variant: Variant, **extra: str) -> None:
        self.system = system
        self.variant = variant
        self.server: Server | None = servers.get(system.server) if system.server else None
        self._extra = extra
        self._stack = ExitStack()
        self._producer: Actor | None = None
        self.workers: list[Program] = []

    def __enter__(self) -> Self:
        """Empty the store."""
        self.folder = Path(tempfile.mkdtemp(prefix="bench-"))
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.probe = Probe(self.folder / "probe")
        self._stack.callback(self.probe.close)
        file = self.folder / "jobs.db"
        self.environment = {
            ENVIRONMENT: str(self.probe.path),
            "BENCH_FILE": str(file),
            "BENCH_DB": f"sqlite:///{file}",
            **(self.server.fresh() if self.server else {}),
            **self.variant.options,
            **self._extra,
        }
        if self.server is not None:
            self._stack.callback(self.server.discard, self.environment)
        if "BENCH_MONGODB_URL" in self.environment:
            self.environment["BENCH_DB"] = self.environment["BENCH_MONGODB_URL"]
        return self

    def __exit__(self, *_: object) -> None:
        """End all children."""
        self._stack.close()

    def connect(self) -> Actor:
        """Start the producer, which makes the tables that a worker needs."""
        if self._producer is None:
            system = self.system
            actor = Actor(system.producer(), self.folder, self.environment, overlay=system.overlay)
            self._producer = self._stack.enter_context(actor)
        return self._producer

    def enqueue(self, **request: Any) -> dict[str, Any]:
        """Let the producer enqueue; returns when it began, and its seconds."""
        return self.connect().ask(**request)

    def fill(self, count: int, task: Task = "noop", value: int | None = None) -> float:
        """Enqueue many in the fastest way; return the seconds it took."""
        answer = self.enqueue(do="bulk", task=task, value=value, count=count)
        return float(answer["seconds"])

    def start_worker(self, *arguments: str) -> Program:
        """Start one more worker; returns at once."""
        command = [*self.system.worker(self.variant), *arguments]
        command = [self.environment[w[1:]] if w.startswith("$") else w for w in command]
        overlay = self.system.overlay
        program = Program(command, self.folder, self.environment, overlay=overlay)
        self.workers.append(self._stack.enter_context(program))
        return program

    def ready_worker(self) -> Program:
        """Start a worker and return once it has run a job."""
        self.connect()
        before = self.probe.read().count
        program = self.start_worker()
        self.fill(1)
        self.wait_for(before + 1)
        return program

    def wait_for(self, count: int) -> Reading:
        """Return once so many jobs ran in all; raises ProgramError when they stop before."""
        seen, since = -1, time.monotonic()
        while (reading := self.probe.read()).count < count:
            if reading.count != seen:
                seen, since = reading.count, time.monotonic()
            elif time.monotonic() - since > STALL_SECONDS:
                raise ProgramError(f"stalled after {seen} of {count} jobs: {self._last_words()}")
            if seen < count and any(each.ended for each in self.workers):
                if self.probe.read().count >= count:  # a bare loop ends when nothing is left
                    continue
                raise ProgramError(f"a worker ended: {self._last_words()}")
            time.sleep(POLL_SECONDS)
        return reading

    def drain(self, count: int, *arguments: str) -> Drained:
        """Start a worker on a full queue, and return once it is empty."""
        self.start_worker(*arguments)
        return self.drained(count)

    def drained(self, count: int) -> Drained:
        """Return once so many jobs ran and, where it can be asked, the store is settled."""
        reading = self.wait_for(count)
        settled = None
        if self._until_settled():
            settled = (time.monotonic_ns() - reading.first_ns) / 1e9
        return Drained(reading.count, reading.seconds, settled)

    def pause_workers(self) -> None:
        """Freeze all workers, so that none begins before the others."""
        while True:
            for worker in self.workers:
                worker.freeze()
            if not self.system.locked(self.environment):
                return
            self.resume_workers()  # one was frozen while it wrote
            time.sleep(POLL_SECONDS)

    def resume_workers(self) -> None:
        """Let all workers go on."""
        for worker in self.workers:
            worker.send(signal.SIGCONT)

    def _until_settled(self) -> bool:
        deadline = time.monotonic() + STALL_SECONDS
        while (settled := self.system.settled(self.environment)) is False:
            if time.monotonic() > deadline:
                raise ProgramError("all jobs ran, but the store never said that they are settled")
            time.sleep(SETTLED_POLL_SECONDS)
        return settled is True

    def _last_words(self) -> str:
        return self.workers[-1].last_words if self.workers else "no worker was started"
