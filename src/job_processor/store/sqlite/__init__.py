"""The embedded store: an SQLite file, or memory."""

from __future__ import annotations

from job_processor.store.sqlite.location import parse_url
from job_processor.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore", "open_sqlite"]


def open_sqlite(url: str, *, prefix: str = "job_processor") -> SqliteStore:
    """Return the store that `url` names; nothing is opened yet.

    `sqlite:///file.db` is relative to the working directory, `sqlite:////abs/file.db` is not, and
    `sqlite://` is in memory, for this process alone. `?synchronous=full` makes what is acknowledged
    survive a power cut, too. Raises InvalidArgumentError (argument `db`) for anything else.
    """
    location = parse_url(url)
    return SqliteStore(location.path, synchronous=location.synchronous, prefix=prefix)
