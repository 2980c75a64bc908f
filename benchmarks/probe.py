"""How a handler tells that it ran, at almost no cost, to the harness in another process.

A file mapped into memory has one slot of eight 64-bit integers for each process. A process owns the
slot whose claim file it could create. The harness reads all slots; nobody waits for anybody.

All times are of the monotonic clock, which Linux and macOS share between processes, Node's
included.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ENVIRONMENT = "BENCH_PROBE"
SLOTS = 64
FIELDS = 8  # integers in a slot; the last three are free
COUNT, FIRST, LAST, CALLS, STATEMENTS = range(5)


@dataclass(frozen=True, slots=True)
class Reading:
    """All slots in one: jobs run, the first and the last moment in ns, calls of the database."""

    count: int
    first_ns: int
    last_ns: int
    calls: int
    statements: int

    @property
    def seconds(self) -> float:
        """From the first to the last handler call."""
        return (self.last_ns - self.first_ns) / 1e9


class Probe:
    """The harness's side."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(SLOTS * FIELDS * 8))
        self.path = path
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self._view = memoryview(self._map).cast("q")

    def read(self) -> Reading:
        """Return the sum of all slots."""
        slots = [self._view[i : i + FIELDS].tolist() for i in range(0, len(self._view), FIELDS)]
        return Reading(
            count=sum(slot[COUNT] for slot in slots),
            first_ns=min((slot[FIRST] for slot in slots if slot[FIRST]), default=0),
            last_ns=max(slot[LAST] for slot in slots),
            calls=sum(slot[CALLS] for slot in slots),
            statements=sum(slot[STATEMENTS] for slot in slots),
        )

    def processes(self) -> int:
        """Return how many processes have run a job."""
        return sum(count > 0 for count in self._view[COUNT::FIELDS].tolist())

    def clear(self) -> None:
        """Forget what was counted; only while no process counts."""
        for i in range(len(self._view)):
            self._view[i] = 0

    def close(self) -> None:
        """Give the file back."""
        self._view.release()
        self._map.close()


class Counter:
    """A worker's side. Takes its slot when it first counts, a forked child one of its own."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def hit(self, jobs: int = 1) -> None:
        """Count jobs that ran just now."""
        now = time.monotonic_ns()
        with self._lock:
            slot = self._slot or self._take_slot()
            slot[COUNT] += jobs
            if slot[FIRST] == 0:
                slot[FIRST] = now
            slot[LAST] = now

    def begin(self) -> None:
        """Note that a job begins which counts at its end."""
        now = time.monotonic_ns()
        with self._lock:
            slot = self._slot or self._take_slot()
            if slot[FIRST] == 0:
                slot[FIRST] = now

    def add(self, field: int) -> None:
        """Count a call or a statement of a database."""
        with self._lock:
            slot = self._slot or self._take_slot()
            slot[field] += 1

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._slot: memoryview | None = None

    def _take_slot(self) -> memoryview:
        for i in range(SLOTS):
            try:
                os.close(os.open(f"{self._path}.{i}", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            with Path(self._path).open("r+b") as file:
                mapped = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
            self._slot = mapped[i * FIELDS : (i + 1) * FIELDS]
            return self._slot
        raise RuntimeError(f"more than {SLOTS} processes count jobs")


_counter: Counter | None = None


def counter() -> Counter:
    """Return this process's counter, of the file that the harness named."""
    global _counter  # noqa: PLW0603  # one for each process, made when it is needed
    if _counter is None:
        _counter = Counter(os.environ[ENVIRONMENT])
    return _counter


def hit() -> None:
    """Count one job: what a no-op handler does."""
    (_counter or counter()).hit()
