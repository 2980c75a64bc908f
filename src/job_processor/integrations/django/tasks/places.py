"""Where the tasks of a backend are jobs: on the processor of the project, or on another one."""

from __future__ import annotations

from functools import cache, partial
from typing import NamedTuple

from django.utils.module_loading import import_string

from job_processor.errors import InvalidArgumentError
from job_processor.integrations.django.project import adopted, get_client, get_processor
from job_processor.integrations.django.tasks.interface import InvalidTaskBackend
from job_processor.jobs.portal import Portal
from job_processor.processor import JobProcessor
from job_processor.sync import JobClient, portal_of

_ALLOWED = "allowed is the dotted path of a JobProcessor, such as 'shop.processors.reports'"


class Place(NamedTuple):
    """A processor, and the client by which synchronous code calls it."""

    processor: JobProcessor
    client: JobClient

    @property
    def portal(self) -> Portal:
        """What calls it from any thread."""
        return portal_of(self.client)


def place_of(path: object) -> Place:
    """Return the processor at a dotted path, always the same; None: that of the project.

    Raises InvalidTaskBackend.
    """
    if path is None:
        return Place(get_processor(), get_client())
    if not isinstance(path, str):
        raise InvalidTaskBackend(f"{path!r} is not allowed; {_ALLOWED}")
    return _at(path)


@cache
def _at(path: str) -> Place:
    try:
        found = import_string(path)
    except ImportError as error:
        raise InvalidTaskBackend(f"{path!r} is not allowed; {_ALLOWED} ({error})") from error
    if not isinstance(found, JobProcessor):
        kind = type(found).__name__
        raise InvalidTaskBackend(f"{path!r} is not allowed, being of {kind}; {_ALLOWED}")
    try:
        processor = adopted(found, partial(import_string, path))
        return Place(processor, JobClient(processor))
    except InvalidArgumentError as error:  # two threads cannot share its database
        raise InvalidTaskBackend(f"{path!r} is not allowed: {error}") from error
