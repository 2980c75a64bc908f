"""What `manage.py check --deploy --database default` says of the jobs' own database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from django.core import checks

from job_processor.errors import JobProcessorError
from job_processor.integrations.django.project import get_processor


def check_database(databases: Sequence[str] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """Say whether it can be reached and used, and whether a worker is there.

    Only asked for together with databases of Django, since it connects; and for a deployment, so
    that no migration depends on it.
    """
    if not databases:
        return []
    try:
        workers = asyncio.run(_count_workers())
    except JobProcessorError as error:
        return [checks.Error(str(error), hint="See JOB_PROCESSOR['DB'].", id="job_processor.E001")]
    if not workers:
        hint = "Run `manage.py job_processor worker`."
        return [
            checks.Warning("No worker is there to run jobs.", hint=hint, id="job_processor.W001")
        ]
    return []


async def _count_workers() -> int:
    async with get_processor().twin() as processor:
        return (await processor.get_vitals()).workers
