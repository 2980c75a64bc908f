"""Fixtures of the tests with the Node package."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.acceptance.node.both import Both
from tests.acceptance.node.node_process import NodeProcess
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


@pytest.fixture(scope="session")
def node_process(
    node_package: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeProcess]:
    """A Node process that holds the Node workers of all tests but those that are to be killed."""
    with NodeProcess(tmp_path_factory.mktemp("node") / "process.log") as process:
        yield process


@pytest.fixture
async def both(node_process: NodeProcess, mongo_db_url: str, tmp_path: Path) -> AsyncIterator[Both]:
    """Both packages on a fresh database."""
    async with Processors(mongo_db_url) as processors:
        made = Both(mongo_db_url, tmp_path, processors, node_process)
        try:
            yield made
        finally:
            await made.close()
