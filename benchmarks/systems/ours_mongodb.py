"""job-processor on MongoDB."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pymongo

from benchmarks.systems.base import MONGODB_SHARE
from benchmarks.systems.ours import OurProducer, OurSystem

UNFINISHED = {"$in": ["pending", "running", "paused"]}


class OursOnMongo(OurSystem):
    """Ours, on a MongoDB-compatible server."""

    key = "mongodb"
    title = "job-processor, MongoDB"
    rival = "mongodb"
    server = "mongodb"
    share = MONGODB_SHARE

    def settled(self, environment: Mapping[str, str]) -> bool:
        """Ask the server."""
        database = _client(environment["BENCH_MONGODB_URL"]).get_default_database()
        names = [
            "noop",
            "work",
            *(f"noop_{i}" for i in range(int(environment.get("BENCH_NAMES", "0")))),
        ]
        # By name: the index of the claims answers, and the server has better things to do.
        left = {"name": {"$in": names}, "status": UNFINISHED}
        return database["job_processor.jobs"].find_one(left, {"_id": 1}) is None


@lru_cache(maxsize=1)
def _client(url: str) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(url)


SYSTEMS = (OursOnMongo(),)
PRODUCERS = {"mongodb": OurProducer}
