"""What a list shows of a job: an extract that the database makes, whatever the job holds."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import bson
import pytest
from bson import ObjectId

from job_processor.as_json import job_json
from job_processor.models import (
    Job,
    JobStatus,
    LogLine,
    Notes,
    Output,
    Progress,
    SimpleJob,
    SkipMetadata,
)
from job_processor.redaction import REDACTED, Redaction
from job_processor.store import Store
from job_processor.store.mongo import summaries as mongo
from job_processor.store.requests import JobQuery
from job_processor.store.sqlite import summaries as sqlite
from job_processor.store.summaries import Extract, JobSummary, shown_of
from tests.samples import MS, NOW, SECOND, WORKER, occurrence, run, simple
from tests.store.dictionaries import summaries as dictionaries

LONG = "x" * 5000
SECRET = "hunter2-SECRET"  # noqa: S105  # what is looked for
EMOJI = "\N{GRINNING FACE}" * 5000
BULKY: dict[str, dict[str, Any]] = {
    "one long text": {"text": LONG},
    "many fields": {f"field{n}": n for n in range(5000)},
    "long names": {f"{'n' * 3000}{n}": LONG for n in range(10)},
    "four bytes a letter": {EMOJI + str(n): EMOJI for n in range(5)},
    "a long list": {"rows": [{"id": n, "text": "y" * 50} for n in range(1000)]},
    "a deep one": {"a": {"b": {"c": {"d": [LONG] * 50}}}},
    "bytes": {"data": b"\x00\xff" * 5000, "more": LONG},
    "quotes": {'"\\\n' * 20 + str(n): '"\\\n' * 500 for n in range(8)},
}


def settled(payload: Any = None, **output: Any) -> SimpleJob:
    """Return a job that has ended."""
    return simple(
        status=JobStatus.ERRORED if output.get("error") else JobStatus.FINISHED,
        payload=payload,
        started_at=NOW,
        ended_at=NOW + SECOND,
        worker_id=WORKER,
        output=Output("1 second", **output),
    )


async def shown(store: Store, job: SimpleJob, redaction: Redaction | None = None) -> JobSummary:
    """Store a job and return what a list shows of it."""
    await store.intake.insert([job])
    (summary,) = await store.history.summaries(JobQuery(limit=1), redaction)
    assert summary.id == job.id
    return summary


@pytest.fixture
def read_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes came out of the database for each row."""
    sizes: list[int] = []
    of_row, of_document, of_job = sqlite._extract, mongo._extract, dictionaries._extract

    def measure_row(row: Any) -> Any:
        values = (value for value in row if isinstance(value, str))
        sizes.append(sum(len(value.encode()) for value in values) + 8 * len(row))
        return of_row(row)

    def measure_document(document: Any) -> Any:
        sizes.append(len(bson.encode(document)))
        return of_document(document)

    def measure_extract(job: Job, redaction: Redaction | None) -> Extract:
        extract = of_job(job, redaction)
        sizes.append(len(repr(extract).encode()))
        return extract

    monkeypatch.setattr(dictionaries, "_extract", measure_extract)
    monkeypatch.setattr(sqlite, "_extract", measure_row)
    monkeypatch.setattr(mongo, "_extract", measure_document)
    return sizes


async def test_a_small_job_is_shown_as_it_is(store: Store) -> None:
    """All of its fields, the payload and the result whole, and it is not said to be cut."""
    jobs: list[Job] = [
        simple(payload={"id": 7, "to": {"name": "ada"}, "tags": ["a", None, True, 1.5]}, sync=True),
        simple(payload=None, priority=3, exclusive=False, expires_at=NOW + timedelta(days=1)),
        simple(payload={}),
        simple(payload={"at": NOW, "of": ObjectId(), "data": b"\x00\xff"}),
        settled({"a": 1}, result={"ok": True, "of": ObjectId(), "at": NOW}),
        settled({"a": 1}, result="done"),
        settled({"a": 1}, result=[1, 2, 3]),
        settled({"a": 1}, result=0),
        settled({"a": 1}, error="ValueError: no"),
        simple(
            status=JobStatus.SKIPPED,
            ended_at=NOW,
            output=Output(
                "--", skip_metadata=SkipMetadata("noConcurrent_conflict", ObjectId(), NOW)
            ),
        ),
        occurrence(sentry_id="abc"),
    ]
    await store.intake.insert(jobs)
    found = await store.history.summaries(JobQuery(limit=20, oldest_first=True))
    by_id = {summary.id: summary for summary in found}
    for job in jobs:
        assert by_id[job.id] == shown_of(job)
        assert not by_id[job.id].is_cut
    assert by_id[jobs[0].id].payload == {
        "id": 7,
        "to": {"name": "ada"},
        "tags": ["a", None, True, 1.5],
    }
    assert by_id[jobs[4].id].output == jobs[4].output


