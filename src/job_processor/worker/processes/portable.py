"""An exception on its way from a handler's process to its worker.

Pickle brings back few: an `__init__` that takes other arguments, a lock in a field, and it fails.
So what it fails on travels in parts, and is put together without its `__init__`, as an exception of
its class. `Retry`, `RetryLater` and `Snooze` then mean the same in a process as in a thread.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from job_processor.handlers.retries import members_of
from job_processor.settings import ERROR_LIMIT
from job_processor.texts import told

_Name: TypeAlias = tuple[str, str]
"""A class by its module and its name there."""


@dataclass(frozen=True, slots=True)
class Portable:
    """An exception in values that any process can read."""

    classes: tuple[_Name, ...]
    """Its class and what that is derived from, the nearest first."""
    text: str
    """What it says."""
    whole: bytes | None
    """The exception, pickled; None where it cannot be read back."""
    arguments: bytes | None = None
    """Its `args`, pickled; None where they cannot be."""
    fields: Mapping[str, bytes] = field(default_factory=dict)
    """Those of its attributes that can be pickled."""
    members: tuple[Portable, ...] = ()
    """Those of a group."""


def pack(error: BaseException) -> Portable:
    """Return an exception as it travels; never raises."""
    whole = _pickled(error)
    if whole is not None and type(_unpickled(whole)) is not type(error):
        whole = None
    classes = tuple(_name(kind) for kind in type(error).__mro__ if kind is not object)
    if isinstance(error, BaseExceptionGroup):
        members = tuple(pack(each) for each in members_of(error))
        return Portable(classes, _message(error), whole, members=members)
    text = told(error, ERROR_LIMIT)
    fields = {
        name: pickled
        for name, value in vars(error).items()
        if not name.startswith("__") and (pickled := _pickled(value)) is not None
    }
    return Portable(classes, text, whole, _pickled(error.args), fields)


def unpack(packed: Portable, known: Iterable[type[BaseException]] = ()) -> BaseException:
    """Return the exception, of its class or the nearest that is known here; never raises.

    known: classes that count even where their module does not have them under their name.
    """
    try:
        return _unpack(packed, {_name(kind): kind for kind in known})
    except BaseException as error:  # noqa: BLE001  # code of its class fails, or it is nonsense
        return error


def _unpack(packed: Portable, known: Mapping[_Name, type[BaseException]]) -> BaseException:
    if packed.whole is not None:
        error = _unpickled(packed.whole)
        if isinstance(error, BaseException) and _name(type(error)) == packed.classes[0]:
            return error
    kind = _kind(packed.classes, known)
    builtin = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    if issubclass(kind, BaseExceptionGroup):
        members = [_unpack(each, known) for each in packed.members]
        group: BaseException = BaseExceptionGroup.__new__(kind, packed.text, members)
        return group
    arguments = _unpickled(packed.arguments) if packed.arguments is not None else (packed.text,)
    made: BaseException = builtin.__new__(kind, *arguments)
    made.args = arguments
    for name, pickled in packed.fields.items():
        vars(made)[name] = _unpickled(pickled)
    return made


def _kind(
    classes: tuple[_Name, ...], known: Mapping[_Name, type[BaseException]]
) -> type[BaseException]:
    """Return the class of these names, or one that is derived from all of them that are here."""
    bases: list[type[BaseException]] = []
    for name in classes:
        found = known.get(name) or _found(name)
        if found is not None and not any(issubclass(base, found) for base in bases):
            bases.append(found)
    if _name(bases[0]) == classes[0]:
        return bases[0]
    module, qualname = classes[0]
    try:
        stand_in: type[BaseException] = type(
            qualname.rpartition(".")[2],
            tuple(bases),
            {"__module__": module, "__qualname__": qualname},
        )
    except Exception:  # noqa: BLE001  # such as a base that lets nobody be derived from it
        return bases[0]
    return stand_in


def _found(name: _Name) -> type[BaseException] | None:
    """Return the exception class of this name, where its module is imported here."""
    module, qualname = name
    found: Any = sys.modules.get(module)
    for each in qualname.split("."):
        found = getattr(found, each, None)
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def _name(kind: type[Any]) -> _Name:
    # A process imports the program's main module under another name.
    module = "__main__" if kind.__module__ == "__mp_main__" else kind.__module__
    return module, kind.__qualname__


def _message(group: BaseExceptionGroup[Any]) -> str:
    message: str = BaseExceptionGroup.message.__get__(group)
    return message


def _pickled(value: object) -> bytes | None:
    try:
        return pickle.dumps(value)
    except BaseException:  # noqa: BLE001  # its own code may raise whatever it likes
        return None


def _unpickled(pickled: bytes) -> Any:
    """Return what our own process has pickled; None when it cannot be read."""
    try:
        return pickle.loads(pickled)  # noqa: S301  # of a process of ours
    except BaseException:  # noqa: BLE001  # see above
        return None
