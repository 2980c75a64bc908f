"""What docs/operations.md and docs/upgrades.md say of the schema and of cleaning up is so."""

from __future__ import annotations

import re

from job_processor.settings import HISTORY_INTERVAL
from job_processor.store.mongo import schema as mongo
from job_processor.store.sqlite import schema as sqlite
from tests.docs.markdown import read, section

PAGE = "docs/operations.md"


def test_schema_versions_are_those_of_the_stores() -> None:
    """When a version goes up, the page must tell what the upgrade does."""
    text = " ".join(read("docs/upgrades.md").split())
    (shown,) = re.findall(r"MongoDB's stands at (\d+), SQLite's at (\d+)", text)
    assert shown == (str(mongo.VERSION), str(sqlite.VERSION))


def test_history_is_removed_as_often_as_the_page_says() -> None:
    """On SQLite workers remove what is old once an hour."""
    assert "once an hour" in section(PAGE, "Retention")
    assert HISTORY_INTERVAL == 3600
