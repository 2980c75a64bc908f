"""What cannot serve is refused at once, with an error that names the path; it is left as it is."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from job_processor import (
    InvalidArgumentError,
    JobProcessor,
    StoreError,
    StoreSetupError,
    StoreUnavailableError,
)
from job_processor.store.sqlite import SqliteStore, location, open_sqlite, schema
from tests.processors import WAIT
from tests.samples import simple
from tests.store.sqlite.unprivileged import unprivileged


async def refusal(path: Path, **options: Any) -> StoreSetupError:
    """Return the error of a setup that is refused; it names the path."""
    store = SqliteStore(path, **options)
    with pytest.raises(StoreSetupError) as caught:
        await store.setup()
    await store.close()
    assert str(path) in str(caught.value)
    return caught.value


def program(path: Path, *statements: str) -> bytes:
    """Make the database of another program; return the bytes of its file."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    return path.read_bytes()


@pytest.mark.parametrize("content", [b"short", b"no database at all\n" * 500])
async def test_a_file_that_is_no_database(path: Path, content: bytes) -> None:
    """A file of something else is refused, and stays as it is."""
    path.write_bytes(content)
    assert "is not an SQLite database" in str(await refusal(path))
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


async def test_an_empty_file_is_a_new_database(path: Path) -> None:
    """A file made beforehand, for its permissions say, is taken."""
    path.touch()
    store = SqliteStore(path)
    await store.setup()
    await store.close()


async def test_a_folder(tmp_path: Path) -> None:
    """A folder is no file."""
    assert "is a folder" in str(await refusal(tmp_path))


async def test_a_missing_folder(tmp_path: Path) -> None:
    """Folders are not made: a typing error would make a database where nobody looks."""
    missing = tmp_path / "missing"
    assert f"{missing} does not exist" in str(await refusal(missing / "jobs.db"))
    assert not missing.exists()


async def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    """What the file system refuses is told as our error."""
    await refusal(tmp_path / ("x" * 300))


async def test_a_damaged_file(path: Path) -> None:
    """A file that was cut off is refused, with a way out."""
    store = SqliteStore(path)
    await store.setup()
    await store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "is damaged" in str(await refusal(path))
    assert path.read_bytes() == whole[: len(whole) // 2]


# --- permissions ----------------------------------------------------------------------------------


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of a process that is not root's."""
    with unprivileged() as made:
        yield made


async def test_a_file_that_may_only_be_read(folder: Path) -> None:
    """Every processor writes, so this is told at setup and not by a first job."""
    path = folder / "jobs.db"
    program(path, "CREATE TABLE theirs (x)")
    path.chmod(0o444)
    assert "read-only" in str(await refusal(path))


async def test_our_own_file_when_it_may_only_be_read(folder: Path) -> None:
    """The same for a file where nothing is to be made any more."""
    path = folder / "jobs.db"
    store = SqliteStore(path)
    await store.setup()
    await store.close()
    before = path.read_bytes()
    path.chmod(0o444)
    assert "read-only" in str(await refusal(path))
    assert path.read_bytes() == before


async def test_a_folder_that_may_only_be_read(folder: Path) -> None:
    """SQLite needs to make files beside the database, which the error says."""
    path = folder / "jobs.db"
    before = program(path, "CREATE TABLE theirs (x)")
    folder.chmod(0o555)
    assert "its folder" in str(await refusal(path))
    assert "its folder" in str(await refusal(folder / "new.db"))
    assert path.read_bytes() == before
    folder.chmod(0o755)


async def test_a_folder_that_may_not_be_entered(folder: Path) -> None:
    """Not even whether there is such a file can be known."""
    closed = folder / "closed"
    closed.mkdir()
    closed.chmod(0)
    await refusal(closed / "jobs.db")
    closed.chmod(0o755)


# --- the files of others --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE job_processor_jobs (id INTEGER PRIMARY KEY, title TEXT)",
        "CREATE TABLE job_processor_settings (key TEXT, value TEXT)",
        "CREATE TABLE job_processor_meta (key TEXT, value TEXT)",
        "CREATE TABLE job_processor_meta (a, b)",
        "CREATE VIEW job_processor_workers AS SELECT 1",
    ],
)
async def test_another_program_with_tables_of_our_names(path: Path, statement: str) -> None:
    """It is told apart from ours, stays as it is to the byte, and a prefix is the way out."""
    before = program(path, statement)
    assert "collection_prefix" in str(await refusal(path))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
    store = SqliteStore(path, prefix="mine")
    await store.setup()
    await store.close()


