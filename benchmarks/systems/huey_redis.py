"""Huey on Redis."""

from __future__ import annotations

import os

from huey import RedisHuey

from benchmarks.systems import hueys

# Blocking: it waits for a job without polling. Results are not kept.
huey = RedisHuey(
    "benchmark",
    url=os.environ.get("BENCH_REDIS_URL", "redis://127.0.0.1"),
    blocking=True,
    results=False,
)
TASKS = hueys.tasks(huey)


class HueyOnRedis(hueys.HueySystem):
    """Huey, on Redis."""

    key = "huey-redis"
    title = "Huey, Redis"
    server = "redis"
    packages = ("huey", "redis", "hiredis")
    module = "huey_redis"


class HueyRedisProducer(hueys.HueyProducer):
    """Enqueues into Redis."""

    tasks = TASKS


SYSTEMS = (HueyOnRedis(),)
PRODUCERS = {"huey-redis": HueyRedisProducer}
