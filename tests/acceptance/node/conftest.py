"""Fixtures of the tests with the Node package."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.acceptance.node.both import Both
from tests.acceptance.node.peers import REQUIRED_VARIABLE, is_required, missing
from tests.processors import Processors


@pytest.fixture(scope="session")
def node_package() -> None:
    """The Node package can be run; else the test is skipped, or fails where it must not be."""
    reason = missing()
    if reason is None:
        return
    if is_required():
        pytest.fail(f"{reason} ({REQUIRED_VARIABLE}=required)")
    pytest.skip(reason)


@pytest.fixture
async def both(node_package: None, mongo_db_url: str, tmp_path: Path) -> AsyncIterator[Both]:
    """Both packages on a fresh database."""
    async with Processors(mongo_db_url) as processors:
        made = Both(mongo_db_url, tmp_path, processors)
        try:
            yield made
        finally:
            await made.close()
