"""From `module:attribute` to the JobProcessor that it names; errors say who named it."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import re
import sys
import traceback
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import ModuleType

import job_processor
from job_processor.cli.app.failing import AppError, BrokenAppError
from job_processor.cli.app.output import plain
from job_processor.cli.app.source import Source
from job_processor.errors import StoreError, shorten
from job_processor.processor import JobProcessor

_MODULE = re.compile(r"(?!.*\.py$)[^\s./\\]+(\.[^\s./\\]+)*")
_ATTRIBUTE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_ALLOWED = "allowed is module:attribute, such as shop.jobs:processor"


@dataclass(frozen=True, slots=True)
class App:
    """What APP names: a processor, or what makes one."""

    source: Source
    target: object

    @property
    def spec(self) -> str:
        """The module and the attribute, as they were named."""
        return self.source.spec

    @property
    def module(self) -> str:
        """The name of its module."""
        return self.spec.partition(":")[0]

    async def processor(self) -> JobProcessor:
        """Return the processor; call what makes it, in the running event loop.

        Raises AppError when that fails or gives none, StoreError when it met one.
        """
        made = self.target
        if not isinstance(made, JobProcessor) and callable(made):
            try:
                with _prints_on_stderr():
                    made = made()
                    if inspect.isawaitable(made):
                        made = await made
            except StoreError:
                raise
            except (Exception, SystemExit) as error:
                told = f"calling {self.spec!r} failed: {_concisely(error)}"
                raise BrokenAppError(told, self.source.by) from error
        if not isinstance(made, JobProcessor):
            what = "returned" if callable(self.target) else "is"
            raise AppError(
                f"{self.spec!r} {what} {_a(made)}; allowed are a JobProcessor and a function "
                "without arguments that returns one",
                self.source.by,
            )
        return made


def load_app(source: Source | str) -> App:
    """Import what is named, with the working directory on the path; a text stands for APP.

    What a pyproject.toml in a folder above names runs there: the paths that it has are of that
    folder. Raises AppError that says what is wrong, with the user's own error where there is one.
    """
    if isinstance(source, str):
        source = Source(source, "APP")
    try:
        source.enter()
        return App(source, _target(source.spec))
    except AppError as error:
        error.by = source.by
        raise


def _target(spec: str) -> object:
    module_name, _, path = spec.partition(":")
    if not _MODULE.fullmatch(module_name) or not _ATTRIBUTE.fullmatch(path):
        raise AppError(f"{spec!r} is not allowed; {_ALLOWED}{_meant(spec)}")
    target: object = (module := _import(module_name))
    for name in path.split("."):
        try:
            target = getattr(target, name)
        except AttributeError as error:
            raise AppError(f"{module_name!r} has no {path!r}; {_hint(module)}") from error
        except Exception as error:  # a property, or a module's own __getattr__
            raise BrokenAppError(f"reading {spec!r} failed: {_concisely(error)}") from error
    return target


def _meant(spec: str) -> str:
    """Return what may have been meant by a path, or by a module without an attribute."""
    module, _, path = spec.partition(":")
    module = re.sub(r"^\./|\.py$", "", module).replace("/", ".")
    path = path.removesuffix("()") or "processor"
    right = _MODULE.fullmatch(module) and _ATTRIBUTE.fullmatch(path)
    return f"; did you mean {module}:{path}?" if right else ""


def _import(name: str) -> ModuleType:
    here = os.getcwd()  # noqa: PTH109  # sys.path holds text
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        with _prints_on_stderr():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise AppError(
                f"there is no module {error.name!r} in {here} or on Python's path; {_ALLOWED}"
            ) from error
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _prints_on_stderr() -> AbstractContextManager[object]:
    """Lead what an application prints as it is made past stdout: that is for what was asked."""
    return contextlib.redirect_stdout(sys.stderr)


def _failed(module: str, error: BaseException) -> BrokenAppError:
    return BrokenAppError(f"importing {module!r} failed: {_concisely(error)}")


def _concisely(error: BaseException) -> str:
    """Return the type, the message and the place of a user's error, on one line."""
    summary = plain(traceback.format_exception_only(error)[-1])
    place = _place(error)
    return shorten(f"{summary} ({place})" if place else summary, 2000)


def _place(error: BaseException) -> str | None:
    """Return file and line of the innermost frame that is neither ours nor the import system's."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}, line {error.lineno}"
    ours = os.path.dirname(job_processor.__file__) + os.sep  # noqa: PTH120  # compared as text
    theirs = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        # Neither frozen modules nor what a dataclass has generated are a place to look at.
        if not frame.filename.startswith((ours, "<")) and "importlib" not in frame.filename
    ]
    return f"{theirs[-1].filename}, line {theirs[-1].lineno}" if theirs else None


def _hint(module: ModuleType) -> str:
    names = [name for name, value in vars(module).items() if isinstance(value, JobProcessor)]
    if names:
        return f"its processors are: {', '.join(names)}"
    return "allowed is the name of a JobProcessor in it, or of a function that returns one"


def _a(value: object) -> str:
    name = type(value).__name__
    return "nothing (None)" if value is None else f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
