"""Fixtures for pytest, there wherever this package is installed; see docs/testing.md.

Nothing of the package is imported before a test asks for a fixture.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from job_processor.processor import JobProcessor
    from job_processor.testing import JobTester, MovableClock

__all__ = ["job_clock", "job_processor", "job_resources", "job_tester"]


def _async_fixture() -> Callable[..., Any]:
    """Return pytest-asyncio's decorator where it is; anyio's plugin takes pytest's own."""
    if find_spec("pytest_asyncio") is None:
        return pytest.fixture
    import pytest_asyncio  # noqa: PLC0415  # see above

    return pytest_asyncio.fixture


@pytest.fixture
def job_processor() -> JobProcessor:
    """The processor under test. Override it in conftest.py to return your application's."""
    from job_processor.processor import JobProcessor  # noqa: PLC0415  # see above
    from job_processor.settings import IN_MEMORY  # noqa: PLC0415  # see above

    return JobProcessor(IN_MEMORY)


@pytest.fixture
def job_resources() -> Any:
    """The `resources` of handlers. Override it to return fakes; otherwise the lifespan is used."""
    return ...


@_async_fixture()
async def job_tester(job_processor: JobProcessor, job_resources: Any) -> AsyncIterator[JobTester]:
    """The `JobTester` of `job_processor`: `.drain()`, `.clock`, `.assert_scheduled(…)`."""
    from job_processor.testing import in_memory  # noqa: PLC0415  # see above

    async with in_memory(job_processor, resources=job_resources) as tester:
        yield tester


@pytest.fixture
def job_clock(job_tester: JobTester) -> MovableClock:
    """The clock of `job_tester`."""
    return job_tester.clock
