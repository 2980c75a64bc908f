"""Handlers of batches: what they get, and what they say of each job."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bson import ObjectId

from job_processor.errors import DefinitionError, InvalidArgumentError
from job_processor.handlers.binding import Argument, BoundHandler
from job_processor.handlers.callables import is_async, is_generator
from job_processor.handlers.payloads import PayloadType
from job_processor.handlers.payloads.annotations import class_type
from job_processor.handlers.signature import (
    EMPTY,
    Parameter,
    Unresolved,
    parameters_of,
    warn_unresolved,
)
from job_processor.settings import BATCH_LIMIT, check_int, duration

if TYPE_CHECKING:
    from job_processor.handlers.definitions import JobDef

NAMES: dict[str, Argument] = {
    "payloads": "payloads",
    "jobs": "jobs",
    "contexts": "contexts",
    "signal": "signal",
    "resources": "resources",
}
"""What a parameter gets by its name; the first three have an item for each job, in one order."""

_OF_EACH = ("payloads", "jobs", "contexts")
_SINGLE = {"payload": "payloads", "job": "jobs", "context": "contexts"}
_LISTS = (list, Sequence, typing.Sequence)
_ALLOWED = "allowed are payloads, jobs, contexts, signal and resources"
_RESULT = (
    "allowed are None, a list with a result or an exception for each job in their order, and a "
    "mapping of ids of jobs to such"
)


def check_batch(definition: JobDef) -> float:
    """Return the seconds for which a batch waits for more; raises InvalidArgumentError."""
    size, wait = definition.batch, definition.batch_wait
    if size is None:
        if wait is not None:
            allowed = "it is of a batch: write batch=100 beside it"
            raise InvalidArgumentError("batch_wait", wait, allowed)
        return 0.0
    check_int("batch", size, minimum=1)
    if size > BATCH_LIMIT:
        raise InvalidArgumentError("batch", size, f"allowed are at most {BATCH_LIMIT} jobs")
    if definition.executor == "process":
        allowed = "a batch runs in the event loop, or in a thread; leave it out"
        raise InvalidArgumentError("executor", definition.executor, allowed)
    if definition.around is not None:
        raise InvalidArgumentError("around", definition.around, NO_AROUND)
    return 0.0 if wait is None else duration("batch_wait", wait, zero=True)


NO_AROUND = "it is entered for one job, and a batch has several; enter it in the handler"


def bind_batch(function: Callable[..., Any]) -> BoundHandler:
    """Decide what each parameter of a handler of batches gets; raises DefinitionError."""
    if not callable(function):
        raise DefinitionError("handler", function, "allowed is a function, async or sync")
    if is_generator(function):
        allowed = "it has a yield, so a call of it runs nothing; allowed is one that returns"
        raise DefinitionError("handler", function, allowed)
    positional: list[str] = []
    keywords: list[tuple[str, Argument]] = []
    kind: PayloadType | None = None
    for each in parameters_of(function):
        argument = NAMES.get(each.name)
        if argument is None:
            _check_optional(function, each)
        elif each.kind is inspect.Parameter.POSITIONAL_ONLY:
            positional.append(argument)
        else:
            keywords.append((each.name, argument))
        if argument == "payloads":
            kind = _class_of_each(function, each.annotation)
    if not {*positional, *(argument for _, argument in keywords)} & {*_OF_EACH}:
        allowed = "a handler with batch= has to take payloads, jobs or contexts: def send(payloads)"
        raise DefinitionError("handler", function, allowed)
    return BoundHandler(function, tuple(positional), tuple(keywords), is_async(function), kind)


def endings_of(job_ids: Sequence[ObjectId], returned: object) -> list[object]:
    """Return what came of each job: a result, or the exception that it failed with.

    Raises InvalidArgumentError for what does not say that.
    """
    if returned is None:
        return [None] * len(job_ids)
    if isinstance(returned, list | tuple):
        if len(returned) == len(job_ids):
            return list(returned)
        told = f"there were {len(job_ids)} jobs, and {len(returned)} results; {_RESULT}"
        raise InvalidArgumentError("result of the batch", len(returned), told)
    if not isinstance(returned, Mapping):
        raise InvalidArgumentError("result of the batch", type(returned).__name__, _RESULT)
    found = {str(key): value for key, value in returned.items()}
    endings = [found.pop(str(job_id), None) for job_id in job_ids]
    if found:
        told = f"no job of this batch has this id; {_RESULT}"
        raise InvalidArgumentError("result of the batch", next(iter(found))[:50], told)
    return endings


def _check_optional(function: Callable[..., Any], parameter: Parameter) -> None:
    """Raise DefinitionError for a parameter that a call has to give."""
    if not parameter.is_required:
        return
    meant = _SINGLE.get(parameter.name)
    why = f"write {meant}, which has one for each job" if meant is not None else _ALLOWED
    told = f"its parameter {parameter.name!r} cannot be filled: a batch has several jobs; {why}"
    raise DefinitionError("handler", function, told)


def _class_of_each(function: Callable[..., Any], annotation: Any) -> PayloadType | None:
    """Return the class of each payload, of a list of which the parameter is; None: what comes."""
    if isinstance(annotation, Unresolved):
        warn_unresolved(function, "payloads", annotation)
        return None
    if annotation is EMPTY or annotation is Any or annotation in _LISTS:
        return None
    if typing.get_origin(annotation) not in _LISTS:
        told = "a handler with batch= gets a list of payloads; write payloads: list[Item]"
        raise DefinitionError("payloads", annotation, told)
    return class_type(typing.get_args(annotation)[0])
