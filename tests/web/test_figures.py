"""Figures of a span of time, and errors that are alike: numbers of one page that must agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from bson import ObjectId

from job_processor import JobStatus, Output
from job_processor.store.name_rollups import NameRollup
from job_processor.store.rollups import start_of
from job_processor.store.summaries import JobSummary
from job_processor.web.alike import alike
from job_processor.web.charts import chart
from job_processor.web.figures import SPANS
from tests.samples import NOW, SECOND

LATE = datetime(2026, 3, 4, 13, 42, 31, tzinfo=UTC)


@pytest.mark.parametrize("key", SPANS)
def test_a_span_counts_what_its_chart_shows(key: str) -> None:
    """A table and a chart of the same time on the same page have the same number."""
    span = SPANS[key]
    last = int(LATE.timestamp()) // span.seconds
    rollups = [
        NameRollup("name", "a", span.seconds, moment, {"finished": 1})
        for n in range(200)
        for moment in [datetime.fromtimestamp((last - n) * span.seconds, UTC)]
    ]
    begin = start_of(span.since(LATE), span.seconds)  # so they are read
    counted = [each for each in rollups if each.start >= begin]
    assert chart(rollups, span.bar, span.length, LATE).total.done == len(counted)


def _failed(error: str, ended_at: datetime) -> JobSummary:
    return JobSummary(
        id=ObjectId(),
        name="charge",
        type="simple",
        status=JobStatus.ERRORED,
        scheduled_for=NOW,
        created_at=NOW,
        updated_at=NOW,
        ended_at=ended_at,
        output=Output("5ms", error=error),
    )


def test_a_group_of_errors_knows_its_first_and_its_last() -> None:
    """By when they ended: a job that was made long ago may have been retried until just now."""
    newest = _failed("Timeout: psp after 3 ms", NOW - 60 * SECOND)
    made_first = _failed("Timeout: psp after 4 ms", NOW)
    (group,) = alike([newest, made_first])
    assert (group.first, group.last) == (NOW - timedelta(seconds=60), NOW)
    assert (group.newest, group.count) == (str(newest.id), 2)


def test_what_is_looked_for_does_not_vary() -> None:
    """The longest part between what the counts of errors leave out; a code of a protocol stays."""
    lines = {
        "refused by ada@example.org for a while": "for a while",
        "HTTP 503 from the bank, 17 times": "HTTP 503 from the bank,",
        "job 6b0cd4fad06eea6c9effdc58 vanished": "vanished",
    }
    for line, part in lines.items():
        (group,) = alike([_failed(line, NOW)])
        assert group.part == part
