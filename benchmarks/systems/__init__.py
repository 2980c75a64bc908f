"""The systems that are measured, one module each; see README.md for how to add one."""

from __future__ import annotations

import importlib

from benchmarks.systems.base import System

MODULES = {
    "sqlite": "ours_sqlite",
    "mongodb": "ours_mongodb",
    "raw-sqlite-one": "raw_sqlite",
    "raw-sqlite-hundred": "raw_sqlite",
    "raw-mongodb": "raw_mongodb",
    "bullmq": "bullmq_redis",
    "huey-sqlite": "huey_sqlite",
    "huey-redis": "huey_redis",
    "taskiq": "taskiq_redis",
    "saq": "saq_redis",
    "dramatiq": "dramatiq_redis",
    "arq": "arq_redis",
    "celery": "celery_redis",
    "procrastinate": "procrastinate_postgres",
    "rq": "rq_redis",
    "agenda": "agenda_mongodb",
    "node-job-processor": "node_job_processor",
}
"""Module of each system by its key, in the order of the tables."""


def load(key: str) -> System | str:
    """Return a system, or why it cannot be measured."""
    try:
        module = importlib.import_module(f"benchmarks.systems.{MODULES[key]}")
    except ModuleNotFoundError as error:
        return f"{error.name} is not installed"
    except ImportError as error:
        return f"it cannot be imported: {error.name}"
    system: System = next(each for each in module.SYSTEMS if each.key == key)
    return system.missing() or system
