"""The one processor of a project, and the client by which its synchronous code schedules."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from django.utils.module_loading import autodiscover_modules

from job_processor.integrations.django.conf import configuration, make_processor, refuse
from job_processor.integrations.django.connections import Connections
from job_processor.processor import JobProcessor
from job_processor.sync import JobClient


@cache
def get_processor() -> JobProcessor:
    """Return the processor of the project, always the same; define its jobs and crons on it.

    Raises ImproperlyConfigured.
    """
    return make_processor(configuration(), Connections())


@cache
def get_client() -> JobClient:
    """Return the client of the project, for views and all other synchronous code.

    Safe in threads and after a fork; it connects with the first call of each process. Raises
    ImproperlyConfigured.
    """
    return JobClient(get_processor())


def load_jobs() -> None:
    """Import the modules that define jobs and crons; raise ImproperlyConfigured."""
    found = configuration()
    get_processor()
    if found.autodiscover is not None:
        autodiscover_modules(found.autodiscover)
    for name in found.modules:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{name}.".startswith(f"{error.name}."):
                raise  # it is there, and what it imports is not
            raise refuse("MODULES", name, "allowed are modules that can be imported") from error
