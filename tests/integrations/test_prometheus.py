"""Prometheus, with its own client: what a scrape would find."""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from job_processor import InvalidArgumentError, JobDef, JobProcessor, Limit, Retry
from job_processor.integrations.exposition import serve
from job_processor.integrations.prometheus import OTHER, Prometheus
from job_processor.ops.scaling import Scaling
from job_processor.parts import parts_of
from tests.definitions import nothing
from tests.docs.markdown import ROOT, code, codes, table
from tests.insides import store_of
from tests.processors import Processors, eventually
from tests.web.spy import Spy
from tests.worker.deaths import die_holding

PREFIX = "job_processor_"


class Scrape:
    """An integration with a registry of its own, and what it holds."""

    def __init__(self, **options: Any) -> None:
        self.integration = Prometheus(CollectorRegistry(), **options)

    def __call__(self, metric: str, /, **labels: str) -> float | None:
        """Return a value, None when it is not there."""
        return self.integration.registry.get_sample_value(PREFIX + metric, labels)

    def labels(self, name: str) -> set[str]:
        """Return the names for which a metric has a value."""
        return {
            sample.labels["name"]
            for metric in self.integration.registry.collect()
            for sample in metric.samples
            if sample.name == PREFIX + name
        }


async def fail() -> None:
    """Fail."""
    raise ValueError


async def test_runs_are_counted_and_timed(processors: Processors) -> None:
    """By name and status, with the time that they took and that they waited."""
    scrape = Scrape()
    jobs = {"a": JobDef(nothing), "b": JobDef(fail, retry=Retry(max_attempts=2, delay=0))}
    processor = await processors.make(jobs=jobs, integrations=[scrape.integration])
    await processor.schedule_jobs(["a", "a", "b"])
    late = await processor.schedule_job("a", None, timedelta(hours=1))
    await processor.run_worker(burst=True)
    await processor.run_worker(burst=True)
    assert scrape("scheduled_total", name="a") == 3
    assert scrape("ended_total", name="a", status="finished") == 2
    assert scrape("ended_total", name="b", status="retried") == 1
    assert scrape("ended_total", name="b", status="errored") == 1
    assert scrape("run_seconds_count", name="a", status="finished") == 2
    assert scrape("run_seconds_count", name="b", status="errored") == 1
    assert scrape("wait_seconds_count", name="a") == 2
    assert (scrape("running"), scrape("slots")) == (0, 0)
    await processor.kill_job(late.id)
    assert scrape("ended_total", name="a", status="killed") == 1


async def test_what_the_database_holds(processors: Processors) -> None:
    """Waiting jobs, the delay of the first, workers and slots, while a worker runs; a dead one."""
    scrape = Scrape(interval=0.01)
    jobs = {"a": JobDef(nothing), "never": JobDef(nothing, tag="never")}
    processor = await processors.make(
        jobs=jobs, integrations=[scrape.integration], worker_tags=["x"], concurrency=7
    )
    await processor.schedule_jobs(["never", "never", "a"])
    await die_holding(processor, ["a"])
    await processors.worker(processor)

    async def looked() -> bool:
        delay = scrape("queue_delay_seconds")
        return scrape("rescued_total", name="a") == 1 and delay is not None and delay > 0

    await eventually(looked)
    assert scrape("waiting", name="never") == 2
    assert scrape("workers_lost_total") == 1
    assert scrape("slots") == 7

    async def measured() -> bool:
        return scrape("workers") == 1

    await eventually(measured)
    assert scrape("loop_lag_seconds") is not None


async def test_the_number_of_series_is_bounded(processors: Processors) -> None:
    """Names beyond the limit share one label."""
    scrape = Scrape(max_names=2)
    jobs = {name: JobDef(nothing) for name in "abcd"}
    processor = await processors.make(jobs=jobs, integrations=[scrape.integration])
    await processor.schedule_jobs(["a", "b", "c", "d", "a"])
    assert scrape.labels("scheduled_total") == {"a", "b", OTHER}
    assert scrape("scheduled_total", name=OTHER) == 2


