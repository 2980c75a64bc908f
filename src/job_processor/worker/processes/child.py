"""The inside of a process that runs one handler; the pool library calls it.

It talks to its worker through a channel, a pipe: `abort` and `answer` come in, `notes`, `save`,
`keep`, `results`, `message`, `leave` and `logs` go out, and at last `end`. The end of it means that
the worker is gone, and then nothing here lives on.
It talks to its worker through a channel, a pipe: `abort` and `saved` come in, `notes`, `save`,
`keep`, `group`, `leave` and `logs` go out, and at last `end`. The end of the channel means that the
worker is gone, and then nothing here lives on.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from bson import ObjectId

from job_processor.clock import Clock
from job_processor.errors import AbortedError
from job_processor.handlers.abort import AbortController, AbortReason, AbortSignal
from job_processor.handlers.around import Managers
from job_processor.handlers.binding import BoundHandler, bound_again
from job_processor.handlers.context import Context, Recorder
from job_processor.handlers.current import of_job
from job_processor.handlers.flows import FlowWork
from job_processor.handlers.groups import GroupInfo, GroupWork
from job_processor.handlers.parents import ParentResult
from job_processor.handlers.resources import MISSING
from job_processor.jobs.groups import member_request
from job_processor.models import (
    Job,
    JobStatus,
    LogLine,
    Message,
    Progress,
    RelatedJob,
    SimpleJob,
    Step,
)
from job_processor.settings import LOG_LINES, Duration
from job_processor.tasks import in_thread
from job_processor.values import kept, normalize
from job_processor.worker.describing import describe_error
from job_processor.worker.outcomes import check_ran
from job_processor.worker.processes.forwarding import Forwarder, Levels
from job_processor.worker.processes.opening import Opening
from job_processor.worker.processes.portable import Portable, pack, unpack

T = TypeVar("T")
_SEND_INTERVAL = 0.25  # seconds between two messages about progress and log


@dataclass(frozen=True, slots=True)
class Task:
    """What a process is to run."""

    module: str
    qualname: str
    bound: tuple[Any, ...]
    """Everything of the handler's `BoundHandler` but the function."""
    arounds: tuple[tuple[str, str, bool], ...]
    """The places of what stands around it; True where it takes the resources, too."""
    opening: Opening | None
    """What opens the resources, where something here may ask for them."""
    job: Job
    state: Any
    parents: tuple[RelatedJob, ...]
    preloads: tuple[str, ...]
    """Modules to import before that of the handler."""
    levels: Levels
    environment: dict[str, str]
    """The worker's, as it is now: the server that forks has that of its own start."""
    current: Job | None
    """What `current_job()` is here, as it is in the worker."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a handler ended, in values that any process can read."""

    result: Any = None
    unstorable: str | None = None
    """Why the result had to be described instead."""
    error: Portable | None = None
    """What it raised."""
    told: str = ""
    """The same as text, with the traceback."""


def run(task: Task, channel: Connection, lifeline: Connection) -> Answer:
    """Run a handler; return how it ended, whatever it raised."""
    os.environ.clear()
    os.environ.update(task.environment)
    group = _Group(lifeline)
    controller = AbortController()
    recorder = _ChannelRecorder(channel)
    forwarder = Forwarder(lambda lines: recorder.send("logs", lines), task.levels)
    threading.Thread(target=_listen, args=(channel, controller, recorder), daemon=True).start()
    try:
        return _answer(*_call(task, controller.signal, recorder, forwarder))
    except BaseException as error:  # noqa: BLE001  # SystemExit and the like end the run, too
        return Answer(error=pack(error), told=describe_error(error))
    finally:
        forwarder.flush()
        recorder.close()
        group.end()


def find(module: str, qualname: str) -> Callable[..., Any]:
    """Return a handler by its place; what a decorator put there knows the function."""
    found: Any = importlib.import_module(module)
    for name in qualname.split("."):
        found = getattr(found, name)
    handler: Callable[..., Any] = getattr(found, "handler", found)
    return handler


def _call(
    task: Task, signal: AbortSignal, recorder: Recorder, forwarder: Forwarder
) -> tuple[Callable[..., Any], Any]:
    """Return the handler, and what it returned."""
    forwarder.take_over()
    for module in task.preloads:
        importlib.import_module(module)
    function = find(task.module, task.qualname)
    forwarder.take_over()  # from what these modules have set up, as they did in the worker
    bound = bound_again(function, task.bound)
    arounds = [find(*place) for *place, _ in task.arounds]
    asking = [around for around, (*_, asks) in zip(arounds, task.arounds, strict=True) if asks]

    def made(resources: Any = MISSING) -> tuple[Managers, Callable[[], Any]]:
        """Return what stands around the handler, and its call."""
        context = Context(task.job, signal, task.state, recorder, resources, task.parents)
        arguments, keywords = bound.arguments(task.job, signal, context, resources)
        managers = Managers.of(arounds, task.job, resources, asking)
        return managers, partial(function, *arguments, **keywords)

    async def with_resources(opening: Opening) -> Any:
        async with opening.entered(find) as resources:
            managers, call = made(resources)
            return await managers.hold(partial(_held, managers, call, bound))

    with of_job(task.current):
        if task.opening is not None:
            return function, asyncio.run(with_resources(task.opening))
        managers, call = made()
        if managers.in_loop:
            return function, asyncio.run(managers.hold(partial(_held, managers, call, bound)))
        return function, managers.run(partial(_called, call))


