"""What is counted of each name and tag as runs end, and what stays apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from job_processor import ErrorGroup, InvalidArgumentError, JobDef, JobRequest, Retry, Snooze
from job_processor.handlers.registry import Registry
from job_processor.store.error_groups import GROUPS_KEPT, fingerprint
from job_processor.store.name_rollups import (
    CLASSES,
    by_name,
    class_of,
    class_of_duration,
    delay_index,
)
from job_processor.store.rollups import DELAYS, NAMES_KEPT, OTHERS
from job_processor.worker.counted import counted
from job_processor.worker.figures import Figures, Minute
from tests.processors import Processors
from tests.samples import simple


def fail(payload: Mapping[str, Any] | None) -> None:
    """Raise what it is told, if anything."""
    payload = payload or {}
    if payload.get("snooze"):
        raise Snooze(delay=3600)
    if payload.get("fail"):
        raise ValueError(payload["fail"])


JOBS = {
    "plain": JobDef(fail, tag="mail"),
    "tried": JobDef(fail, tag="mail", retry=Retry(2, delay=0)),
    "apart": JobDef(fail),
}


async def test_runs_are_counted_by_name_and_tag(processors: Processors) -> None:
    """What failed for good apart from what was retried, and from what only sleeps."""
    processor = await processors.make(jobs=JOBS)
    since = datetime.now(UTC) - timedelta(minutes=1)
    requests: list[Any] = [("plain",), ("plain", {"fail": "row 1"}), ("apart", {"snooze": True})]
    requests += [JobRequest("tried", {"fail": "row 22"}), ("tried",)]
    jobs = await processor.schedule_jobs(requests)
    await processor.run_worker(burst=True)
    for seconds in (60, 3600, 86_400):
        names = {each.name: each for each in await processor.get_rollup_totals(seconds, since)}
        assert {name: dict(each.counts) for name, each in names.items()} == {
            "plain": {"finished": 1, "errored": 1},
            "tried": {"finished": 1, "retried": 1, "errored": 1},
            "apart": {"postponed": 1},
        }
        (tag,) = await processor.get_rollup_totals(seconds, since, kind="tag")
        assert (tag.name, tag.count, tag.retried) == ("mail", 4, 1)
        (whole,) = by_name(await processor.get_name_rollups(seconds, since, tag="mail"))
        assert whole == tag
        (everything,) = await processor.get_rollup_totals(seconds, since, kind="all")
        assert everything.counts == {**tag.counts, "postponed": 1}
    (tried,) = by_name(await processor.get_name_rollups(3600, since, name="tried"))
    assert sum(tried.durations.values()) == 3  # attempts
    assert sum(tried.delays.values()) == 2  # jobs
    assert tried.failure_share == 0.5
    median = tried.duration(0.5)
    assert median is not None
    assert 0 < median < 10
    errors = await processor.get_error_groups(since, name="tried")
    assert [(each.text, each.count) for each in errors] == [("ValueError: row <n>", 2)]
    assert errors[0].last_job == jobs[3].id
    texts = [(each.name, each.text) for each in await processor.get_error_groups(since)]
    assert texts == [("tried", "ValueError: row <n>"), ("plain", "ValueError: row <n>")]


async def test_what_cannot_be_asked_for(processors: Processors) -> None:
    """Other spans, a name and a tag at once, times without a zone, other kinds."""
    processor = await processors.make(jobs=JOBS)
    now = datetime.now(UTC)
    for call, argument in (
        (processor.get_name_rollups(600, now, name="a"), "seconds"),
        (processor.get_name_rollups(60, now, name="a", tag="b"), "tag"),
        (processor.get_name_rollups(60, now, name=""), "name"),
        (processor.get_name_rollups(60, datetime.now(), name="a"), "since"),  # noqa: DTZ005  # the case
        (processor.get_rollup_totals(60, now, kind="x"), "kind"),  # type: ignore[arg-type]  # the case
        (processor.get_error_groups(now, limit=0), "limit"),
    ):
        with pytest.raises(InvalidArgumentError) as raised:
            await call
        assert raised.value.argument == argument


def test_only_so_many_names_are_counted_apart() -> None:
    """Those that are defined first, whatever runs first; tags in the same way; nothing is lost."""
    registry = Registry({}, {})
    names = [f"n{number:03}" for number in range(NAMES_KEPT + 50)]
    for name in names:
        registry.add_job(name, JobDef(fail, tag=f"t{name}"))
    minute: Minute = defaultdict(Figures)
    for name in reversed(names):
        job = simple(name=name)
        minute[name].add_finished(job, None)
    rollups, named, _ = counted({0: minute}, registry)
    for kind, front in (("name", ""), ("tag", "t")):
        found = {(each.name, each.finished) for each in named if each.kind == kind}
        assert found == {(f"{front}{name}", 1) for name in names[:NAMES_KEPT]} | {(OTHERS, 50)}
    assert {each.counts["finished"] for each in rollups} == {len(names)}


def test_only_so_many_errors_are_counted_apart() -> None:
    """In a process as well as in the database."""
    registry = Registry({}, {})
    registry.add_job("a", JobDef(fail))
    minutes: dict[int, Minute] = {0: defaultdict(Figures), 1: defaultdict(Figures)}
    for number, minute in minutes.items():
        for n in range(GROUPS_KEPT + 10):
            text = "x" * (n + 1) + "y" * number
            figures = minute["a"]
            figures._add_error(simple(name="a"), text)  # as add() does
    _, _, errors = counted(minutes, registry)
    assert len(errors) == GROUPS_KEPT + 1
    assert sum(each.count for each in errors) == 2 * (GROUPS_KEPT + 10)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("RuntimeError: kaboom\n  File ...", "RuntimeError: kaboom"),
        ("\n \nE: row 12, 3.5s; order-7 item_8", "E: row <n>, <n>s; order-<n> item_<n>"),
        ("KeyError: 'email'", "KeyError: 'email'"),
        ("HTTPError: 503 Server Error", "HTTPError: 503 Server Error"),
        ("Client error '404 Not Found'", "Client error '404 Not Found'"),
        ("[Errno 111] Connection refused", "[Errno 111] Connection refused"),
        ("no ada.l@example.org", "no <email>"),
        ("S3UploadFailedError: 6b0b493b371a69ad79ede156", "S3UploadFailedError: <id>"),
        ("x 550e8400-e29b-41d4-a716-446655440000 0xff", "x <id> <id>"),
        ("at 2026-11-29T21:00:00.123Z", "at <n>"),
        ("Base64Error utf8 facade", "Base64Error utf8 facade"),
        ("a\x1b[31mb", "a [<n>mb"),
        ("é" * 500, "é" * 199 + "…"),
        ("", "-"),
        (None, "-"),
    ],
)
def test_errors_that_differ_in_what_varies_are_the_same(error: str | None, expected: str) -> None:
    """Ids, numbers and addresses do not count; codes of a protocol do, and words."""
    assert fingerprint(error) == expected


def test_spans_of_time_are_classed() -> None:
    """Each falls into the first class whose bound it does not exceed; the last takes the rest."""
    for ms in (0, 1, 2, 3, 4, 5, 1000, 1024, 1025, 2047, 2048, 2049, 8_388_608, 10**9):
        index = class_of(timedelta(milliseconds=ms))
        assert ms / 1000 <= CLASSES[index] + 0.00001
        assert index == 0 or ms / 1000 > CLASSES[index - 1]
        broad = delay_index(index)
        assert broad == len(DELAYS) - 1 or ms / 1000 <= DELAYS[broad]
        assert broad == 0 or ms / 1000 > DELAYS[broad - 1]
    assert class_of(timedelta(seconds=-5)) == 0
    assert class_of(timedelta(days=400)) == len(CLASSES) - 1
    assert class_of_duration("1 minute 2.5 seconds") == class_of(timedelta(seconds=62.5))
    assert class_of_duration("--") is None


def test_groups_of_errors_know_the_last_job() -> None:
    """Whichever is added to the other."""
    now = datetime.now(UTC)
    early = ErrorGroup("a", now, "x", 1, simple().id, now)
    late = ErrorGroup("a", now, "x", 2, simple().id, now + timedelta(seconds=1))
    for both in (early.plus(late), late.plus(early)):
        assert (both.count, both.last_job, both.last_at) == (3, late.last_job, late.last_at)
