"""`init`: a project to begin with, from the templates in `project/`."""

from __future__ import annotations

import keyword
import re
import shlex
import sys
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from job_processor.cli.app.options import Json
from job_processor.cli.app.output import print_json, say
from job_processor.cli.app.reading import read_text
from job_processor.errors import InvalidArgumentError
from job_processor.version import version

_FILES = {
    "app.py": "{package}/app.py",
    "jobs.py": "{package}/jobs.py",
    "package.py": "{package}/__init__.py",
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
}
"""The templates, and what is written of each."""


def init(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="The folder to write to; created if missing.")
    ] = ".",
    json: Json = False,
) -> None:
    """Create a small project that runs at once.

    It has a job, a cron and a README, and the command says how to run it. Existing files are never
    changed.
    """
    root, package, texts = _plan(folder)
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:  # never over what came meanwhile
            file.write(text)
    steps = _next_steps(root)
    if json:
        print_json({"package": package, "files": [str(path) for path in texts], "next": steps})
        return
    listed = "".join(f"  {path}\n" for path in texts)
    say(f"Wrote\n{listed}\nNext:\n" + "\n".join(f"  {step}" for step in steps))


def _plan(folder: str) -> tuple[Path, str, dict[Path, str]]:
    """Return the folder, the name of the package, and the texts of its files.

    Raises InvalidArgumentError when one of them is there already.
    """
    root = Path(read_text("DIR", folder))
    if root.exists() and not root.is_dir():
        raise InvalidArgumentError("DIR", folder, "it is a file; allowed is a folder, there or not")
    package = _package(root)
    written = {root / name.format(package=package): text for name, text in _texts(package).items()}
    for path in written:
        if path.exists():
            allowed = f"{path} is there already; allowed is a folder without it"
            raise InvalidArgumentError("DIR", folder, allowed)
    return root, package, written


def _package(root: Path) -> str:
    """Return a name for the package, made from that of the folder."""
    name = re.sub(r"\W+", "_", root.resolve().name.lower(), flags=re.ASCII).strip("_")
    name = name if re.match(r"[a-z]", name) else f"app_{name}".rstrip("_")
    taken = keyword.iskeyword(name) or name in sys.stdlib_module_names | {"job_processor"}
    return f"{name}_app" if taken else name


def _texts(package: str) -> dict[str, str]:
    templates = files("job_processor.cli") / "project"
    bare = "+" in version()  # a source tree
    requirement = "job-processor" if bare else f"job-processor>={version()}"
    return {
        name: (templates / f"{template}.txt")
        .read_text("utf-8")
        .replace("{{package}}", package)
        .replace("{{requirement}}", requirement)
        for template, name in _FILES.items()
    }


def _next_steps(root: Path) -> list[str]:
    steps = [
        "job-processor check",
        """job-processor schedule greet --payload '{"name": "Ada"}'""",
        "job-processor worker  # until Ctrl-C; then, or in another terminal:",
        "job-processor jobs",
    ]
    if root.resolve() != Path.cwd():
        steps.insert(0, f"cd {shlex.quote(str(root))}")
    return steps