def _called(call: Callable[[], Any]) -> Any:
    answer = call()
    return asyncio.run(_awaited(answer)) if inspect.isawaitable(answer) else answer


async def _held(managers: Managers, call: Callable[[], Any], bound: BoundHandler) -> Any:
    """Return what a handler returns, beside managers that need the event loop."""
    if bound.is_async:
        return await managers.run_async(call)
    return await asyncio.to_thread(managers.run, call)


async def _awaited(answer: Any) -> Any:
    return await answer


def _answer(function: Callable[..., Any], result: Any) -> Answer:
    plain, reason = kept(result, "result")
    if reason is not None:
        check_ran(function, result)
    return Answer(plain, reason)


class _Group:
    """Our own process group, which ends with our worker whatever we are busy with.

    A shell waits at the lifeline, a pipe that the worker alone holds open, and then kills the
    group: this process, even in a call that holds the interpreter's lock, and what it has started.
    """

    def __init__(self, lifeline: Connection) -> None:
        self._shell: int | None = None
        if sys.platform == "win32":
            return
        _keep_from_others()
        with contextlib.suppress(OSError):  # without a shell a thread watches, see `_listen`
            os.setsid()  # also: Ctrl-C is for the worker alone
            self._shell = os.posix_spawn(
                "/bin/sh",
                ["sh", "-c", f"read _; kill -9 -{os.getpid()}"],
                os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, lifeline.fileno(), 0)],
            )

    def end(self) -> None:
        """End the shell, and what the handler has left running."""
        if self._shell is None or sys.platform == "win32":
            return
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(os.getpid(), signal.SIGTERM)
        os.waitpid(self._shell, 0)
        signal.signal(signal.SIGTERM, before)


def _keep_from_others() -> None:
    """Let no program that is started here hold a pipe of ours, whose end would never be seen."""
    for path in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself is closed by now
            if (fd := int(path.name)) > 2:
                os.set_inheritable(fd, False)


def _listen(channel: Connection, controller: AbortController, recorder: _ChannelRecorder) -> None:
    while True:
        try:
            kind, value = channel.recv()
        except (EOFError, OSError):
            break
        if kind == "abort":
            controller.abort(AbortReason(value))
        else:
            recorder.answers.put(value)
    if not recorder.closed:
        os._exit(1)


