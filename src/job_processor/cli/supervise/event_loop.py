"""Which event loop a worker runs on: asyncio's own, or uvloop's, where that is installed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from job_processor.cli.app.extras import is_installed, require
from job_processor.cli.app.reading import read_choice

T = TypeVar("T")

_logger = logging.getLogger("job_processor")

LOOPS = ("auto", "asyncio", "uvloop")


def read_loop(text: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the loop that `--loop` names; None: asyncio's own.

    Raises InvalidArgumentError, and MissingExtraError when uvloop is named and not installed.
    """
    choice = read_choice("--loop", text, LOOPS)
    if choice == "uvloop":
        require("uvloop", "--loop uvloop")
    if choice == "asyncio" or not is_installed("uvloop"):
        return None
    import uvloop  # noqa: PLC0415  # optional

    make: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return make


def run(
    main: Coroutine[Any, Any, T], make_loop: Callable[[], asyncio.AbstractEventLoop] | None
) -> T:
    """Run a coroutine to its end on a loop of its own, as `asyncio.run` does.

    What else runs in the loop cannot end it: asyncio lets a SystemExit (or KeyboardInterrupt) of
    any task out, and the `sys.exit()` of a handler's sub-task would leave everybody's jobs behind.
    The task has it for whoever awaits it, so the job fails, and the loop goes on. Ctrl-C is a
    signal, which `Stopper` obeys.
    """
    with asyncio.Runner(loop_factory=make_loop) as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)
        while True:
            try:
                return loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as error:
                if task.done():
                    raise
                _logger.error(  # noqa: TRY400  # the job has its traceback
                    "a task of a handler raised %r; the worker continues", error
                )