async def test_a_database_of_another_program_is_shared(path: Path) -> None:
    """Its tables, what is in them and its own version number stay."""
    program(
        path,
        "CREATE TABLE books (title)",
        "INSERT INTO books VALUES ('Emma')",
        "PRAGMA user_version=7",
        "PRAGMA application_id=99",
    )
    store = SqliteStore(path)
    await store.setup()
    await store.intake.insert([simple()])
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT title FROM books").fetchall() == [("Emma",)]
        assert connection.execute("PRAGMA user_version").fetchone() == (7,)
        assert connection.execute("PRAGMA application_id").fetchone() == (99,)


async def test_two_prefixes_are_two_queues(path: Path) -> None:
    """Processors with different prefixes do not see each other's jobs in one file."""
    stores = [SqliteStore(path, prefix=prefix) for prefix in ("one", "two")]
    for store in stores:
        await store.setup()
    ours = simple()
    await stores[0].intake.insert([ours])
    assert await stores[0].history.get(ours.id) == ours
    assert await stores[1].history.get(ours.id) is None
    for store in stores:
        await store.close()


@pytest.mark.parametrize("change", ["DROP TABLE {}", "ALTER TABLE {} DROP COLUMN planned_for"])
async def test_tables_of_ours_that_somebody_changed(path: Path, change: str) -> None:
    """What every statement relies on is verified, and named where it lacks."""
    store = SqliteStore(path)
    await store.setup()
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(change.format("job_processor_jobs"))
    assert "job_processor_jobs" in str(await refusal(path))


async def test_an_index_of_ours_that_somebody_changed(path: Path) -> None:
    """An index of the same name and other columns is refused: claims would crawl."""
    store = SqliteStore(path)
    await store.setup()
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX job_processor_jobs_due")
        connection.execute("CREATE INDEX job_processor_jobs_due ON job_processor_jobs (name)")
    assert "job_processor_jobs_due" in str(await refusal(path))


async def test_an_index_that_was_dropped_is_made_again(path: Path) -> None:
    """Losing an index loses no data, so setup repairs it."""
    store = SqliteStore(path)
    await store.setup()
    await store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP INDEX job_processor_jobs_due")
    again = SqliteStore(path)
    await again.setup()
    assert await again.queue.next_due(["resize"]) is None
    await again.close()


# --- a moment's trouble ---------------------------------------------------------------------------


