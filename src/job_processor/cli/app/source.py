"""Where a command gets its application from: an argument, a variable or pyproject.toml."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job_processor.cli.app.failing import AppError, UsageError

VARIABLE = "JOB_PROCESSOR_APP"
FILE = "pyproject.toml"
TABLE = "job-processor"

WAYS = (
    f"--app module:attribute, ${VARIABLE}, or in {FILE} [tool.{TABLE}] with "
    'app = "module:attribute"'
)
"""How a command that looks is told its application."""


ONCE = (
    f"Give APP, such as shop.jobs:processor; or, for all commands, set ${VARIABLE}, or write "
    f'app = "shop.jobs:processor" below [tool.{TABLE}] in {FILE}'
)
"""How a command that needs one is told it."""


@dataclass(frozen=True, slots=True)
class Source:
    """An application as it was named, and where: `load_app` imports it."""

    spec: str
    """module:attribute, if it is right."""
    by: str
    """What named it, as messages say it: `APP`, `--app`, `$JOB_PROCESSOR_APP`, a file."""
    folder: Path | None = None
    """Where it runs, if that is not the working directory: the one of its pyproject.toml."""

    def enter(self) -> None:
        """Go to where it runs, so that its modules and the paths that it has are found there."""
        if self.folder is not None:
            os.chdir(self.folder)


def find_app(given: str | None, by: str = "--app") -> Source | None:
    """Return the application: as given, else of the variable, else of the nearest pyproject.toml.

    None where nothing names one. Raises AppError for a file that names it wrongly.
    """
    if given is not None:
        return Source(given, by)
    variable = os.environ.get(VARIABLE)
    if variable:
        return Source(variable, f"${VARIABLE}")
    return _of_project(Path.cwd())


def require_app(given: str | None) -> Source:
    """Return the application of a command that needs one; raises UsageError where there is none."""
    source = find_app(given, "APP")
    if source is None:
        raise UsageError(f"which application? {ONCE}")
    return source


def _of_project(folder: Path) -> Source | None:
    """Return what the nearest pyproject.toml with our table names, from a folder upward."""
    for path in _files(folder):
        table = _table(path)
        if table is not None:
            spec = _app(table, path)
            return Source(spec, f"app in {path}", None if path.parent == folder else path.parent)
    return None


def _files(folder: Path) -> Iterator[Path]:
    for each in (folder, *folder.parents):
        path = each / FILE
        if path.is_file() and (each == folder or not _is_planted(path)):
            yield path


def _is_planted(path: Path) -> bool:
    """True for a file that anybody may have put above us, as in /tmp: its code is not run."""
    may_be_anybody = path.parent.stat().st_mode & stat.S_IWOTH
    return bool(may_be_anybody) and path.stat().st_uid not in (0, os.getuid())


def _table(path: Path) -> dict[str, Any] | None:
    """Return our table of a file, None when it has none; raises AppError for what is no TOML."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AppError(f"{path} cannot be read: {error.strerror}") from error
    if TABLE.encode() not in content:  # most files need not be parsed, nor be right
        return None
    import tomllib  # noqa: PLC0415  # rarely wanted

    try:
        tool = tomllib.loads(content.decode()).get("tool", {})
    except ValueError as error:
        raise AppError(f"{path} is no TOML: {error}") from error
    table = tool.get(TABLE) if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise AppError(f"{path}: tool.{TABLE} is no table; {_ALLOWED}")
    return table


_ALLOWED = f'allowed is [tool.{TABLE}] with app = "module:attribute"'


def _app(table: dict[str, Any], path: Path) -> str:
    unknown = sorted(set(table) - {"app"})
    if unknown:
        raise AppError(f"{path}: [tool.{TABLE}] has {unknown[0]!r}; {_ALLOWED}")
    spec = table.get("app")
    if not isinstance(spec, str):
        said = "has no app" if spec is None else f"has app = {spec!r}"
        raise AppError(f"{path}: [tool.{TABLE}] {said}; {_ALLOWED}")
    return spec
