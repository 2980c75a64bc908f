"""The prompt: Python's own, which awaits; IPython's, where that is installed."""

from __future__ import annotations

import asyncio
import code
import contextlib
import os
import traceback
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import CodeType
from typing import Any

from job_processor.cli.repl.evaluation import FLAGS, Evaluation

_HISTORY = "shell-history"
_LINES = 1000  # of the history


class Console(code.InteractiveConsole):
    """Python's prompt, at which `await` works."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__(evaluation.names)
        self._evaluation = evaluation
        self.compile.compiler.flags |= FLAGS

    def runcode(self, code: CodeType) -> None:
        """Run what was typed, and print its error."""
        try:
            error = self._evaluation.run(code)
        except KeyboardInterrupt:
            self.write("\nKeyboardInterrupt\n")
            return
        if error is not None:
            self.write("".join(traceback.format_exception(error)))


def interact(evaluation: Evaluation, banner: str) -> None:
    """Prompt until Ctrl-D or `exit()`."""
    with _readline(evaluation.names):
        Console(evaluation).interact(banner, exitmsg="")


def interact_by_ipython(runner: asyncio.Runner, names: dict[str, Any], banner: str) -> bool:
    """Prompt by IPython; False where it is not installed."""
    try:
        ipython = import_module("IPython")  # optional, and no dependency of the development either
        config = import_module("traitlets.config").Config()
    except ImportError:
        return False
    config.TerminalInteractiveShell.banner1 = f"{banner}\n"
    config.TerminalInteractiveShell.banner2 = ""

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a cell where the processor lives; a function, since IPython copies what it gets."""
        return runner.run(coroutine)

    config.TerminalInteractiveShell.loop_runner = run
    ipython.start_ipython(argv=[], user_ns=names, config=config)
    return True


@contextmanager
def _readline(names: dict[str, Any]) -> Iterator[None]:
    """Complete names and keep a history for the time of the block, where readline is there."""
    try:
        import readline  # noqa: PLC0415  # not everywhere
        import rlcompleter  # noqa: PLC0415  # the same
    except ImportError:
        yield
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    # What stands for readline on macOS has another way to say it.
    is_editline = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if is_editline else "tab: complete")
    path = _history()
    with contextlib.suppress(OSError):
        readline.read_history_file(path)
    try:
        yield
    finally:
        readline.set_history_length(_LINES)
        with contextlib.suppress(OSError):  # a home that cannot be written is no reason to fail
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)  # payloads may be in it
            readline.write_history_file(path)


def _history() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "job-processor" / _HISTORY