async def test_what_is_large_is_cut(store: Store) -> None:
    """The first four fields, a text at 80 characters; of the error the first line."""
    payload = {"text": LONG, "n": 7, "of": {"a": [LONG]}, "rows": list(range(1000)), "fifth": 5}
    error = f"  ValueError: {'no ' * 10}\n" + "  in a traceback\n" * 100
    summary = await shown(store, settled(payload, error=error))
    assert summary.payload == {"text": "x" * 80 + "…", "n": 7, "of": "{…}", "rows": "[…]"}
    assert list(summary.payload or ()) == ["text", "n", "of", "rows"]
    assert summary.output == Output("1 second", error=f"ValueError: {'no ' * 10}")
    assert summary.is_cut
    assert job_json(summary)["cut"] is True


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (LONG, "x" * 160 + "…"),
        (list(range(1000)), "[…]"),
        ({"a": LONG, "b": [LONG], "c": None, "d": True, "e": 1}, None),
    ],
    ids=["text", "list", "mapping"],
)
async def test_a_large_result_is_cut(store: Store, result: Any, expected: Any) -> None:
    """A text, a list and a mapping, each in its way."""
    summary = await shown(store, settled({"a": 1}, result=result))
    if expected is None:
        expected = {"a": "x" * 80 + "…", "b": "[…]", "c": None, "d": True}
    assert summary.output is not None
    assert summary.output.result == expected
    assert summary.is_cut


@pytest.mark.parametrize("hiding", [False, True], ids=["open", "hiding"])
@pytest.mark.parametrize("payload", BULKY.values(), ids=BULKY)
async def test_a_row_weighs_little_whatever_it_holds(
    store: Store, payload: dict[str, Any], hiding: bool, read_sizes: list[int]
) -> None:
    """At most 2 KiB are shown, and little more is read: payload and result stay where they are."""
    notes = Notes(Progress(0.5, "m" * 200, NOW), tuple(LogLine(NOW, "l" * 500) for _ in range(100)))
    job = settled(payload, result=payload, error=str(payload))
    job = SimpleJob(**{**vars(job), "notes": notes})
    summary = await shown(store, job, Redaction() if hiding else None)
    weight = len(json.dumps(job_json(summary), ensure_ascii=False).encode())
    assert weight <= 2048
    (read,) = read_sizes
    plain = str(payload).isascii() and "\\" not in str(payload)
    assert read <= (3 if plain else 12) * 1024  # others have up to four bytes, or are escaped
    assert summary.is_cut


async def test_every_list_reads_extracts(store: Store, read_sizes: list[int]) -> None:
    """Selections, the queue, the runs of a worker and the newest of each name."""
    heavy = {"blob": "x" * 200_000}
    (running,) = await run(store, simple(name="runs", payload=heavy))
    task = occurrence(scheduled_for=NOW + timedelta(days=1))
    waiting = [simple(scheduled_for=NOW - n * MS, payload=heavy) for n in range(3)]
    await store.intake.insert([task, *waiting])
    selection = await store.history.summaries(JobQuery(name="resize", oldest_first=True, limit=2))
    assert [each.id for each in selection] == [job.id for job in waiting[:2]]
    searched = await store.history.summaries(JobQuery(worker_id=WORKER))
    assert [each.id for each in searched] == [running.id]
    queue = await store.queue.due(NOW, 2)
    assert [each.id for each in queue] == [job.id for job in waiting[:0:-1]]
    runs = await store.runs.summaries(WORKER, 5)
    assert [(each.id, each.status) for each in runs] == [(running.id, JobStatus.RUNNING)]
    assert await store.runs.summaries(ObjectId(), 5) == []
    names: list[Any] = [("simple", "resize"), ("cron_task", "nightly"), ("simple", "unknown")]
    latest = await store.history.latest(names, 2)
    assert [[each.id for each in group] for group in latest] == [
        [waiting[2].id, waiting[1].id],
        [task.id],
        [],
    ]
    assert await store.history.latest([], 2) == []
    assert max(read_sizes) <= 2048
    assert len(read_sizes) == 2 + 1 + 2 + 1 + 3


