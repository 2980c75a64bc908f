"""What the overview points at."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import ObjectId

from job_processor import CronDef, JobDef
from job_processor.handlers.registry import Registry
from job_processor.jobs.pauses import Pauses
from job_processor.models import JobStatus, Registrations, WorkerInfo
from job_processor.ops.overview import Overview
from job_processor.store.losses import Loss
from job_processor.store.name_rollups import NameRollup
from job_processor.store.rollups import HOUR, MINUTE, OTHERS
from job_processor.store.summaries import JobSummary
from job_processor.web import attention
from tests.definitions import nothing

NOW = datetime(2030, 1, 1, tzinfo=UTC)
JOBS = {
    "mail": JobDef(nothing),
    "resize": JobDef(nothing, tag="gpu"),
    "sync": JobDef(nothing, limit=1),
    "bounded": JobDef(nothing, max_runtime=timedelta(hours=9)),
}
CALM = Overview(
    registrations=Registrations(NOW, ()),
    losses=(),
    pauses=Pauses(),
    counts={},
    running=[],
    due=[],
    parked={},
    crons=[],
    minutes=[],
    hours=[],
    names=[],
    missed=[],
)


def worker(name: str, *names: str, ago: int = 0, **fields: Any) -> WorkerInfo:
    """Return a worker that gave its last heartbeat some seconds ago."""
    seen = NOW - timedelta(seconds=ago)
    whole = {"id": ObjectId(), "hostname": name, "last_seen": seen, "timeout_s": 60, **fields}
    return WorkerInfo(names=names, **whole)


def job(name: str, **fields: Any) -> JobSummary:
    """Return a job of a name that is due, or runs."""
    whole = {"id": ObjectId(), "type": "simple", "name": name, "status": JobStatus.PENDING}
    times = dict.fromkeys(("scheduled_for", "created_at", "updated_at"), NOW)
    return JobSummary(**{**whole, **times, **fields})


def remarks(*workers: WorkerInfo, **read: Any) -> list[attention.Remark]:
    """Return what is pointed at with these workers, and what else was read."""
    overview = replace(CALM, registrations=Registrations(NOW, workers), **read)
    return attention.of(overview, Registry(JOBS, {"nightly": CronDef("0 2 * * *", nothing)}))


def kinds(*workers: WorkerInfo, **read: Any) -> list[tuple[str, str]]:
    """Return the kind and the subject of each remark."""
    return [(each.kind, each.subject) for each in remarks(*workers, **read)]


ALIVE = worker("a", "mail", "sync", "bounded", "nightly", ago=59)


def test_the_worst_comes_first() -> None:
    """A silent worker is none that is alive; one that died is told with what was rescued."""
    silent = worker("a", "mail", ago=61, pid=7)
    assert kinds(silent) == [("no worker", ""), ("silent", "a:7")]
    assert kinds(ALIVE) == []
    lost = Loss(ObjectId(), "b:8", NOW - timedelta(minutes=9), NOW, 3)
    (remark,) = remarks(ALIVE, losses=(lost,))
    assert (remark.kind, remark.subject, remark.count, remark.at) == (
        *("lost", "b:8", 3),
        lost.last_seen,
    )


def test_failing_is_no_retrying() -> None:
    """What failed for good, the most first; apart from it what was tried again; and missed ones."""
    counts = {
        "a": {"errored": 1},
        "b": {"errored": 7, "retried": 2},
        "c": {"retried": 9},
        "d": {"finished": 5},
        OTHERS: {"errored": 99},
    }
    names = [NameRollup("name", name, MINUTE, NOW, each) for name, each in counts.items()]
    missed = [NameRollup("name", "nightly", HOUR, NOW, {"missed": 2})]
    found = [
        (each.kind, each.subject, each.count) for each in remarks(ALIVE, names=names, missed=missed)
    ]
    assert found == [
        ("failing", "b", 7),
        ("failing", "a", 1),
        ("missed", "nightly", 2),
        ("retrying", "c", 9),
        ("retrying", "b", 2),
    ]


def test_there_may_be_more() -> None:
    """Of a kind the first are shown, with how many others there are."""
    names = [NameRollup("name", f"n{n}", MINUTE, NOW, {"errored": 9 - n}) for n in range(9)]
    found = remarks(ALIVE, names=names)
    assert [each.subject for each in found[:-1]] == [f"n{n}" for n in range(attention.MOST)]
    assert (found[-1].kind, found[-1].count) == ("more", 9 - attention.MOST)


def test_what_nobody_takes() -> None:
    """Neither the dead nor those without the tag take it; a worker that tells no names may."""
    due = [job(name) for name in ("mail", "resize", "fax")]
    fax, resize = ("unknown", "fax"), ("unknown", "resize")
    partial = worker("a", "mail", "resize", tags=("cpu",))
    assert kinds(partial, due=due) == [fax, resize]
    gpu = worker("b", "resize", tags=("gpu",))
    assert kinds(partial, gpu, due=due) == [fax]
    assert kinds(partial, worker("node"), due=due) == []
    dead = worker("b", "fax", "resize", ago=99)
    assert kinds(partial, dead, due=due) == [("silent", "b"), fax, resize]


def test_what_takes_long() -> None:
    """More than an hour, unless something will end it."""
    long, brief = NOW - timedelta(seconds=3601), NOW - timedelta(seconds=3599)
    running = [job("mail", updated_at=at, status=JobStatus.RUNNING) for at in (long, brief)]
    running.append(job("bounded", updated_at=long))
    (remark,) = remarks(ALIVE, running=running)
    assert (remark.kind, remark.job_id, remark.at) == ("long", str(running[0].id), long)


def test_what_is_held_up() -> None:
    """Clocks that are off, paused names and tags, and what waits for a limit of its name."""
    ahead = worker("b", "mail", clock_ahead=12.0)
    future = worker("c", "mail", ago=-30)
    found = remarks(
        ahead,
        future,
        pauses=Pauses(frozenset({"mail"}), frozenset({"slow"})),
        parked={"sync": 4},
    )
    assert [(each.kind, each.subject, each.count, each.seconds) for each in found] == [
        ("clock", "b", 0, 12.0),
        ("clock", "c", 0, 30.0),
        ("paused name", "mail", 0, 0.0),
        ("paused tag", "slow", 0, 0.0),
        ("limited", "sync", 4, 0.0),
    ]
