"""Jobs of tasks that follow Django's own transaction: stored in it, or after its commit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from django.db import connections, transaction

from job_processor.integrations.django.tasks.interface import (
    InvalidTaskBackend,
    Task,
    TaskResult,
    task_enqueued,
)
from job_processor.integrations.django.tasks.listing import list_unless_found
from job_processor.integrations.django.tasks.places import Place
from job_processor.integrations.django.tasks.results import result_of
from job_processor.jobs.intake import new_job, put
from job_processor.jobs.request import JobRequest
from job_processor.models import SimpleJob
from job_processor.parts import parts_of, ready_parts_of
from job_processor.processor import JobProcessor

ON_COMMIT = "enqueue_on_commit"
INSIDE = "enqueue_in_transaction"


class Follows(NamedTuple):
    """Which transaction the jobs of a backend follow."""

    using: str
    """The alias of its database."""
    inside: bool
    """True where they are stored in it, as far as that can be."""


def follows_of(given: Mapping[str, Any], place: Any) -> Follows | None:
    """Return what the options of a backend say; None: jobs are stored at once.

    place: returns the words for an option of the settings. Raises InvalidTaskBackend.
    """
    chosen = {name: _database(given.get(name, False), place(name)) for name in (ON_COMMIT, INSIDE)}
    named = {name: using for name, using in chosen.items() if using is not None}
    if len(named) > 1:
        told = f"{place(ON_COMMIT)} is there as well; give one of them"
        raise InvalidTaskBackend(f"{place(INSIDE)}: {given[INSIDE]!r} is not allowed; {told}")
    return next((Follows(using, name == INSIDE) for name, using in named.items()), None)


def _database(given: object, place: str) -> str | None:
    """Return the alias of the database whose transaction counts; None: none does."""
    if isinstance(given, bool):
        return "default" if given else None
    if isinstance(given, str):
        return given
    told = "allowed are True, False and the alias of a database"
    raise InvalidTaskBackend(f"{place}: {given!r} is not allowed; {told}")


def is_file_of(connection: Any, processor: JobProcessor) -> bool:
    """Tell whether a connection of Django is one to the file that has the jobs."""
    if connection.vendor != "sqlite":
        return False
    name = str(connection.settings_dict["NAME"])
    return Path(name).absolute() == Path(processor.address).absolute()


def shares(connection: Any, processor: JobProcessor) -> bool:
    """Tell whether the database of a connection of Django can take jobs in its transactions.

    Of MongoDB, whether it is the same deployment is found out with the first of them.
    """
    if connection.vendor == "mongodb":
        return processor.address.startswith("mongodb")
    return is_file_of(connection, processor)


def enqueue(
    sender: type[Any], place: Place, follows: Follows, task: Task, request: JobRequest
) -> TaskResult:
    """Store the job of a task with the transaction that is open; its id is known before."""
    job = new_job(parts_of(place.processor), request)
    result = result_of(job, task)
    object.__setattr__(result, "enqueued_at", None)
    session = _session(follows, place.processor, request)
    if session is not None:
        place.portal.call(partial(_put, job, request, session))

    def store() -> None:
        call = _list if session is not None else _list_and_put
        stored = result_of(place.portal.call(partial(call, task, job, request)), task)
        for name in ("id", "enqueued_at", "status", "errors"):  # it may be another, or skipped
            object.__setattr__(result, name, getattr(stored, name))
        task_enqueued.send(sender, task_result=result)

    transaction.on_commit(store, using=follows.using)
    return result


def _session(follows: Follows, processor: JobProcessor, request: JobRequest) -> Any:
    """Return the driver's connection whose transaction takes the job; None: it follows the commit.

    A key that is held for a time is given back by a write of ours, which would wait for the
    transaction.
    """
    connection: Any = connections[follows.using]
    if not follows.inside or request.unique_for is not None or not shares(connection, processor):
        return None
    if connection.vendor == "mongodb":
        return connection.session  # there in a transaction only; Django's own word stays False
    return connection.connection if connection.in_atomic_block else None


async def _put(
    job: SimpleJob, request: JobRequest, session: Any, processor: JobProcessor
) -> SimpleJob:
    return await put(ready_parts_of(processor), job, request.on_conflict, session)


async def _list(
    task: Task, job: SimpleJob, request: JobRequest, processor: JobProcessor
) -> SimpleJob:
    await list_unless_found(processor, task, request.name)
    return job


async def _list_and_put(
    task: Task, job: SimpleJob, request: JobRequest, processor: JobProcessor
) -> SimpleJob:
    await list_unless_found(processor, task, request.name)
    return await put(ready_parts_of(processor), job, request.on_conflict)
