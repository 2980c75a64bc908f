"""The npm packages of these tests: installed once, beside the program that uses them."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
PROGRAM: Final = FOLDER / "program.js"
COMPONENTS: Final = FOLDER / "components.js"

REQUIRED_VARIABLE: Final = "JOB_PROCESSOR_TEST_NODE"
"""Set to `required`, the absence of Node.js is a failure; otherwise these tests are skipped."""

OPTIONS: Final = (
    *("--no-package-lock", "--no-audit", "--no-fund", "--legacy-peer-deps", "--ignore-scripts"),
    *("--prefer-offline", "--loglevel", "error"),
)

INSTALL_TIMEOUT: Final = 300.0
"""Seconds that npm gets, in the first test that needs it; the limit of each test is longer."""


def missing(*, components: bool = False) -> str | None:
    """Return why the Node package cannot be run here, None when it can; install it if need be.

    components: with what shows its React components, which is most of all that npm installs.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            return f"{program} is not installed: nothing shares a database with the Node package"
    return _install("all") if components else _install("without-dev", "--omit=dev")


def is_required() -> bool:
    """True where the environment wants these tests to run."""
    return os.environ.get(REQUIRED_VARIABLE) == "required"


def bundle(target: Path) -> str:
    """Return the script for a browser that has the React components and all that they need."""
    esbuild = FOLDER / "node_modules" / ".bin" / "esbuild"
    options = ("--bundle", "--format=iife", '--define:process.env.NODE_ENV="production"')
    command = [str(esbuild), str(COMPONENTS), *options, f"--outfile={target}"]
    subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_TIMEOUT)
    return target.read_text(encoding="utf-8")


def _install(what: str, *options: str) -> str | None:
    """Install what package.json asks for, unless it is there; return why that failed."""
    wanted = (FOLDER / "package.json").read_text(encoding="utf-8")
    modules = FOLDER / "node_modules"
    stamps = modules / f".installed-{what}", modules / ".installed-all"
    modules.mkdir(exist_ok=True)
    with (modules / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # each process of a parallel run comes here
        if any(each.exists() and each.read_text(encoding="utf-8") == wanted for each in stamps):
            return None
        try:
            done = subprocess.run(
                ["npm", "install", *OPTIONS, *options],
                cwd=FOLDER,
                check=False,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            return f"npm install did not end within {INSTALL_TIMEOUT:.0f} s"
        if done.returncode != 0:
            return f"npm install failed: {done.stderr.strip()[-500:]}"
        stamps[0].write_text(wanted, encoding="utf-8")
    return None
