"""How everything stands, for one page: a fixed number of reads, however much there is.

Whatever needs the settings shares one read of them; what is counted comes from the rollups.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from job_processor.handlers.registry import Registry
from job_processor.jobs.pauses import KIND as PAUSES
from job_processor.jobs.pauses import Pauses
from job_processor.models import Cron, JobStatus, Registrations
from job_processor.parts import Parts
from job_processor.redaction import Redaction
from job_processor.settings import COUNT_CAP, COUNT_CAP_OF_SELECTIONS, STATUS_LIMIT
from job_processor.store.losses import KEPT as LOSS_KEPT
from job_processor.store.losses import KIND as LOSSES
from job_processor.store.losses import Loss
from job_processor.store.name_rollups import NameRollup
from job_processor.store.owners import KIND as OWNERS
from job_processor.store.owners import dormant
from job_processor.store.requests import JobQuery
from job_processor.store.rollups import DAY, HOUR, MINUTE, start_of
from job_processor.store.summaries import JobSummary

MISSED_FOR = timedelta(seconds=DAY)
"""How long missed occurrences are pointed at: who looks in the morning wants to know of the night.
"""

_FAILED = ("errored", "retried")

DUE = 50
"""Due jobs that are read: for the one that has waited for longest, and for names nobody takes."""

LIMITED = 40
"""Names that have a limit or a rate, of which it is looked what is parked: the first ones."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What was read, at about the same time."""

    registrations: Registrations
    losses: tuple[Loss, ...]
    """Workers that crashed within the last hour, the latest first."""
    pauses: Pauses
    counts: Mapping[JobStatus, int]
    """Jobs in each state, exact up to `COUNT_CAP_OF_SELECTIONS`."""
    running: list[JobSummary]
    """The newest that run, at most `STATUS_LIMIT`."""
    due: list[JobSummary]
    """The jobs that are due, the one that has waited for longest first; at most `DUE`."""
    parked: Mapping[str, int]
    """Parked jobs by name, of the first `LIMITED` that have a limit or a rate here."""
    crons: list[Cron]
    minutes: list[NameRollup]
    """All jobs, minute by minute, of the last two hours."""
    hours: list[NameRollup]
    """All jobs, hour by hour, of the last day."""
    names: list[NameRollup]
    """The minutes of the last hour in which attempts failed, added up by name."""
    missed: list[NameRollup]
    """The hours of the last day in which occurrences were missed, added up by name."""

    def hour(self, back: int = 0) -> NameRollup:
        """Return what the last hour adds up to, or an earlier one, so many hours back."""
        end = self.minutes_end - timedelta(hours=back)
        begin = end - timedelta(hours=1)
        whole = NameRollup("all", "", HOUR, begin)
        for each in self.minutes:
            if begin <= each.start < end:
                whole = whole.plus(each)
        return whole

    @property
    def minutes_end(self) -> datetime:
        """The end of the present minute."""
        return start_of(self.registrations.now, MINUTE) + timedelta(seconds=MINUTE)


async def get_overview(parts: Parts, redaction: Redaction | None = None) -> Overview:
    """Read all of it; redaction: hides values of payloads."""
    store = parts.store
    registrations, settings = await asyncio.gather(
        store.workers.registrations(), store.settings.several([OWNERS, PAUSES, LOSSES])
    )
    now = registrations.now
    end = start_of(now, MINUTE)
    minutes = [end - timedelta(seconds=MINUTE * n) for n in range(120)]
    hours = [start_of(now, HOUR) - timedelta(seconds=HOUR * n) for n in range(24)]
    running = JobQuery(status=JobStatus.RUNNING, limit=STATUS_LIMIT)
    rollups = store.rollups
    names = await rollups.sums("name", MINUTE, end - timedelta(minutes=59), _FAILED)
    found = await asyncio.gather(
        store.history.count_states(COUNT_CAP_OF_SELECTIONS),
        store.history.summaries(running, redaction),
        store.queue.due(now, DUE, dormant(settings[OWNERS]), redaction),
        store.lanes.parked(_limited(parts.registry), COUNT_CAP),
        store.crons.all(),
    )
    counts, runs, due, parked, crons = found
    of_all, missed = await asyncio.gather(
        rollups.of("all", "", {MINUTE: minutes, HOUR: hours}),
        rollups.sums("name", HOUR, start_of(now - MISSED_FOR, HOUR), ["missed"]),
    )
    losses = (Loss.of(each) for each in settings[LOSSES].values())
    return Overview(
        registrations=registrations,
        losses=tuple(
            sorted(
                (each for each in losses if each.at > now - LOSS_KEPT),
                key=lambda each: each.at,
                reverse=True,
            )
        ),
        pauses=Pauses.of(settings[PAUSES]),
        counts=counts,
        running=runs,
        due=due,
        parked=parked,
        crons=crons,
        minutes=[each for each in of_all if each.seconds == MINUTE],
        hours=[each for each in of_all if each.seconds == HOUR],
        names=names,
        missed=missed,
    )


def _limited(registry: Registry) -> list[str]:
    """Return the first names that have a limit or a rate here."""
    rated = {name for _, of_rate in registry.rates.values() for name in of_rate}
    return [name for name in registry.all if name in rated or registry.limited(name)][:LIMITED]
