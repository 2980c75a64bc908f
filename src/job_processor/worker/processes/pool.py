"""Handlers in processes of their own: one process a run, which really can be stopped.

The process comes from pebble, which starts it, brings the result and, when the run is cancelled,
ends it: SIGTERM, and SIGKILL three seconds later.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from pebble import ProcessExpired, concurrent

from job_processor.clock import truncate
from job_processor.errors import ProcessDiedError
from job_processor.handlers.current import current_job
from job_processor.hooks import Scopes
from job_processor.models import LogLine, Progress
from job_processor.tasks import in_thread, set_within
from job_processor.texts import shown, told
from job_processor.worker.notebook import Notebook
from job_processor.worker.outcomes import Ending
from job_processor.worker.processes import child, forwarding
from job_processor.worker.processes.opening import opening_of
from job_processor.worker.processes.portable import Portable, pack, unpack
from job_processor.worker.resources import Resources
from job_processor.worker.runs import Run

_PRELOADED = (
    "__main__",
    "pebble",
    child.__name__,
    # Each process imports the program's main module again, and with it what that imports.
    "job_processor.cli",
    "job_processor.processor",
)

_OF_GROUPS = {verb: verb for verb in ("add", "info", "page", "wait", "kill", "retry")}
"""What a process may ask of its group, besides `extend` of its flow; nothing else is called."""

_LAST_WORDS = 5.0
"""Seconds in which what a process told before its end is read."""

_START_METHOD = "spawn" if sys.platform == "win32" else "forkserver"
"""Never `fork`: a copy of a process with threads may hang for good."""


class Processes:
    """Runs handlers, each in a process of its own."""

    def __init__(self, scopes: Scopes, logger: logging.Logger, resources: Resources) -> None:
        self._scopes = scopes
        self._resources = resources
        self._logger = logger
        self._context = multiprocessing.get_context(_START_METHOD)
        # Pebble 5 documents `context` and declares `mp_context`.
        options: dict[str, Any] = dict.fromkeys(("context", "mp_context"), self._context)
        process: Any = concurrent.process
        self._launch: Callable[..., Future[child.Answer]] = process(**options)(child.run)

    async def run(self, run: Run, state: Any) -> Ending:
        """Run a handler; return how it ended. Cancelling this ends its process first."""
        call = _Call(run, asyncio.get_running_loop(), self._logger)
        try:
            future = await in_thread(partial(self._start, call, state), "job-processor-starter")
        except asyncio.CancelledError:
            call.give_up()
            await call.told()
            raise
        forget = run.controller.signal.on_abort(call.abort)
        try:
            answer = await asyncio.wrap_future(future)
        except ProcessExpired as error:
            return Ending(error=ProcessDiedError(_how(error.exitcode)))
        finally:
            forget()
            await call.told()
            call.close()
        return self._ending(run, answer)

    def _start(self, call: _Call, state: Any) -> Future[child.Answer]:
        """Start the process; in a thread, since the first of all takes a while."""
        run = call.run
        bound, opening = run.definition.bound, opening_of(self._resources, run.definition)
        # The server that forks has imported the handlers' modules: each run begins in milliseconds.
        opens = () if opening is None else opening.modules
        modules = (*self._scopes.preloads, bound.function.__module__, *opens)
        self._context.set_forkserver_preload([*_PRELOADED, *modules])
        ours, theirs = self._context.Pipe()
        theirs_alive, ours_alive = self._context.Pipe(duplex=False)
        task = child.Task(
            bound.function.__module__,
            bound.function.__qualname__,
            bound.as_values(),
            tuple(
                (each.__module__, each.__qualname__, each in run.definition.asking)
                for each in run.definition.arounds
            ),
            opening,
            run.job,
            state,
            () if call.run.notebook is None else call.run.notebook.parents,
            self._scopes.preloads,
            forwarding.levels(),
            dict(os.environ),
            call.context.run(current_job),
        )
        try:
            call.check()
            call.started(future := self._launch(task, theirs, theirs_alive))
        except BaseException:
            ours.close()
            ours_alive.close()
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                call.loop.call_soon_threadsafe(call.ended.set)
            raise
        finally:
            theirs.close()
            theirs_alive.close()
        call.listen(ours, ours_alive)
        return future

    def _ending(self, run: Run, answer: child.Answer) -> Ending:
        if answer.error is None:
            if answer.unstorable is not None:
                self._logger.warning(
                    "job %r (%s) returned what cannot be stored (%s); stored is its description",
                    run.job.name,
                    run.job.id,
                    answer.unstorable,
                )
            return Ending(answer.result)
        retries = run.definition.retries
        known = () if retries is None else (*retries.retry_on, *retries.give_up_on)
        return Ending(error=unpack(answer.error, known), told=answer.told)


class _Call:
    """The worker's end of a channel."""

    def __init__(self, run: Run, loop: asyncio.AbstractEventLoop, logger: logging.Logger) -> None:
        self.run = run
        self.loop = loop
        self._logger = logger
        self.ended = asyncio.Event()
        """Set once the process has told that it has ended, or has closed its end."""
        self.context = contextvars.copy_context()
        """That of the handler: its log lines are of its job here, too."""
        self._channel: Connection | None = None
        self._lifeline: Connection | None = None
        self._given_up = False
        self._process: Future[child.Answer] | None = None

    def listen(self, channel: Connection, lifeline: Connection) -> None:
        """Take what comes, in a thread of its own; the process lives while the lifeline is open."""
        self._channel, self._lifeline = channel, lifeline
        threading.Thread(target=self.context.run, args=(self._listen, channel), daemon=True).start()

    def check(self) -> None:
        """Raise ProcessDiedError when the run was given up, so that its process need not start."""
        if self._given_up:
            raise ProcessDiedError("its run was given up before its process had started")

    def started(self, process: Future[child.Answer]) -> None:
        """Take the process, from the thread that started it."""
        self._process = process
        if self._given_up:
            process.cancel()

    def give_up(self) -> None:
        """End the process, as soon as it has started if it has not yet."""
        self._given_up = True
        if self._process is not None:
            self._process.cancel()

    def abort(self) -> None:
        """Pass on that the run is to stop, and why."""
        self._send("abort", str(self.run.controller.signal.reason))

    def close(self) -> None:
        """Let the channel go."""
        if self._channel is not None and self._lifeline is not None:
            self._channel.close()
            self._lifeline.close()

    async def told(self) -> None:
        """Return once all that it told is here; what it has started may hold the channel open."""
        await set_within(self.ended, _LAST_WORDS)

    def _listen(self, channel: Connection) -> None:
        try:
            while self._take(channel.recv_bytes()):
                pass
        except (EOFError, OSError):  # it has ended, in the middle of a message where it was killed
            pass
        finally:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self.loop.call_soon_threadsafe(self.ended.set)

    def _take(self, message: bytes) -> bool:
        """Take a message; False for the last. Nonsense is logged, and ends neither run nor worker.

        It is pickled, and what a handler hands over runs as it is read: no boundary is kept here.
        """
        try:
            kind, value = pickle.loads(message)  # noqa: S301  # of a process of ours
            if kind in _ANSWERS:
                self._answer(partial(_ANSWERS[kind], value))
            elif kind == "leave":
                self._leave(*value)
            elif kind == "logs":
                forwarding.replay(value)
            elif kind == "notes":
                self._note(*value)
            elif kind == "end":
                return False
        except BaseException as error:  # noqa: BLE001  # see above
            self._logger.warning(
                "job %r (%s): its process sent what cannot be read: %s",
                self.run.job.name,
                self.run.job.id,
                shown(error, 200),
            )
        return True

    def _note(self, progress: Progress | None, lines: Sequence[LogLine]) -> None:
        """Hand on what it tells, made anew: what came through the channel may be anything."""
        notebook = self.run.notebook
        if notebook is not None:
            made = (
                None if progress is None else replace(progress, fraction=float(progress.fraction))
            )
            taken = [replace(line) for line in lines]
            self.loop.call_soon_threadsafe(notebook.take, made, taken)

    def _leave(self, until: datetime, topics: Sequence[str]) -> None:
        """Take that the handler leaves."""
        if self.run.notebook is not None:
            self.run.notebook.leave(truncate(until), tuple(map(str, topics)))

    def _answer(self, ask: Callable[[Notebook], Coroutine[Any, Any, Any]]) -> None:
        """Write a state or a step, or look something up; tell the process so, or why not."""
        refused: str | None = None
        found: Any = None
        try:
            notebook = self.run.notebook
            assert notebook is not None  # noqa: S101  # only a handler with a context asks
            found = asyncio.run_coroutine_threadsafe(ask(notebook), self.loop).result()
        except BaseException as error:  # noqa: BLE001  # it waits for an answer, whatever it is
            refused = told(error, 500)
        self._send("answer", (refused, found))

    def _send(self, kind: str, value: Any) -> None:
        if self._channel is not None:
            with contextlib.suppress(OSError):  # the process is gone
                self._channel.send((kind, value))


