"""What `check` has to say of schedules that were made at run time."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta

from job_processor.models import Registrations
from job_processor.settings import PAGE_LIMIT
from job_processor.store import Store
from job_processor.store.base import Remark
from job_processor.store.schedules import Schedule

_LATE = timedelta(minutes=1)
_SHOWN = 5


async def remarks_on_schedules(store: Store, registrations: Registrations) -> list[Remark]:
    """Return what there is to say of the first thousand of them, by name; nothing without any."""
    found = await store.schedules.page("", PAGE_LIMIT)
    if not found:
        return []
    more = " or more" if len(found) == PAGE_LIMIT else ""
    remarks = [*_late(found, registrations.now, _defined(registrations)), *_troubled(found)]
    return remarks or [Remark("schedules", "ok", f"{len(found)}{more}")]


def _late(found: Sequence[Schedule], now: datetime, defined: Collection[str]) -> Iterator[Remark]:
    """Tell of jobs whose moments have passed, and nobody made any of them."""
    late = Counter(each.job for each in found if each.due is not None and each.due < now - _LATE)
    for job, count in sorted(late.items()):
        if job in defined:
            text = (
                f"{count} have been due for more than a minute, though a running worker makes them"
            )
            advice = f"check whether {job!r} or its tag is paused, and the worker's log"
        else:
            text = f"{count} are due, and no running worker defines {job!r}, which they make"
            advice = "start a worker that does; misfire decides about the missed runs"
        yield Remark(f"schedules of {job!r}", "warning", text, advice)


def _troubled(found: Sequence[Schedule]) -> Iterator[Remark]:
    troubled = [each for each in found if each.problem is not None]
    for each in troubled[:_SHOWN]:
        advice = f"put it again, or see: job-processor schedules show {shlex.quote(each.name)}"
        yield Remark(f"schedule {each.name!r}", "warning", each.problem or "", advice)
    if len(troubled) > _SHOWN:
        text = f"{len(troubled) - _SHOWN} more have a problem"
        yield Remark("schedules", "warning", text, "job-processor schedules lists them")


def _defined(registrations: Registrations) -> set[str]:
    living = (each for each in registrations.workers if not each.is_dead(registrations.now))
    return {name for worker in living for name in worker.names}
