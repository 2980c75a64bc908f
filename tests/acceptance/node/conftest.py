"""Fixtures of the tests with the Node package."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.acceptance.node.both import Both
from tests.acceptance.node.node_process import NodeProcess
from tests.acceptance.node.peers import REQUIRED_VARIABLE, is_required, missing
from tests.processors import Processors
from tests.web.conftest import browser_path


@pytest.fixture(scope="session")
def node_package() -> None:
    """The Node package can be run; else the test is skipped, or fails where it must not be."""
    _unless(missing())


@pytest.fixture(scope="session")
def node_components(node_package: None) -> None:
    """Its React components can be shown; else the test is skipped, or fails, too."""
    _unless(missing(components=True))
    if browser_path() is None:
        _unless("no browser is here to show the React components in: install chromium")


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


def _unless(reason: str | None) -> None:
    """Skip the test for a reason, or fail it where it is required."""
    if reason is None:
        return
    if is_required():
        pytest.fail(f"{reason} ({REQUIRED_VARIABLE}=required)")
    pytest.skip(reason)