async def test_a_name_that_is_gone(processors: Processors) -> None:
    """Its number goes with it; that of a name whose jobs have all ended is 0."""
    scrape = Scrape(interval=0.01)
    jobs = {name: JobDef(nothing, tag="never") for name in ("gone", "done")}
    processor = await processors.make(
        jobs=jobs, integrations=[scrape.integration], worker_tags=["x"]
    )
    ended = await processor.schedule_job("done")
    await processor.schedule_jobs(["gone"] * 5)
    await processors.worker(processor)

    def shows(**numbers: float | None) -> Any:
        async def looked() -> bool:
            return {name: scrape("waiting", name=name) for name in numbers} == numbers

        return looked

    await eventually(shows(gone=5, done=1))
    await processor.act_on_jobs("delete", name="gone")
    await processor.kill_job(ended.id)
    await eventually(shows(gone=None, done=0))


async def test_a_look_at_the_database_reads_no_job(processors: Processors) -> None:
    """It asks for counts and one time, whatever the jobs hold."""
    scrape = Scrape(interval=0.01)
    processor = await processors.make(
        jobs={"a": JobDef(nothing)}, integrations=[scrape.integration]
    )
    await processor.schedule_jobs(["a"] * 3)
    host = processor._host()
    spy = Spy(processor)
    await scrape.integration._ask(host)
    assert scrape("waiting", name="a") == 3
    counts = {"history.count", "history.names", "lanes.parked"}
    assert set(spy.asked) == {*counts, "settings.all", "workers.vitals"}


async def test_parked_jobs_are_counted_apart(processors: Processors) -> None:
    """What nobody can start is no work that waits for a worker; what is gone shows no more."""
    scrape = Scrape(interval=0.01)
    limited = {"a": JobDef(nothing, limit=Limit(1, key="k"))}
    processor = await processors.make(jobs=limited, integrations=[scrape.integration])
    jobs = await processor.schedule_jobs([("a", {"k": "x"})] * 3)
    lanes, now = store_of(processor).lanes, parts_of(processor).clock.now()
    await lanes.park([job.id for job in jobs[1:]], "slot", now)
    host = processor._host()
    await scrape.integration._ask(host)
    assert (scrape("waiting", name="a"), scrape("parked", name="a")) == (1, 2)
    await lanes.release([job.id for job in jobs[1:]], now)
    await scrape.integration._ask(host)
    assert (scrape("waiting", name="a"), scrape("parked", name="a")) == (3, None)


def test_page_and_dashboard_are_those_of_the_code() -> None:
    """The page lists each metric; the dashboard asks for nothing that is not there."""
    metrics = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in Scrape().integration.registry.collect()
    }
    listed = table("docs/prometheus.md", ("metric", "labels", "what it is"))
    whole = {name for name in (code(row[0]) for row in listed) if "_scaling_" in name}
    assert {name for row in listed for name in codes(row[0])} - whole == metrics
    assert whole == {f"{PREFIX}scaling_{field.name}" for field in fields(Scaling)}
    board = json.loads((ROOT / "docs" / "grafana.json").read_text())
    asked = set(re.findall(r"job_processor_\w+", json.dumps(board["panels"])))
    assert {re.sub(r"_bucket$", "", name) for name in asked} == metrics


def test_it_is_served() -> None:
    """Over HTTP, for the time of the block; a port that is taken is an error of the system."""
    scrape = Scrape()
    registry = scrape.integration.registry
    with serve(0, registry) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        with urllib.request.urlopen(url) as answer:  # our own server
            assert b"job_processor_slots 0.0" in answer.read()
        with pytest.raises(OSError, match="in use"), serve(port, registry):
            pass


@pytest.mark.parametrize(("option", "value"), [("max_names", 0), ("interval", "often")])
def test_options_that_are_not_allowed(option: str, value: Any) -> None:
    """The error names the option and the value."""
    with pytest.raises(InvalidArgumentError, match=f"{option}: {value!r}"):
        Prometheus(CollectorRegistry(), **{option: value})


async def test_two_processors_share_one(processors: Processors) -> None:
    """Both count in the same registry."""
    scrape = Scrape()
    options: dict[str, Any] = {"jobs": {"a": JobDef(nothing)}, "integrations": [scrape.integration]}
    made: list[JobProcessor] = [await processors.make(**options) for _ in range(2)]
    for processor in made:
        await processor.run_job("a")
    assert scrape("ended_total", name="a", status="finished") == 2
