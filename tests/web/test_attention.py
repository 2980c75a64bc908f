"""What the overview points at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from job_processor import JobDef
from job_processor.handlers.registry import Registry
from job_processor.jobs.pauses import Pauses
from job_processor.models import Registrations, WorkerInfo
from job_processor.store.rollups import MINUTE, Rollup
from job_processor.web import attention
from tests.definitions import nothing

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def worker(name: str, *names: str, tags: tuple[str, ...] | None = None, ago: int = 0) -> WorkerInfo:
    """Return a worker that gave its last sign of life some seconds ago."""
    seen = NOW - timedelta(seconds=ago)
    return WorkerInfo(
        id=ObjectId(), hostname=name, last_seen=seen, tags=tags, timeout_s=60, names=names
    )


def kinds(
    *workers: WorkerInfo, queue: tuple[str, ...] = (), tasks: tuple[dict[str, Any], ...] = ()
) -> list[tuple[str, str]]:
    """Return the kind and the subject of each remark."""
    status = {
        "queue": [{"name": name} for name in queue],
        "workers": [{"tasks": tasks}],
    }
    jobs = {"mail": JobDef(nothing), "resize": JobDef(nothing, tag="gpu")}
    failures = Rollup(MINUTE, NOW, {}, {"a": 1, "b": 7})
    remarks = attention.of(
        status,
        Registrations(NOW, workers),
        failures,
        Pauses(tags=frozenset({"slow"})),
        Registry(jobs, {}),
    )
    return [(each.kind, each.subject) for each in remarks]


ALWAYS = [("failing", "b"), ("failing", "a"), ("paused", "#slow")]


def test_the_worst_comes_first() -> None:
    """A dead worker is none that is alive."""
    assert kinds(worker("a", "mail", ago=61)) == [("no worker", ""), ("dead", "a"), *ALWAYS]
    assert kinds(worker("a", "mail", ago=59)) == ALWAYS


def test_what_nobody_takes() -> None:
    """Neither the dead nor those without the tag take it; a worker that tells no names may."""
    queue = ("mail", "resize", "fax")
    unknown = [("unknown", "fax"), ("unknown", "resize")]
    partial = worker("a", "mail", "resize", tags=("cpu",))
    assert kinds(partial, queue=queue) == [*ALWAYS[:2], *unknown, ALWAYS[2]]
    gpu = worker("b", "resize", tags=("gpu",))
    assert kinds(partial, gpu, queue=queue) == [*ALWAYS[:2], unknown[0], ALWAYS[2]]
    assert kinds(partial, worker("node"), queue=queue) == ALWAYS
    dead = worker("b", "fax", "resize", ago=99)
    assert kinds(partial, dead, queue=queue) == [("dead", "b"), *ALWAYS[:2], *unknown, ALWAYS[2]]


def test_what_takes_long() -> None:
    """More than an hour."""
    long, brief = (
        {"_id": "7", "name": "mail", "started_at": (NOW - timedelta(seconds=s)).isoformat()}
        for s in (3601, 3599)
    )
    assert kinds(worker("a", "mail"), tasks=(long, brief)) == [
        *ALWAYS[:2],
        ("long", "mail"),
        ALWAYS[2],
    ]
