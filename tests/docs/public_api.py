"""The public API, a line a name with its parameters: docs/public-api.txt, made by `make api`.

Types are left out: type checkers tell of them. What is missing here is no promise.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

PAGE: Final = "docs/public-api.txt"
ROOT: Final = Path(__file__).resolve().parents[2]
MODULES: Final = (
    "job_processor",
    "job_processor.integrations.base",
    "job_processor.integrations.django",
    "job_processor.integrations.django.asgi",
    "job_processor.integrations.encryption",
    "job_processor.integrations.logs",
    "job_processor.integrations.mcp",
    "job_processor.integrations.otel",
    "job_processor.integrations.prometheus",
    "job_processor.integrations.sentry",
    "job_processor.integrations.starlette",
    "job_processor.integrations.webhooks",
    "job_processor.pytest_plugin",
    "job_processor.schedule",
    "job_processor.sync",
    "job_processor.testing",
    "job_processor.web",
)
"""Every public module; what is public of it is its `__all__`."""


def public_names() -> dict[str, set[str]]:
    """Return the public names of each public module."""
    return {module: set(import_module(module).__all__) for module in MODULES}


def public_api() -> str:
    """Return the text of the file."""
    return "".join(f"{line}\n" for line in _lines())


def _lines() -> Iterator[str]:
    first: dict[int, str] = {}
    for module in MODULES:
        for name, value in sorted(
            (name, getattr(import_module(module), name)) for name in public_names()[module]
        ):
            full = f"{module}.{name}"
            known = first.setdefault(id(value), full)
            yield from _of(full, value) if known == full else [f"{full} = {known}"]


def _of(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        yield from _of_class(name, value)
    elif inspect.isfunction(value) or hasattr(value, "cache_info"):
        yield name + _signature(value)
    else:  # a fixture, a type alias
        yield name


def _of_class(name: str, kind: type[Any]) -> Iterator[str]:
    if issubclass(kind, Enum):
        yield name
        yield from (f"{name}.{each.name} = {each.value!r}" for each in kind)
        return
    bases = [base.__name__ for base in kind.__bases__] if issubclass(kind, Exception) else []
    is_made = (
        any("__init__" in vars(base) for base in _ours(kind)) and Protocol not in kind.__bases__
    )
    made = _signature(kind) if is_made else ""
    yield name + made + (f": {', '.join(bases)}" if bases else "")
    for member in sorted(_members(kind)):
        value = inspect.getattr_static(kind, member, None)
        value = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        yield f"{name}.{member}" + (_signature(value) if inspect.isfunction(value) else "")


def _members(kind: type[Any]) -> set[str]:
    """Return the public methods and attributes that a class has from our own code."""
    return {
        member
        for base in _ours(kind)
        for member in {*vars(base), *inspect.get_annotations(base)}
        if not member.startswith("_")
    }


def _ours(kind: type[Any]) -> list[type[Any]]:
    """Return the class and those of its bases that are our own code."""
    return [base for base in kind.__mro__ if base.__module__.partition(".")[0] == "job_processor"]


def _signature(value: Any) -> str:
    """Return the parameters, without types, `self` and the addresses of objects."""
    parameters = [
        each.replace(annotation=each.empty)
        for each in inspect.signature(value).parameters.values()
        if each.name not in {"self", "cls"}
    ]
    text = str(inspect.Signature(parameters))
    return re.sub(r"<[^<>]*? at 0x[0-9a-f]+>|<factory>", "…", text)


if __name__ == "__main__":
    (ROOT / PAGE).write_text(public_api(), encoding="utf-8")
