"""What docs/operations.md and docs/upgrades.md say of the schema, figures and cleaning up is so."""

from __future__ import annotations

import re

import pytest

from job_processor.settings import HISTORY_INTERVAL
from job_processor.store.mongo import schema as mongo
from job_processor.store.sqlite import schema as sqlite
from tests.docs.figures import measured, plain, rows
from tests.docs.markdown import read, section

PAGE = "docs/operations.md"


def test_schema_versions_are_those_of_the_stores() -> None:
    """When a version goes up, the page must tell what the upgrade does."""
    versions = (str(mongo.VERSION), str(sqlite.VERSION))
    for page, pattern in {
        "docs/upgrades.md": r"It is (\d+) on MongoDB and (\d+) on SQLite",
        "docs/upgrades.fr.md": r"C'est (\d+) sur MongoDB et (\d+) sur SQLite",
    }.items():
        assert re.findall(pattern, " ".join(read(page).split())) == [versions]


@pytest.mark.parametrize(
    ("page", "heading"), [(PAGE, "Capacity"), ("docs/operations.fr.md", "Capacité")]
)
def test_figures_are_those_of_the_page_about_speed(page: str, heading: str) -> None:
    """Rows that link to its sections have its figures, in their order.

    The rate of MongoDB is that of a real server, of the page about reliability.
    """
    ours = (measured()["job-processor, SQLite"], measured("mongodb")["job-processor, MongoDB"])
    memory, idle, drain = ([store[column] for store in ours] for column in (4, 5, 0))
    drain.pop()  # of what stands in for it
    shown = [
        re.findall(r"\d+(?:\.\d+)?", plain(cells[1]))
        for cells in rows(section(page, heading))
        if "(performance.md#" in cells[2]
    ]
    real = shown[2].pop()
    assert shown == [memory, idle, drain]
    tried = plain(section("docs/reliability.md", "On a real replica set"))
    assert f"one worker, one member | {real} jobs/s" in tried


def test_history_is_removed_as_often_as_the_page_says() -> None:
    """On SQLite workers remove what is old once an hour."""
    assert "once an hour" in section(PAGE, "Retention")
    assert HISTORY_INTERVAL == 3600
