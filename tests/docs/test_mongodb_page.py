"""What docs/mongodb.md says about indexes and fields is what the store makes."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from bson import ObjectId

from job_processor.models import CronTask, JobStatus, SimpleJob
from job_processor.store.mongo.documents import job_document
from job_processor.store.mongo.features import ALL
from job_processor.store.mongo.indexes import (
    JOBS,
    JOBS_OF_NODE,
    SIGNALS,
    SIGNALS_OF_NODE,
    WORKERS,
)
from tests.docs.markdown import blocks, codes, table

PAGE = "docs/mongodb.md"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_indexes_are_those_of_the_store() -> None:
    """The table lists every index with its keys, and says which are critical and which are TTLs."""
    listed = [
        (codes(row[0])[0], codes(row[1])[0], _keys(row[2]), "critical" in row[3], "TTL" in row[3])
        for row in table(PAGE, ("collection", "index", "keys", "for"))
    ]
    made = [
        (name, index.name, index.keys, index.critical, "expireAfterSeconds" in index.options)
        for name, indexes in (("jobs", JOBS), ("workers", WORKERS), ("signals", SIGNALS))
        for index in indexes
    ]
    assert listed == made


def test_indexes_of_features_are_those_of_the_store() -> None:
    """Their table lists each with its keys, by the feature that makes it, and the critical ones."""
    listed: list[tuple[str, str, tuple[tuple[str, int], ...], bool]] = []
    for row in table(PAGE, ("feature", "index", "keys", "for")):
        feature = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", row[0]) or listed[-1][0]
        listed.append((feature, codes(row[1])[0], _keys(row[2]), "critical" in row[3]))
    made = [
        (feature.title, index.name, index.keys, index.critical)
        for feature in ALL
        for index in feature.indexes
    ]
    assert listed == made


def test_indexes_of_node_are_those_that_it_alone_needs() -> None:
    """Its table lists each with its keys, and the command that drops them names the same."""
    listed = [
        (codes(row[0])[0], codes(row[1])[0], _keys(row[2]))
        for row in table(PAGE, ("collection", "index of Node alone", "keys"))
    ]
    made = [
        (name, index.name, index.keys)
        for name, indexes in (("jobs", JOBS_OF_NODE), ("signals", SIGNALS_OF_NODE))
        for index in indexes
    ]
    assert listed == made
    (dropping,) = blocks(PAGE, "javascript")
    assert re.findall(r"[\"](\w+_1)[\"]", dropping.text) == [name for _, name, _ in made]


def test_fields_are_those_of_a_plain_job() -> None:
    """A plain job has exactly the fields that the page lists."""
    fields = [
        set(codes(row[1].replace(": {mode}", ""))) for row in table(PAGE, ("collection", "fields"))
    ]
    assert set(job_document(_made(SimpleJob))) == fields[0]
    of_a_task = fields[0] - {"sync", "payload"} | {"sentry_id"}
    assert set(job_document(_made(CronTask))) == of_a_task


def _made(kind: type[SimpleJob | CronTask]) -> SimpleJob | CronTask:
    return kind(
        id=ObjectId(),
        name="a",
        status=JobStatus.PENDING,
        scheduled_for=NOW,
        created_at=NOW,
        updated_at=NOW,
    )


def _keys(cell: str) -> tuple[tuple[str, int], ...]:
    return tuple(
        (codes(part)[0], -1 if part.endswith("descending") else 1) for part in cell.split(", ")
    )
