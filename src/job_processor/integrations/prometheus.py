"""Prometheus: counters, histograms and gauges of a worker and of its database.

Needs the extra `prometheus`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from job_processor.errors import MissingExtraError, StoreError
from job_processor.events import Event, EventKind
from job_processor.hooks import HandlerRun, Host
from job_processor.models import Vitals
from job_processor.settings import Duration, check_int, duration

try:
    from prometheus_client import (
        REGISTRY,
        CollectorRegistry,
        Counter,
        Gauge,
        Histogram,
    )
except ModuleNotFoundError as error:
    raise MissingExtraError("job_processor.integrations.prometheus", "prometheus") from error

__all__ = ["Prometheus"]

OTHER = "(other)"
"""Stands for the names beyond `max_names`."""

_LAG_INTERVAL = 0.5  # seconds
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
_ENDS = frozenset(
    {
        EventKind.FINISHED,
        EventKind.ERRORED,
        EventKind.RETRIED,
        EventKind.PAUSED,
        EventKind.KILLED,
        EventKind.SKIPPED,
    }
)


class Prometheus:
    """Prometheus metrics of jobs and workers; one instance may serve several processors.

    registry: the registry for its metrics; None: the default one of `prometheus_client`.
    max_names: the number of job names with a label of their own; later names share one.
    interval: seconds, or a timedelta, between two reads of queue and workers from the database.

    ```python
    processor = JobProcessor(integrations=[Prometheus()])
    ```

    Raises InvalidArgumentError, and ValueError (of the client) if the registry has these metrics
    already.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None = None,
        *,
        max_names: int = 100,
        interval: Duration = 15.0,
    ) -> None:
        check_int("max_names", max_names, minimum=1)
        self.registry = REGISTRY if registry is None else registry
        self._interval = duration("interval", interval)
        self._max_names = max_names
        self._names: set[str] = set()
        self._told: dict[tuple[str, int], set[str]] = {}
        """By gauge and processor: the labels that it set last."""
        self._tasks: dict[int, list[asyncio.Task[None]]] = {}
        self._make()

    def _make(self) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"job_processor_{name}", text, labels, registry=self.registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"job_processor_{name}", text, labels, registry=self.registry)

        def histogram(name: str, text: str, *labels: str) -> Histogram:
            full = f"job_processor_{name}"
            return Histogram(full, text, labels, buckets=_SECONDS, registry=self.registry)

        self._scheduled = counter("scheduled", "Jobs that were stored", "name")
        self._ended = counter("ended", "Runs that ended, by outcome", "name", "status")
        self._fired = counter("cron_fired", "Occurrences of crons that were due", "name")
        self._rescued = counter("rescued", "Runs recovered from crashed workers", "name")
        self._lost = counter("workers_lost", "Workers that crashed")
        self._run_time = histogram(
            "run_seconds", "Seconds from the start of a run to its end", "name", "status"
        )
        self._wait_time = histogram(
            "wait_seconds", "Seconds from the scheduled time of a job to its start", "name"
        )
        self._running = gauge("running", "Handlers that run in this process")
        self._slots = gauge("slots", "Handlers that may run in this process at the same time")
        self._lag = gauge("loop_lag_seconds", "Last measured delay of the event loop")
        self._waiting = gauge("waiting", "Jobs in the database that wait, due or for later", "name")
        self._parked = gauge("parked", "Jobs that wait for a limit or for another job", "name")
        self._delay = gauge("queue_delay_seconds", "Seconds for which the first due job has waited")
        self._workers = gauge("workers", "Workers that are registered")

    def install(self, host: Host) -> None:
        """Start listening; the processor calls this."""
        host.around_handlers(self._scope)
        host.listen(lambda event: self._on_event(host, event))

    @contextmanager
    def _scope(self, run: HandlerRun) -> Iterator[None]:
        began = time.monotonic()
        self._running.inc()
        try:
            with suppress(BaseException):  # it is raised to whoever else is around the handler
                yield
        finally:
            self._running.dec()
            status = "lost" if run.status is None else run.status.value
            took = time.monotonic() - began
            self._run_time.labels(self._label(run.job.name), status).observe(took)

    def _on_event(self, host: Host, event: Event) -> None:
        kind = event.kind
        if event.job is None:
            self._on_worker(host, kind)
            return
        name = self._label(event.job.name)
        if kind is EventKind.SCHEDULED:
            self._scheduled.labels(name).inc()
        elif kind is EventKind.STARTED:
            waited = (event.job.updated_at - event.job.scheduled_for).total_seconds()
            self._wait_time.labels(name).observe(max(waited, 0.0))
        elif kind is EventKind.CRON_FIRED:
            self._fired.labels(name).inc()
        elif kind is EventKind.RESCUED:
            self._rescued.labels(name).inc()
        elif kind in _ENDS:
            self._ended.labels(name, kind.value).inc()

    def _on_worker(self, host: Host, kind: EventKind) -> None:
        if kind is EventKind.WORKER_STARTED:
            self._slots.inc(host.settings.concurrency)
            self._tasks[id(host)] = [_task(self._measure_lag()), _task(self._look(host))]
        elif kind is EventKind.WORKER_STOPPED:
            self._slots.dec(host.settings.concurrency)
            for task in self._tasks.pop(id(host), ()):
                task.cancel()
        elif kind is EventKind.WORKER_LOST:
            self._lost.inc()

    async def _measure_lag(self) -> None:
        while True:
            asked = time.monotonic()
            await asyncio.sleep(_LAG_INTERVAL)
            self._lag.set(max(time.monotonic() - asked - _LAG_INTERVAL, 0.0))

    async def _look(self, host: Host) -> None:
        """Look at the database now and then; while it is away the last numbers stand."""
        while True:
            try:
                await self._ask(host)
            except StoreError as error:
                host.logger.debug("metrics: %s", error)
            await asyncio.sleep(self._interval)

    async def _ask(self, host: Host) -> None:
        """Ask the database how it stands; raises StoreError."""
        self._take(await host.get_vitals())
        self._count("waiting", self._waiting, host, await host.count_waiting())
        self._count("parked", self._parked, host, await host.count_parked())

    def _take(self, vitals: Vitals) -> None:
        self._workers.set(vitals.workers)
        since = vitals.now if vitals.due_since is None else vitals.due_since
        self._delay.set((vitals.now - since).total_seconds())

    def _count(self, kind: str, gauge: Gauge, host: Host, counted: Mapping[str, int]) -> None:
        """Set a gauge of what is counted by name."""
        counts: dict[str, int] = {}
        for name, count in counted.items():
            label = self._label(name)
            counts[label] = counts.get(label, 0) + count
        for label, count in counts.items():
            gauge.labels(label).set(count)
        gone = self._told.get((kind, id(host)), set()) - counts.keys()
        self._told[kind, id(host)] = set(counts)
        of_kind = (told for (of, _), told in self._told.items() if of == kind)
        for label in gone.difference(*of_kind):
            gauge.remove(label)  # a number that nobody brings up to date any more

    def _label(self, name: str) -> str:
        if name not in self._names:
            if len(self._names) >= self._max_names:
                return OTHER
            self._names.add(name)
        return name


def _task(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    return asyncio.get_running_loop().create_task(work, name="metrics")
