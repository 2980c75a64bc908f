"""Jobs that wait for messages, as they stand in the database.

A job that waits for messages is parked (see `store.lanes`), its true time being that until when it
waits. Whoever sends writes the message first and then looks who waits for it; whoever waits writes
that first and then looks whether the message is there: of two that race, one sees the other.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from bson import ObjectId


class Wait(NamedTuple):
    """A job that waits for messages."""

    until: datetime
    job_id: ObjectId
    topics: tuple[str, ...]
