"""Fixtures of the whole suite: databases and processors on them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import signal
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from job_processor import tasks
from job_processor.crons import scheduler
from job_processor.store import opening
from job_processor.worker import reconciler, watching
from tests.mongo_server import (
    EXTERNAL_URL_VARIABLE,
    database_url,
    external_url,
    missing_server,
    mongo_url,
)
from tests.processors import WAIT, Processors
from tests.store.dictionaries.store import opener
from tests.worker.probe import Probe

# How long an example takes says nothing here, and what the suite finds should be what the change
# brought: every run has the same examples. Those of `make soak` are new each time.
hypothesis.settings.register_profile("same", deadline=None, derandomize=True)
hypothesis.settings.register_profile("new", deadline=None)
hypothesis.settings.load_profile("same")

STORES = ["sqlite", pytest.param("mongo", marks=pytest.mark.mongo)]
"""The databases on which a rule of all of them is tested, as parameters of `db_url`."""

DICTIONARIES = pytest.param("dictionaries", marks=pytest.mark.dictionaries)
"""A third one, for what shows that nothing above `store/` knows which one it is."""

_ABOVE_THE_STORE = ("cli", "crons", "integrations", "jobs", "web", "worker")
"""Rooms whose rules a quick run tests on the embedded store alone: they know no database, and the
contract of the stores is tested on each."""

_SLOW_ONES_END = 0.8
"""The part of a run at whose end the last slow test begins."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without a look for garbage, and look at nothing later that lives to the end.

    Some hundred thousand objects stand for the tests and the modules: a look at them all, every few
    seconds, would take a tenth of the run.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Let what a process of a parallel run tells of a test travel, whatever the test has logged.

    A lone surrogate, which UTF-8 cannot hold, would end the whole run.
    """
    return _encodable((yield))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_encodable, value))
    return value


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what a quick run leaves out: the same rule once more, unless a real server is asked."""
    room = Path(item.path).relative_to(Path(__file__).parent).parts[0]
    callspec = getattr(item, "callspec", None)
    if callspec is None or room not in _ABOVE_THE_STORE:
        return
    stores = callspec.params.values()
    if "dictionaries" in stores or ("mongo" in stores and EXTERNAL_URL_VARIABLE not in os.environ):
        item.add_marker(pytest.mark.second_store)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process of a parallel run, spread the slow tests: the end of the run waits for none.

    Nor do many of them, which start processes, run at the same time.
    """
    if not hasattr(config, "workerinput"):
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    quick = [item for item in items if not item.get_closest_marker("slow")]
    places = [(_SLOW_ONES_END * n / len(slow), item) for n, item in enumerate(slow)]
    places += [(n / len(quick), item) for n, item in enumerate(quick)]
    items[:] = [item for _, item in sorted(places, key=lambda each: each[0])]


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> None:
    """Programs of the tests hear of a Ctrl-C, also where the run itself stands in the background.

    A shell without job control starts what follows `&` with SIGINT ignored, which all that it
    starts inherits.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def ends_of_loops() -> Iterator[None]:
    """The end of a test's event loop waits for none of its tasks for ever.

    What a test that failed has left may lose its cancellation (see `tasks.cancel`), and nothing
    limits the time after a failure: the whole run would stand still.
    """

    def cancel_all(loop: asyncio.AbstractEventLoop) -> None:
        if living := asyncio.all_tasks(loop):
            loop.run_until_complete(tasks.cancel(living, WAIT))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("asyncio.runners._cancel_all_tasks", cancel_all)
        yield


@pytest.fixture(scope="session", autouse=True)
def pauses_of_tests() -> Iterator[None]:
    """What looks again after half a minute does so after an hour: events have to bring all.

    What fails is tried again soon.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching, "SETTINGS_SWEEP", 3600.0)
        patch.setattr(reconciler, "RECONCILE_INTERVAL", 3600.0)
        patch.setattr(scheduler, "SCHEDULER_INTERVAL", 3600.0)
        patch.setattr(tasks, "RETRY_DELAY_MIN", 0.01)
        yield


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a command configures of logging ends with the test that runs it in this process."""
    loggers = [logging.getLogger(), logging.getLogger("job_processor")]
    before = [(logger, logger.level, [*logger.handlers]) for logger in loggers]
    yield
    for logger, level, handlers in before:
        if logger.level != level:
            logger.setLevel(level)
        for handler in set(logger.handlers).difference(handlers):
            logger.removeHandler(handler)


@pytest.fixture(scope="session")
def mongo_server_url() -> Iterator[str]:
    """The URL of a MongoDB server that serves this test session."""
    reason = missing_server()
    if reason is not None and external_url() is None:
        pytest.fail(reason)
    with mongo_url() as url:
        yield url


@pytest.fixture
def mongo_db_url(mongo_server_url: str) -> str:
    """The URL of a fresh MongoDB database."""
    return database_url(mongo_server_url, f"test_{secrets.token_hex(6)}")


@pytest.fixture
def sqlite_db_url(tmp_path: Path) -> str:
    """The URL of a fresh SQLite file."""
    return f"sqlite:///{tmp_path / 'jobs.db'}"


@pytest.fixture
def dictionaries_db_url(monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a fresh database of dictionaries, which only this process knows."""
    monkeypatch.setitem(opening.SCHEMES, "dictionaries", opener())
    return "dictionaries://test"


@pytest.fixture(params=STORES)
def db_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database that several processors can share, on each store in turn."""
    return str(request.getfixturevalue(f"{request.param}_db_url"))


@pytest.fixture
async def processors(db_url: str) -> AsyncIterator[Processors]:
    """Makes processors on one database; they are stopped and closed at the end."""
    async with Processors(db_url) as made:
        yield made


@pytest.fixture
def probe() -> Probe:
    """Handlers whose beginning and end the test decides."""
    return Probe()