async def test_a_file_that_is_locked_for_too_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That passes, so it is no StoreSetupError: whoever starts then may try again."""
    monkeypatch.setattr(location, "BUSY_TIMEOUT", 0.05)
    program(path, "CREATE TABLE theirs (x)")
    store = SqliteStore(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailableError, match="locked for too long") as caught:
            await store.setup()
        assert str(path) in str(caught.value)
        other.execute("ROLLBACK")
    await store.setup()
    await store.close()


async def test_many_set_up_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes first makes the tables; nobody fails."""
    for module in (location, schema):  # that many wait for long on a busy machine
        monkeypatch.setattr(module, "BUSY_TIMEOUT", WAIT)
    stores = [SqliteStore(path) for _ in range(20)]
    await asyncio.gather(*(store.setup() for store in stores))
    for store in stores:
        await store.close()


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:",
        "sqlite:///",
        "sqlite:////",
        "sqlite://jobs.db",
        "sqlite:///jobs.db?mode=ro",
        "sqlite:///jobs.db?synchronous",
        "sqlite:///jobs.db?synchronous=off",
        "sqlite:///jobs.db?synchronous=full&cache=shared",
        "sqlite:///jobs%00.db",
    ],
)
def test_an_address_that_names_no_file(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before anything is opened, with what was given and what is allowed."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidArgumentError, match="allowed") as caught:
        JobProcessor(url)
    assert caught.value.argument == "db"
    assert caught.value.value == url
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///jobs.db", "{}/jobs.db"),
        ("sqlite:///sub/jobs.db?synchronous=full", "{}/sub/jobs.db"),
        ("sqlite:////var/lib/jobs.db", "/var/lib/jobs.db"),
        ("SQLITE:///100%25 #1.db", "{}/100% #1.db"),
        ("sqlite://", "sqlite:// (in memory)"),
        ("sqlite:///:memory:", "sqlite:// (in memory)"),
    ],
)
def test_the_file_that_an_address_names(
    url: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three slashes are relative to the folder at that time, four are absolute."""
    monkeypatch.chdir(tmp_path)
    store = open_sqlite(url)
    monkeypatch.chdir("/")
    assert store.address == path.format(tmp_path)


async def test_a_name_with_characters_that_mean_something_elsewhere(tmp_path: Path) -> None:
    """A file may have any name, also one that looks like a part of a URL."""
    for name in ("100%.db", "a?mode=ro.db", "#1.db", "é è.db", "it's.db"):
        store = SqliteStore(tmp_path / name)
        await store.setup()
        await store.close()
        assert (tmp_path / name).is_file()


@pytest.mark.parametrize(("option", "level"), [("normal", 1), ("full", 2), ("EXTRA", 3)])
async def test_synchronous_takes_effect(path: Path, option: str, level: int) -> None:
    """Each connection that writes waits for the disk as the address asks for."""
    store = open_sqlite(f"sqlite:///{path}?synchronous={option}")
    await store.setup()
    pulse = store.open_pulse()

    def read(connection: sqlite3.Connection) -> int:
        value: int = connection.execute("PRAGMA synchronous").fetchone()[0]
        return value

    assert await store._connections.writer.call(read) == level
    assert pulse._link.run(read) == level  # type: ignore[attr-defined]  # that of a file
    pulse.close()
    await store.close()


async def test_connections_that_read_keep_little_in_memory(path: Path) -> None:
    """There are several of them in each process; the one that claims keeps SQLite's own choice."""
    store = open_sqlite(f"sqlite:///{path}")
    await store.setup()

    def read(connection: sqlite3.Connection) -> int:
        value: int = connection.execute("PRAGMA cache_size").fetchone()[0]
        return value

    connections = store._connections
    assert await connections.writer.call(read) == -2000
    reading = connections.every - {connections.writer}
    assert {await each.read(read) for each in reading} == {-location.CACHE_OF_READERS}
    await store.close()


def test_a_wrong_synchronous_and_a_wrong_prefix() -> None:
    """Options that are passed to the store itself are checked, too."""
    with pytest.raises(InvalidArgumentError, match="synchronous"):
        SqliteStore("jobs.db", synchronous="off")
    for prefix in ("sqlite_x", 'a"b'):
        with pytest.raises(InvalidArgumentError, match="collection_prefix"):
            SqliteStore("jobs.db", prefix=prefix)


async def test_memory_is_private(
    open_store: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each store in memory is a database of its own, makes no file, and ends when it is closed."""
    monkeypatch.chdir(tmp_path)
    one, two = await open_store(None), await open_store(None)
    ours = simple()
    await one.intake.insert([ours])
    assert await one.history.get(ours.id) == ours
    assert await two.history.get(ours.id) is None
    await one.close()
    assert await (await open_store(None)).history.get(ours.id) is None
    assert list(tmp_path.iterdir()) == []


async def test_a_store_in_memory_survives_its_errors(open_store: Callable[..., Any]) -> None:
    """A broken connection to a file is made anew; one to memory is the memory, and stays."""
    store = await open_store(None)
    ours = simple()
    await store.intake.insert([ours])

    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA query_only=ON")
        try:
            connection.execute("CREATE TABLE more (x)")  # as read-only
        finally:
            connection.execute("PRAGMA query_only=OFF")

    with pytest.raises(StoreError):
        await store._connections.writer.call(fail)
    assert await store.history.get(ours.id) == ours
