"""Crons in the dashboard: the table of all of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from job_processor import CronDef, JobProcessor
from job_processor.models import JobStatus, Output
from job_processor.web import create_app
from job_processor.web.crons import PAGE, RUNS
from job_processor.web.local_times import local_time, place_of
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors
from tests.samples import occurrence
from tests.web.conftest import CRONS, client_of
from tests.web.costs import MOST_BYTES, MOST_STATEMENTS, asked, counted
from tests.web.forms import Forms


def many(count: int, name: str = "cron_of_some_length") -> dict[str, CronDef]:
    """Return that many crons."""
    return {
        f"{name}_{n:04}": CronDef("30 6,18 * * MON-SAT", nothing, timezone="Europe/Paris")
        for n in range(count)
    }


async def runs(processor: JobProcessor, names: list[str], count: int) -> None:
    """Let crons have run that often, the last time in vain."""
    now = datetime.now(UTC).replace(microsecond=0)
    await store_of(processor).intake.insert(
        [
            occurrence(
                name,
                at=(at := now - timedelta(hours=count - n)),
                status=JobStatus.ERRORED if n == count - 1 else JobStatus.FINISHED,
                started_at=at,
                ended_at=at + timedelta(seconds=3),
                output=Output("3s", None, "OSError: no" if n == count - 1 else None),
            )
            for name in names
            for n in range(count)
        ]
    )


@pytest.mark.parametrize(
    ("moment", "zone", "english", "french"),
    [
        ("2026-11-30T06:30", "Europe/Paris", "Mon 30 Nov 07:30", "lun. 30 nov. 07:30"),
        ("2027-07-31T22:00", "Europe/Paris", "Sun 1 Aug 2027 00:00", "dim. 1er août 2027 00:00"),
        ("2026-12-01T00:00", "America/New_York", "Mon 30 Nov 19:00", "lun. 30 nov. 19:00"),
        ("2026-11-29T12:00:05", "No/Where", "Sun 29 Nov 12:00:05", "dim. 29 nov. 12:00:05"),
    ],
)
def test_a_moment_by_the_clock_of_a_zone(moment: str, zone: str, english: str, french: str) -> None:
    """Day and time as they are there, with the year where it is another one."""
    at, now = datetime.fromisoformat(f"{moment}+00:00"), datetime(2026, 11, 29, tzinfo=UTC)
    assert local_time(at, zone, now, "en") == english
    assert local_time(at, zone, now, "fr") == french
    assert place_of("America/New_York") == "New York"


async def test_crons_stand_in_a_table(processor: JobProcessor) -> None:
    """Each with its expression in words, its last runs, and when it is next where it is at home."""
    await processor.run_worker(burst=True)
    async with client_of(create_app(processor)) as client:
        text = (await client.get("/crons")).text
        for part in ("At 02:00", "has not run yet", "Paris · <time", "Run now", "Pause"):
            assert part in text, part
        assert 'class="primary"' not in text
        await runs(processor, ["nightly"], RUNS + 2)
        forms = Forms(client)
        text = await forms.send(do="pause", name="nightly", back="/crons")
        assert text.count('class="mark finished"') == RUNS - 1
        assert text.count('class="mark errored"') == 1
        assert "Resume" in text
        french = (await client.get("/crons", headers={"accept-language": "fr"})).text
        assert re.search(r"\S 02:00 <span class=\"dim\">Paris · <time[^>]*>dans ", french)


async def test_the_page_of_many_crons_is_bounded(processors: Processors) -> None:
    """In rows and bytes, whatever their names; the others are on the pages that follow."""
    processor = await processors.make(crons=many(PAGE + 3))
    await processor.run_worker(burst=True)
    names = [cron.name for cron in await processor.get_crons()]
    await runs(processor, names[:PAGE], RUNS)
    async with client_of(create_app(processor)) as client:
        first = await client.get("/crons", headers={"accept-language": "fr"})
        assert first.text.count("<tr data-key") == PAGE
        assert len(first.content) < MOST_BYTES
        following = re.search(r'rel="next"[^>]*href="([^"]+)"', first.text)
        assert following is not None
        second = (await client.get(following[1])).text
        assert second.count("<tr data-key") == 3
        found = (await client.get("/crons?q=LENGTH_0003")).text
        assert found.count("<tr data-key") == 1
        assert (await client.get("/crons?skip=x")).status_code == 400


async def test_long_names_of_crons_make_no_larger_page(processors: Processors) -> None:
    """Fewer of them stand on it."""
    processor = await processors.make(crons=many(PAGE, "é" * 190))
    await processor.run_worker(burst=True)
    async with client_of(create_app(processor)) as client:
        page = await client.get("/crons")
        assert len(page.content) < MOST_BYTES
        assert 1 <= page.text.count("<tr data-key") < PAGE
        assert 'rel="next"' in page.text


async def test_a_page_of_crons_costs_few_statements(db_url: str) -> None:
    """However many they are."""
    async with (
        counted(db_url, crons={**CRONS, **many(PAGE)}) as (processor, statements),
        client_of(create_app(processor)) as client,
    ):
        await processor.run_worker(burst=True)
        await client.get("/crons")
        statements.made.clear()
        assert (await client.get("/crons")).status_code == 200
        assert 0 < len(asked(statements)) <= MOST_STATEMENTS, statements.made
