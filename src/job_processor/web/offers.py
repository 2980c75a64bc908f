"""Whether what a message offers can still be done: jobs go on while a page stands open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from bson import ObjectId

from job_processor.models import SETTLED, JobStatus
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor

Values: TypeAlias = Sequence[str]


class Since(NamedTuple):
    """What became of what an offer was about, so that it would be refused by now."""

    key: str = ""
    """Of `phrases`; "": what was done is told as before."""
    status: JobStatus | None = None
    link: str = ""
    """A page of ours that has more."""


async def since(processor: JobProcessor, do: str, values: Values) -> Since | None:
    """Return why an action can be done to none of these any more; None where it can.

    values: ids of jobs, or the name of a schedule, as its form sends them.
    """
    look = _LOOKS.get(do)
    return None if look is None else await look(processor, values)


async def _kill(processor: JobProcessor, values: Values) -> Since | None:
    states = await _states(processor, values)
    if not SETTLED.issuperset(states.values()):
        return None
    return _of_one("retried since", values, states)


async def _retry(processor: JobProcessor, values: Values) -> Since | None:
    states = await _states(processor, values)
    if not SETTLED.isdisjoint(states.values()):
        return None
    return _of_one("killed since", values, states)


async def _schedule(processor: JobProcessor, values: Values) -> Since | None:
    return None if await processor.get_schedule(values[0]) else Since("schedule removed")


def _of_one(key: str, values: Values, states: Mapping[str, JobStatus]) -> Since:
    if len(values) > 1:
        return Since()
    status = states.get(values[0])
    return Since("gone since") if status is None else Since(key, status, f"/jobs/{values[0]}")


async def _states(processor: JobProcessor, values: Values) -> dict[str, JobStatus]:
    history = ready_parts_of(processor).store.history
    found = await history.states_of([ObjectId(each) for each in values])
    return {str(job_id): state.status for job_id, state in found.items()}


_LOOKS: Mapping[str, Callable[[JobProcessor, Values], Awaitable[Since | None]]] = {
    "kill": _kill,
    "retry": _retry,
    "pause_schedule": _schedule,
    "resume_schedule": _schedule,
}
"""Of the actions that may be refused by then; the others can be done at any time."""