class _ChannelRecorder(Recorder):
    """Sends what a handler tells to its worker, now and then."""

    def __init__(self, channel: Connection) -> None:
        self.answers: SimpleQueue[tuple[str | None, Any]] = SimpleQueue()
        """To each state, step and question that was sent: None, or why it was refused; and what
        was asked for."""
        self.closed = False
        self._channel = channel
        self._clock = Clock()
        self._sending = threading.Lock()
        self._asking = threading.Lock()
        self._progress: Progress | None = None
        self._lines: deque[LogLine] = deque(maxlen=LOG_LINES)
        self._told = threading.Event()
        self._thread: threading.Thread | None = None

    def progress(self, fraction: float, message: str | None) -> None:
        """Take how far the run has come."""
        self._progress = Progress(fraction, message, self._clock.now())
        self._tell()

    def log(self, text: str) -> None:
        """Take a line."""
        self._lines.append(LogLine(self._clock.now(), text))
        self._tell()

    async def save(self, state: Any) -> None:
        """Let the worker write a state; return once it has."""
        await in_thread(lambda: self.save_sync(state), "job-processor-save")

    def save_sync(self, state: Any) -> None:
        """The same, for a plain handler."""
        self.ask("save", normalize(state, "state"))

    async def keep(self, step: Step) -> None:
        """Let the worker write a step; return once it has."""
        await in_thread(lambda: self.keep_sync(step), "job-processor-save")

    def keep_sync(self, step: Step) -> None:
        """The same, for a plain handler."""
        self.ask("keep", step)

    def group_work(self) -> GroupWork:
        """Return what lets the worker do what a group asks for."""
        return _ChannelGroups(self)

    def flow_work(self) -> FlowWork:
        """Return what lets the worker do what a flow asks for."""
        return _ChannelFlow(self)

    def check_steps(self) -> None:
        """Leave it to the worker, which knows the database."""

    async def results(self, job_ids: Sequence[ObjectId]) -> list[ParentResult]:
        """Ask the worker for what jobs left."""
        return await in_thread(lambda: self.results_sync(job_ids), "job-processor-save")

    def results_sync(self, job_ids: Sequence[ObjectId]) -> list[ParentResult]:
        """The same, for a plain handler."""
        found: list[ParentResult] = self.ask("results", tuple(job_ids))
        return found

    async def message(self, topic: str) -> Message | None:
        """Ask the worker for a message."""
        return await in_thread(lambda: self.message_sync(topic), "job-processor-save")

    def message_sync(self, topic: str) -> Message | None:
        """The same, for a plain handler."""
        found: Message | None = self.ask("message", topic)
        return found

    def now(self) -> datetime:
        """Return the present."""
        return self._clock.now()

    def leave(self, until: datetime, topics: tuple[str, ...]) -> None:
        """Tell the worker that the handler leaves."""
        self.send("leave", (until, topics))

    def ask(self, kind: str, value: Any) -> Any:
        """Let the worker write or read something; return what it says. Threads take turns."""
        with self._asking:
            self.send(kind, value)
            refused, found = self.answers.get()
        if refused is not None:
            raise AbortedError(refused)
        return found

    def close(self) -> None:
        """Send what is left; from now on the end of the channel means nothing."""
        self.closed = True
        self._send_notes()
        self.send("end", None)  # what the handler has started may hold the channel open

    def _tell(self) -> None:
        self._told.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_regularly, daemon=True)
            self._thread.start()

    def _send_regularly(self) -> None:
        while self._told.wait():
            self._send_notes()
            time.sleep(_SEND_INTERVAL)

    def _send_notes(self) -> None:
        self._told.clear()
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        if lines or self._progress is not None:
            self.send("notes", (self._progress, lines))

    def send(self, kind: str, value: Any) -> None:
        """Send a message; waits while the worker does not read."""
        with self._sending, contextlib.suppress(OSError):  # the worker is gone: so are we, soon
            self._channel.send((kind, value))


class _Channelled:
    """Lets the worker do what is asked for: it answers with a result, or with an error."""

    def __init__(self, recorder: _ChannelRecorder) -> None:
        self._recorder = recorder

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """Return what a call comes to: it waits in a thread, and needs no loop of ours."""
        return asyncio.run(call)

    async def _ask(self, verb: str, *arguments: Any, **named: Any) -> Any:
        asked = verb, arguments, named
        answer, error = await in_thread(
            lambda: self._recorder.ask("group", asked), "job-processor-group"
        )
        if error is not None:
            raise unpack(error)
        return answer


class _ChannelFlow(_Channelled, FlowWork):
    """What a flow asks of its worker."""

    async def extend(self, jobs: Sequence[Any]) -> list[SimpleJob]:
        """Store more jobs of the flow."""
        requests: list[Any] = [
            (member_request(job, payload, options, "context.flow.add"), None, {})
            for job, payload, options in jobs
        ]
        return await self._ask("extend", requests)  # type: ignore[no-any-return]


class _ChannelGroups(_Channelled, GroupWork):
    """What a group asks of its worker."""

    def check_open(self, group_id: ObjectId) -> None:
        """Leave it to the worker."""

    async def add(self, group_id: ObjectId, jobs: Any, *, many: bool) -> list[SimpleJob]:
        """Store members."""
        if not many:
            given: Any = (member_request(*jobs), None, {})
        elif isinstance(jobs, AsyncIterable):
            given = [job async for job in jobs]
        else:
            given = list(jobs) if isinstance(jobs, Iterator) else jobs
        return await self._ask("add", group_id, given, many=many)  # type: ignore[no-any-return]

    async def info(self, group_id: ObjectId) -> GroupInfo:
        """Return how it stands."""
        return await self._ask("info", group_id)  # type: ignore[no-any-return]

    async def page(
        self, group_id: ObjectId, after: ObjectId | None, status: JobStatus | None
    ) -> list[SimpleJob]:
        """Return the members that follow one."""
        return await self._ask("page", group_id, after, status)  # type: ignore[no-any-return]

    async def wait(self, group_id: ObjectId, timeout: Duration | None) -> None:
        """Return once it has ended."""
        await self._ask("wait", group_id, timeout)

    async def kill(self, group_id: ObjectId) -> int:
        """Kill the members."""
        return await self._ask("kill", group_id)  # type: ignore[no-any-return]

    async def retry(self, group_id: ObjectId) -> int:
        """Send what failed round again."""
        return await self._ask("retry", group_id)  # type: ignore[no-any-return]
