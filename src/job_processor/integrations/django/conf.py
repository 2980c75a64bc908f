"""What the project's settings say, checked: `JOB_PROCESSOR = {…}`."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from job_processor.errors import InvalidArgumentError, shorten
from job_processor.hooks import Integration
from job_processor.processor import JobProcessor
from job_processor.settings import file_address

NAME = "JOB_PROCESSOR"
_DATABASE = "DB"
_TEST_DATABASE = "TEST_DB"
_VARIABLE = "JOB_PROCESSOR_DB"
_NOT_SETTINGS = frozenset({"db", "jobs", "crons", "logger", "clock"})
_OPTIONS = {
    name.upper(): name
    for name in inspect.signature(JobProcessor).parameters
    if name not in _NOT_SETTINGS
}
_KEYS = (_DATABASE, _TEST_DATABASE, "AUTODISCOVER", "MODULES", *_OPTIONS)
_ADDRESSES = (
    "allowed are a mongodb:// or sqlite:/// address, and a Path, which is that of a SQLite file"
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of the project."""

    options: Mapping[str, Any]
    """As `JobProcessor` takes them."""
    autodiscover: str | None
    """The module of each app that has jobs and crons, where there is one; None: none is looked for.
    """
    modules: tuple[str, ...]
    """Other modules that have some."""


def configuration() -> Configuration:
    """Read the settings; raise ImproperlyConfigured that names key, value and what is allowed."""
    given = getattr(settings, NAME, {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured(f"{NAME}: {given!r} is not allowed; allowed is a dictionary")
    unknown = [key for key in given if key not in _KEYS]
    if unknown:
        raise ImproperlyConfigured(
            f"{NAME} has no key {unknown[0]!r}; allowed are {', '.join(_KEYS)}"
        )
    options = {_OPTIONS[key]: value for key, value in given.items() if key in _OPTIONS}
    options["db"] = _database(given)
    options.setdefault("timezone", settings.TIME_ZONE)
    options["integrations"] = [_integration(each) for each in _list(given, "INTEGRATIONS")]
    for name in ("around", "lifespan"):
        if name in options:
            options[name] = _imported(name.upper(), options[name], "functions")
    return Configuration(options, _autodiscover(given), tuple(_list(given, "MODULES", str)))


def has_tasks() -> bool:
    """True where the settings say who runs Django's tasks: no Django before 6 must have them."""
    return settings.is_overridden("TASKS") and bool(settings.TASKS)


def make_processor(
    found: Configuration, *integrations: Integration, kind: type[JobProcessor] = JobProcessor
) -> JobProcessor:
    """Return a processor of these settings; raise ImproperlyConfigured."""
    together = [*integrations, *found.options["integrations"]]
    try:
        processor = kind(**{**found.options, "integrations": together})
        processor.twin()  # requests and workers share the database, in threads and processes
    except InvalidArgumentError as error:
        told = str(error).removeprefix(error.argument)
        raise ImproperlyConfigured(f"{_place(error.argument.upper())}{told}") from error
    return processor


def refuse(key: str, value: object, allowed: str) -> ImproperlyConfigured:
    """Return the error for a value of a key that is not allowed."""
    shown = shorten(repr(value), 200)
    return ImproperlyConfigured(f"{_place(key)}: {shown} is not allowed; {allowed}")


def _database(given: Mapping[str, Any]) -> str:
    address = given.get(_DATABASE) or os.environ.get(_VARIABLE)
    if address is None:  # a file in the working directory would be another one for each process
        raise ImproperlyConfigured(
            f"{_place(_DATABASE)} is missing, and so is ${_VARIABLE}; {_ADDRESSES}"
        )
    return _address(_DATABASE, address)


def given_test_database() -> str | None:
    """Return the address that the settings give for tests; raise ImproperlyConfigured."""
    address = getattr(settings, NAME, {}).get(_TEST_DATABASE)
    return None if address is None else _address(_TEST_DATABASE, address)


def _address(key: str, address: object) -> str:
    if isinstance(address, Path):
        return file_address(address)
    if not isinstance(address, str):
        raise refuse(key, address, _ADDRESSES)
    return address


def _autodiscover(given: Mapping[str, Any]) -> str | None:
    name = given.get("AUTODISCOVER", "jobs")
    if name is not None and not (isinstance(name, str) and name.isidentifier()):
        allowed = "allowed are the name of a module that apps have, such as 'jobs', and None"
        raise refuse("AUTODISCOVER", name, allowed)
    return name


def _list(given: Mapping[str, Any], key: str, kind: type = object) -> list[Any]:
    values = given.get(key, ())
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise refuse(key, values, "allowed is a list")
    values = list(values)
    for value in values:
        if not isinstance(value, kind):
            raise refuse(key, value, "allowed are names of modules, such as 'shop.crons'")
    return values


def _integration(given: object) -> object:
    """Return an integration that is given as it is, or by the place of it or of its class."""
    found = _imported("INTEGRATIONS", given, "integrations")
    return found() if isinstance(found, type) else found


def _imported(key: str, given: object, what: str) -> object:
    """Return what is given as it is, or by its place."""
    if not isinstance(given, str):
        return given
    try:
        return import_string(given)
    except ImportError as error:
        allowed = f"allowed are {what} and their dotted paths ({error})"
        raise refuse(key, given, allowed) from error


def _place(key: str) -> str:
    return f"{NAME}[{key!r}]"
