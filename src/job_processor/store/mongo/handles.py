"""The collections of a prefix, with the guarantees that we need whatever the client's defaults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import Any, TypeAlias

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import ReadPreference, WriteConcern
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.read_concern import ReadConcern

from job_processor.settings import WRITE_TIMEOUT
from job_processor.store.mongo.documents import Document

Database: TypeAlias = AsyncDatabase[Document]
Collection: TypeAlias = AsyncCollection[Document]

WRITE_CONCERN = WriteConcern(w="majority", j=True, wtimeout=int(WRITE_TIMEOUT * 1000))
"""What is acknowledged survives the death of any one member. Where no majority confirms it in time,
the server says so (code 64): it may have happened, and is repeated like what got no reply."""

CODEC: CodecOptions[Document] = CodecOptions(
    document_class=dict,
    tz_aware=True,
    tzinfo=UTC,
    # One document with a year beyond 9999, or with broken text, must not cost a whole batch.
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)


def configured(database: AsyncDatabase[Any]) -> Database:
    """Return the same database, read from its primary and written to its majority."""
    return database.with_options(
        codec_options=CODEC,
        read_preference=ReadPreference.PRIMARY,
        write_concern=WRITE_CONCERN,
        read_concern=ReadConcern("majority"),
    )


@dataclass(frozen=True, slots=True)
class Handles:
    """The collections of one prefix."""

    database: Database
    jobs: Collection
    latest_jobs: Collection
    """Reads what the primary has last, confirmed by the majority or not: as the indexes do."""
    workers: Collection
    signals: Collection
    settings: Collection
    lanes: Collection
    schedules: Collection
    messages: Collection
    groups: Collection

    @classmethod
    def of(cls, database: AsyncDatabase[Any], prefix: str) -> Handles:
        """Return the collections `<prefix>.jobs` and so on."""
        safe = configured(database)
        jobs = safe[f"{prefix}.jobs"]
        return cls(
            database=safe,
            jobs=jobs,
            latest_jobs=jobs.with_options(read_concern=ReadConcern("local")),
            workers=safe[f"{prefix}.workers"],
            signals=safe[f"{prefix}.signals"],
            settings=safe[f"{prefix}.settings"],
            lanes=safe[f"{prefix}.lanes"],
            schedules=safe[f"{prefix}.schedules"],
            messages=safe[f"{prefix}.messages"],
            groups=safe[f"{prefix}.groups"],
        )

    @property
    def all(self) -> tuple[Collection, ...]:
        """What `setup()` makes."""
        ours = self.lanes, self.schedules, self.messages, self.groups
        return self.jobs, self.workers, self.signals, self.settings, *ours


async def hello(handles: Handles) -> Document:
    """Return what the server tells about itself, its present time included."""
    return await handles.database.command("hello", codec_options=CODEC)
