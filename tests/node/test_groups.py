"""Groups beside the Node package, whose validator does not know their fields."""

from __future__ import annotations

import pytest

from job_processor import JobDef, SharedDatabaseError
from tests.definitions import nothing
from tests.node.test_limits import node_comes
from tests.processors import Processors

pytestmark = pytest.mark.mongo


async def test_groups_are_refused_beside_node(mongo_db_url: str) -> None:
    """Where they are opened, with the line that says what to do."""
    jobs = {"part": JobDef(nothing), "zip": JobDef(nothing)}
    async with Processors(mongo_db_url) as processors:
        await processors.make(jobs=jobs)
        await node_comes(mongo_db_url)
        processor = await processors.make(jobs=jobs)
        with pytest.raises(SharedDatabaseError, match=r"open_in.*migrate-from-node --apply"):
            async with processor.group(then="zip"):
                pytest.fail("it was opened")
        with pytest.raises(SharedDatabaseError):
            await processor.schedule_group("part", [{}])
        assert await processor.find_groups() == []
