"""Runs code that may await at its top level, piece by piece, in one event loop."""

from __future__ import annotations

import ast
import asyncio
import inspect
import linecache
import sys
import traceback
from types import CodeType
from typing import Any

FLAGS = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
"""With which code is compiled."""

_TURN = 0.2
"""Seconds after which a loop that has nothing to do looks for a Ctrl-C."""


class Evaluation:
    """A session: its names, and the loop in which each piece of code runs.

    The loop stands still between two pieces, as that of IPython does: what a task does in the
    background goes on with the next one.
    """

    def __init__(self, runner: asyncio.Runner, names: dict[str, Any]) -> None:
        self._runner = runner
        self.names = names

    def run(self, code: CodeType) -> BaseException | None:
        """Run a piece, await it where it awaits; return its error with the frames of that piece.

        Raises SystemExit where the piece does, KeyboardInterrupt where it was interrupted.
        """
        error = self._runner.run(self._outcome(code))
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise error
        return error

    async def _outcome(self, code: CodeType) -> BaseException | None:
        # Returned and not raised: the loop would lose its way by SystemExit.
        awake = asyncio.create_task(_stay_awake())
        try:
            value = eval(code, self.names)  # noqa: S307  # what this is for
            if inspect.iscoroutine(value):
                await value
        except asyncio.CancelledError:  # by Ctrl-C, which the runner tells
            raise
        except BaseException as error:  # noqa: BLE001  # the code of the user
            frames = error.__traceback__
            return error.with_traceback(frames.tb_next if frames is not None else None)
        finally:
            awake.cancel()
        return None


async def _stay_awake() -> None:
    """Let the loop turn now and then: a Ctrl-C just before it waits is noticed when it wakes."""
    while True:  # noqa: ASYNC110  # a signal sets no event
        await asyncio.sleep(_TURN)


def run_script(evaluation: Evaluation, source: str, name: str) -> bool:
    """Run the text of a program; print the traceback of its error, and return whether it went well.

    name: what the traceback calls it.
    """
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    try:
        code = compile(source, name, "exec", flags=FLAGS)
    except (SyntaxError, ValueError, OverflowError) as error:  # such as of a null byte
        error.__traceback__ = None
        failed: BaseException | None = error
    else:
        failed = evaluation.run(code)
    if failed is not None:
        traceback.print_exception(failed, file=sys.stderr)
    return failed is None
