"""From what a user gives as `db` to a store."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeAlias

from job_processor.errors import InvalidArgumentError
from job_processor.settings import (
    MONGO_MAX_HISTORY_DAYS,
    MONGO_MAX_WORKER_TIMEOUT,
    Settings,
    without_credentials,
)
from job_processor.store.base import Store

ENVIRONMENT = "JOB_PROCESSOR_DB"
DEFAULT = "sqlite:///job_processor.db"
ALLOWED = (
    "allowed are an AsyncDatabase of pymongo, 'mongodb://host/name', 'sqlite:///file.db' "
    "(relative), 'sqlite:////abs/file.db', 'sqlite://' (in memory), or None "
    f"(${ENVIRONMENT}, else '{DEFAULT}')"
)


def open_store(db: Any, settings: Settings) -> Store:
    """Return the store for `db`; nothing is connected yet.

    Raises InvalidArgumentError that says what to pass instead. pymongo is imported only for
    MongoDB.
    """
    if db is None:
        return _of_environment(settings)
    if not isinstance(db, str):
        return _mongo_database(db, settings)
    opener = SCHEMES.get(db.partition(":")[0].lower())
    if opener is None:
        raise InvalidArgumentError("db", without_credentials(db), ALLOWED)
    return opener(db, settings)


def _of_environment(settings: Settings) -> Store:
    """Return the store of the variable, or the default; an error names what is to be mended."""
    try:
        return open_store(os.environ.get(ENVIRONMENT) or DEFAULT, settings)
    except InvalidArgumentError as error:
        if error.argument != "db":
            raise
        raise InvalidArgumentError(f"${ENVIRONMENT}", error.value, error.allowed) from error


def _sqlite(url: str, settings: Settings) -> Store:
    from job_processor.store.sqlite import open_sqlite  # each store on demand

    return open_sqlite(url, prefix=settings.collection_prefix)


def _mongo(url: str, settings: Settings) -> Store:
    from job_processor.store.mongo import open_mongo  # pymongo is slow to import

    _check_for_mongo(settings)
    return open_mongo(url, prefix=settings.collection_prefix, history_days=settings.history_days)


Opener: TypeAlias = Callable[[str, Settings], Store]
"""Returns the store of an address; nothing is connected yet."""

SCHEMES: dict[str, Opener] = {"sqlite": _sqlite, "mongodb": _mongo, "mongodb+srv": _mongo}
"""Who opens an address, by its scheme. Private: a store of tests puts itself here."""


def _mongo_database(db: Any, settings: Settings) -> Store:
    modules = {cls.__module__.partition(".")[0] for cls in type(db).__mro__}
    if not modules & {"pymongo", "motor"}:
        raise InvalidArgumentError("db", db, ALLOWED)
    from job_processor.store.mongo import MongoStore  # as above

    _check_for_mongo(settings)
    return MongoStore.from_database(
        db, prefix=settings.collection_prefix, history_days=settings.history_days
    )


def _check_for_mongo(settings: Settings) -> None:
    if settings.worker_timeout > MONGO_MAX_WORKER_TIMEOUT:
        raise InvalidArgumentError(
            "worker_timeout",
            settings.worker_timeout,
            f"allowed are at most {MONGO_MAX_WORKER_TIMEOUT:g} seconds on MongoDB, which removes "
            "a registration after 300 s",
        )
    for name in ("history_days", "keep_errored_days"):
        days = getattr(settings, name)
        if days is None or days <= MONGO_MAX_HISTORY_DAYS:
            continue
        raise InvalidArgumentError(
            name,
            days,
            f"allowed are at most {MONGO_MAX_HISTORY_DAYS} days on MongoDB",
        )
