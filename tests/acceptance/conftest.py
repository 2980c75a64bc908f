"""Fixtures of the acceptance tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.workers import Site


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: they start processes and kill them."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.slow)


@pytest.fixture
async def make_site(tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Makes a site on a database; its workers are ended and it is closed at the end."""
    async with AsyncExitStack() as stack:

        async def make(db_url: str, **options: Any) -> Site:
            return await stack.enter_async_context(Site(db_url, tmp_path, **options))

        yield make


@pytest.fixture
async def site(db_url: str, make_site: Callable[..., Any]) -> Site:
    """A site on each store in turn."""
    made: Site = await make_site(db_url)
    return made
