"""Where a database is, and how a connection to it is made."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from job_processor.errors import InvalidArgumentError, StoreSetupError
from job_processor.settings import IN_MEMORY, without_credentials

BUSY_TIMEOUT = 5.0
"""Seconds that a write waits for those of other connections."""

WAL_PAGES = 4000
"""Pages in the write-ahead log after which a commit moves them into the file. SQLite's own choice,
1000, flushes the disk four times as often, and writes pages that change all the time as often."""

WAL_BYTES_KEPT = 64 * 1024 * 1024
"""The log is cut back to this size after a burst."""

CUT_TIMEOUT = 0.1
"""Seconds that cutting back a longer log waits for readers; writers wait meanwhile, too."""

CACHE_OF_READERS = 256
"""KiB of the file that a connection keeps in memory which only reads. SQLite's own choice, 2000, is
for each of four; what they read is in the system's cache of files as well."""

STATEMENTS_KEPT = 256
"""Prepared statements that a connection keeps."""

SYNCHRONOUS = ("normal", "full", "extra")
ALLOWED = (
    "allowed are 'sqlite:///file.db' (relative), 'sqlite:////abs/file.db' and 'sqlite://' "
    "(in memory), with '?synchronous=full' for what must survive a power cut"
)


@dataclass(frozen=True, slots=True)
class Location:
    """A database file, or one in memory (`path` is None)."""

    path: Path | None
    synchronous: str = "normal"

    def __post_init__(self) -> None:
        if self.synchronous not in SYNCHRONOUS:
            raise InvalidArgumentError(
                "synchronous", self.synchronous, f"allowed are {', '.join(SYNCHRONOUS)}"
            )

    @property
    def address(self) -> str:
        """The file's path, for messages."""
        return f"{IN_MEMORY} (in memory)" if self.path is None else str(self.path)

    @property
    def wal(self) -> Path | None:
        """The write-ahead log, which every commit changes."""
        if self.path is None:
            return None
        real = self.path.resolve()  # SQLite follows symbolic links before it names the log
        return real.with_name(real.name + "-wal")

    def has_log(self) -> bool:
        """Tell whether the log and its index are beside the file, as while anybody has it open."""
        log = self.wal
        return log is None or (log.exists() and log.with_name(f"{log.name[:-4]}-shm").exists())

    def age(self) -> float:
        """Return the seconds since the file was put at its path or written, below 0 for none."""
        try:
            return -1.0 if self.path is None else time.time() - self.path.stat().st_ctime
        except OSError:
            return -1.0

    def check_folder(self) -> None:
        """Raise StoreSetupError when there can be no such file."""
        if self.path is None:
            return
        try:
            is_folder, has_folder = self.path.is_dir(), self.path.parent.is_dir()
        except OSError as error:  # its name is too long, or a folder above it may not be entered
            raise StoreSetupError(
                f"{self.path} cannot be reached ({error.strerror}); give the path of a file that "
                "this process may read and write"
            ) from error
        if is_folder:
            raise StoreSetupError(f"{self.path} is a folder; give the path of a file")
        if not has_folder:
            raise StoreSetupError(
                f"{self.path}: its folder {self.path.parent} does not exist; make it first"
            )

    def file(self) -> tuple[int, int] | None:
        """Return which file is at the path at present, None when there is none."""
        if self.path is None:
            return None
        try:
            stat = os.stat(self.path)  # noqa: PTH116  # each call of the store pays for it
        except OSError:
            return None
        return stat.st_dev, stat.st_ino

    def connect(self, *, create: bool = False, read_only: bool = False) -> sqlite3.Connection:
        """Open a connection; raises sqlite3.Error. The file is made only with `create`.

        It is then for its owner alone, and so are the logs that SQLite puts beside it.
        """
        if self.path is not None and create:
            _make_private(self.path)
        if self.path is None:
            uri = "file::memory:"
        else:
            uri = f"{self.path.as_uri()}?mode={'rwc' if create else 'rw'}"
        connection = sqlite3.connect(
            uri,
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,  # a transaction begins where we say so
            check_same_thread=False,  # each belongs to one thread, but another may close it
            cached_statements=STATEMENTS_KEPT,
        )
        try:
            connection.execute(f"PRAGMA synchronous={self.synchronous}")
            connection.execute(f"PRAGMA wal_autocheckpoint={WAL_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={WAL_BYTES_KEPT}")
            connection.execute("PRAGMA temp_store=MEMORY")
            if read_only:
                connection.execute("PRAGMA query_only=ON")
                connection.execute(f"PRAGMA cache_size=-{CACHE_OF_READERS}")
        except BaseException:
            connection.close()
            raise
        return connection


def _make_private(path: Path) -> None:
    """Make an empty file that its owner alone may read, where there is none.

    Without opening it where the system allows that: to close a file gives up the locks that the
    process holds on it by other connections. Where nothing can be made, SQLite says why.
    """
    real = path.resolve()  # a link may lead to where there is no file yet
    with contextlib.suppress(OSError):
        try:
            os.mknod(real, 0o600 | stat.S_IFREG)
        except FileExistsError:
            pass
        except (AttributeError, PermissionError):  # macOS lets root alone do that
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY
            os.close(os.open(real, flags, 0o600))  # not to open it, but to make it


def parse_url(url: str) -> Location:
    """Return the location that `url` names; raise InvalidArgumentError (argument `db`).

    In its path `%` escapes the characters that mean something in a URL, as in `100%25.db`.
    """
    scheme, separator, rest = url.partition("://")
    if scheme.lower() != "sqlite" or not separator:
        raise InvalidArgumentError("db", without_credentials(url), ALLOWED)
    text, _, query = rest.partition("?")
    location = Location(_path(url, text))
    for option, value in parse_qsl(query, keep_blank_values=True):
        if option != "synchronous" or value.lower() not in SYNCHRONOUS:
            raise InvalidArgumentError(
                "db",
                without_credentials(url),
                f"allowed is the option synchronous, one of {', '.join(SYNCHRONOUS)}",
            )
        location = replace(location, synchronous=value.lower())
    return location


def _path(url: str, text: str) -> Path | None:
    if text in ("", "/:memory:"):
        return None
    path = unquote(text[1:])
    if not text.startswith("/") or not path.strip("/") or "\0" in path:
        raise InvalidArgumentError("db", without_credentials(url), ALLOWED)
    return Path(path).absolute()  # the working directory may change later