HIDDEN: dict[str, dict[str, Any]] = {
    "small": {"password": SECRET},
    "behind the first four": {**{f"a{n}": LONG for n in range(6)}, "password": SECRET},
    "in a mapping": {"text": LONG, "user": {"login": {"api_key": SECRET}}},
    "in a list": {"text": LONG, "users": [{"name": "ada", "password": SECRET}]},
    "under a hidden mapping": {"text": LONG, "credentials": {"user": "ada", "given": [SECRET]}},
    "a pair": {"text": LONG, "headers": [["Accept", "*/*"], ["Authorization", SECRET]]},
    "a name and a value": {"text": LONG, "headers": [{"name": "Cookie", "value": SECRET}]},
    "in French": {"text": LONG, "motDePasse": SECRET},
    "wide letters": {"text": LONG, "\N{FULLWIDTH LATIN SMALL LETTER P}assword": SECRET},
    "odd names": {"text": LONG, 'pass"word\\': {"$date": 1}, "a.password": SECRET},
}


@pytest.mark.parametrize("payload", HIDDEN.values(), ids=HIDDEN)
async def test_what_a_payload_hides_is_shown_nowhere(store: Store, payload: dict[str, Any]) -> None:
    """Neither in the payload nor in error, result and progress, wherever in it the value stands."""
    job = settled(
        payload,
        result={"said": f"welcome {SECRET}", "text": LONG},
        error=f"ValueError: {SECRET} is wrong\n{SECRET}",
    )
    job = SimpleJob(**{**vars(job), "notes": Notes(Progress(0.5, f"with {SECRET}", NOW), ())})
    summary = await shown(store, job, Redaction())
    text = json.dumps(job_json(summary), ensure_ascii=False)
    assert SECRET not in text
    assert summary.output is not None
    assert summary.output.error == f"ValueError: {REDACTED} is wrong"


async def test_a_secret_that_the_end_of_a_text_cuts(store: Store) -> None:
    """Is left out as far as it stands there."""
    payload = {"text": LONG, "token": "abcdefghij" * 10}
    error = "E: " + "-" * 150 + "abcdefghij" * 10
    summary = await shown(store, settled(payload, error=error), Redaction())
    assert summary.output is not None
    assert "abcd" not in str(summary.output.error)


async def test_more_secrets_than_are_read(store: Store) -> None:
    """Then nothing is shown that may repeat one of them: of the error its type."""
    payload = {"text": LONG, **{f"password{n}": f"{n:04}-{SECRET}" * 9 for n in range(20)}}
    job = settled(payload, error="app.errors.Wrong: it is hidden", result={"a": 1, "b": LONG})
    summary = await shown(store, job, Redaction())
    assert summary.output is not None
    assert summary.output.error == f"app.errors.Wrong: {REDACTED}"
    assert SECRET not in json.dumps(job_json(summary))


async def test_without_a_redaction_nothing_is_hidden(store: Store) -> None:
    """Who reads the database by the library sees what is there."""
    summary = await shown(store, settled({"password": SECRET}, error=f"E: {SECRET}"))
    assert summary.payload == {"password": SECRET}
    assert summary.output == Output("1 second", error=f"E: {SECRET}")


async def test_a_page_of_so_many_bytes(store: Store) -> None:
    """Whole jobs, as many as have no more bytes together; one at least."""
    jobs = [simple(payload={"text": "x" * 10_000}) for _ in range(5)]
    await store.intake.insert(jobs)
    for size, expected in ((25_000, 2), (1, 1), (10**6, 5)):
        found = await store.history.find(JobQuery(limit=10, max_bytes=size))
        assert [job.id for job in found] == [job.id for job in jobs[::-1][:expected]]
        assert found[0] == jobs[-1]
