"""What databases of the Node package hold, and what its workers do to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

from job_processor.store import Store
from job_processor.store.node import NodeSide

_FIXTURES = Path(__file__).parent / "fixtures"


def fixture(name: str) -> Any:
    """Return what was read off a database of the Node package, version 2.3.0."""
    return json.loads((_FIXTURES / name).read_text())


async def install_node_validator(db_url: str) -> None:
    """Do what a Node worker does when it starts."""
    async with AsyncMongoClient[dict[str, object]](db_url) as client:
        database = client.get_default_database()
        await database.command("collMod", "job_processor.jobs", **fixture("node_validator.json"))


def side_of(store: Store) -> NodeSide:
    """Return what is special beside the Node package, of a store that has it."""
    side = store.node_side()
    assert side is not None
    return side
