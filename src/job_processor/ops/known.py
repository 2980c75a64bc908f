"""Which names and tags somebody has, for who has no definitions: what the database lists."""

from __future__ import annotations

from datetime import timedelta

from job_processor.handlers.definitions import JobDef
from job_processor.jobs.services import listings
from job_processor.parts import Parts


async def learn_names(parts: Parts) -> None:
    """Take in the names that programs have listed in this database lately, with their tags.

    As names of jobs that are only scheduled here; what is defined here stays as it is.
    """
    now, kept = await parts.store.ping(), timedelta(days=parts.settings.history_days)
    known = parts.registry.all
    for name, listing in (await listings(parts.store, now, kept)).items():
        if name not in known:
            parts.registry.add_job(name, JobDef(None, tag=listing.tag))


async def known_names(parts: Parts) -> set[str]:
    """Return the names that are defined here or by a worker, and those of crons."""
    registrations = await parts.store.workers.registrations()
    return {
        *parts.registry.all,
        *(name for worker in registrations.workers for name in worker.names),
        *(cron.name for cron in await parts.store.crons.all()),
    }


async def known_tags(parts: Parts) -> set[str]:
    """Return the tags that a definition here has, or that a worker is told to serve."""
    registrations = await parts.store.workers.registrations()
    return {
        *parts.registry.tags,
        *(tag for worker in registrations.workers for tag in worker.tags or ()),
    }
