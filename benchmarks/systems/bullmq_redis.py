"""BullMQ on Redis (Node)."""

from __future__ import annotations

from benchmarks.systems.base import concurrencies
from benchmarks.systems.node import NodeSystem


class BullmqOnRedis(NodeSystem):
    """BullMQ."""

    key = "bullmq"
    title = "BullMQ, Redis (Node)"
    server = "redis"
    packages = ("bullmq", "ioredis")
    script = "bullmq.js"
    variants = concurrencies(100, 10, 500)
    bulk = "addBulk"


SYSTEMS = (BullmqOnRedis(),)
