"""Ends of runs that no handler here ended, as the rescuer and the reconciler write them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from bson import ObjectId

from job_processor.errors import NotSetUpError, StoreRefusedError, StoreUnavailableError
from job_processor.models import Job
from job_processor.settings import LONE_TRIES
from job_processor.store import Store
from job_processor.store.requests import Settlement, Verdict
from job_processor.tasks import Trouble
from job_processor.worker.outcomes import next_best


async def settle_once(store: Store, settlements: Sequence[Settlement]) -> Verdict:
    """Ask the store once; a lone one that it will not even look at is a refused one."""
    try:
        return await store.runs.settle(settlements)
    except StoreRefusedError as error:
        if len(settlements) > 1:
            raise
        return Verdict(refused={settlements[0].job.id: str(error)})


async def settle_all(
    store: Store, settlements: Sequence[Settlement], logger: logging.Logger, what: str
) -> list[Job]:
    """Return the jobs that were settled, as they now stand; the others were taken away.

    What is refused is written as what is next best. What fails is written again, in halves where it
    may be about one of them; one that fails alone, again and again, is left for another time.
    """
    trouble = Trouble(logger, what)
    parts, written, tries = [list(settlements)], list[Job](), 0
    while parts:
        part = parts.pop()
        try:
            verdict = await settle_once(store, part)
        except NotSetUpError:
            raise
        except Exception as error:  # noqa: BLE001  # it is logged
            half = len(part) // 2
            if isinstance(error, StoreUnavailableError) or (half == 0 and tries < LONE_TRIES):
                tries += not half
                parts.append(part)
            elif half:
                parts += [part[half:], part[:half]]
            else:
                tries = 0
                job = part[0].job
                logger.error("job %r (%s) is left for later: %r", job.name, job.id, error)  # noqa: TRY400  # it is repeated
            await asyncio.sleep(trouble.meet(error))
        else:
            trouble.end()
            tries = 0
            written += [each.written() for each in part if each.job.id in verdict.won]
            parts += [again] if (again := degraded(part, verdict.refused, logger)) else []
    return written


def degraded(
    settlements: Iterable[Settlement], refused: Mapping[ObjectId, str], logger: logging.Logger
) -> list[Settlement]:
    """Return what is to be written instead of those that were refused."""
    again = []
    for each in settlements:
        if each.job.id not in refused:
            continue
        why = refused[each.job.id]
        outcome = next_best(each.outcome, why)
        logger.error("job %r (%s) cannot be stored as it is: %s", each.job.name, each.job.id, why)
        if outcome is not None:
            again.append(replace(each, outcome=outcome))
        else:
            logger.critical("job %r (%s) cannot be stored at all", each.job.name, each.job.id)
    return again