async def _of_group(
    notebook: Notebook, verb: str, arguments: tuple[Any, ...], named: Mapping[str, Any]
) -> tuple[Any, Portable | None]:
    """Return what comes of what a process asks of its group or its flow, or the error."""
    try:
        if verb == "extend":
            return await notebook.flow_work().extend(*arguments), None
        return await getattr(notebook.group_work(), _OF_GROUPS[verb])(*arguments, **named), None
    except Exception as error:  # noqa: BLE001  # the handler is to see it
        return None, pack(error)


_ANSWERS: Mapping[str, Callable[[Any, Notebook], Coroutine[Any, Any, Any]]] = {
    "save": lambda state, notebook: notebook.save(state),
    "keep": lambda step, notebook: notebook.keep(replace(step)),
    "results": lambda parents, notebook: notebook.results(parents),
    "message": lambda topic, notebook: notebook.message(str(topic)),
    "group": lambda asked, notebook: _of_group(notebook, *asked),
}
"""What a process asks for, and waits for what comes of it."""


def _how(exitcode: int | None) -> str:
    """Return how a process died, for people."""
    if exitcode is None:
        return "its process died"
    if exitcode < 0:
        name = signal.Signals(-exitcode).name
        hint = ", as the kernel does when memory runs out" if name == "SIGKILL" else ""
        return f"its process was ended by {name}{hint}"
    return f"its process left with exit code {exitcode}"
