"""Handlers for processes of their own: another process finds them here by their names."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from pathlib import Path
from typing import Any

import structlog

from job_processor import (
    AbortSignal,
    Context,
    GroupClosedError,
    Job,
    PayloadError,
    RateLimited,
    RetryLater,
    SimpleJob,
)
from job_processor.integrations.logs import add_job


def variable(name: str) -> str | None:
    """Return a variable of the environment."""
    return os.environ.get(name)


class OddError(Exception):
    """An error that cannot be read back from its pickle."""

    def __init__(self, code: int, *, detail: str) -> None:
        super().__init__(f"odd {code}: {detail}")


@dataclass
class Data:
    """A payload."""

    width: int


def take_data(payload: Data) -> str:
    """Return what came."""
    return repr(payload)


def take_fields(data: Data, on: date, times: int = 1, *, run: Context) -> str:
    """Return what came."""
    return f"{data!r} {on!r} {times} {run.attempt}"


tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


@asynccontextmanager
async def tenant_of_job(job: Job) -> AsyncIterator[None]:
    """Let the handler know whose job it is; note in a file how it ended."""
    assert isinstance(job, SimpleJob)
    assert job.payload is not None
    tenant.set(job.payload["of"])
    with noted(Path(job.payload["file"]), "in the loop"):
        yield


@contextmanager
def connection_of_job(job: Job) -> Iterator[None]:
    """Do the same, where the handler runs."""
    assert isinstance(job, SimpleJob)
    assert job.payload is not None
    with noted(Path(job.payload["file"]), threading.current_thread().name):
        yield


def take_errors(job: Job) -> AbstractContextManager[None]:
    """Let no ValueError pass."""
    return suppress(ValueError)


@contextmanager
def noted(file: Path, what: str) -> Iterator[None]:
    """Write down that it was entered, and how it was left."""
    with file.open("a") as lines:
        lines.write(f"enter {what}\n")
    try:
        yield
    except BaseException as error:
        with file.open("a") as lines:
            lines.write(f"{type(error).__name__} {what}\n")
        raise
    with file.open("a") as lines:
        lines.write(f"leave {what}\n")


def say_whose(of: str, file: str, fail: bool = False) -> str:
    """Return whose job it is and where it runs, or fail."""
    if fail:
        raise ValueError("failed")
    return f"{tenant.get()} {threading.current_thread().name}"


async def say_whose_async(of: str, file: str, fail: bool = False) -> str:
    """Do the same in the event loop."""
    return say_whose(of, file, fail)


def add(payload: dict[str, int]) -> dict[str, int]:
    """Return a sum, and where it was made."""
    return {"sum": payload["a"] + payload["b"], "pid": os.getpid()}


async def add_later(payload: dict[str, int], job: Any) -> dict[str, Any]:
    """Do the same in an event loop."""
    await asyncio.sleep(0)
    return {**add(payload), "id": job.id}


def unstorable() -> object:
    """Return what no store keeps."""
    return object()


def fail() -> None:
    """Raise an ordinary error."""
    raise ValueError("not this way")


def fail_oddly() -> None:
    """Raise an error that cannot be read back."""
    raise OddError(7, detail="of the process")


def leave() -> None:
    """Raise SystemExit."""
    sys.exit(3)


def later() -> None:
    """Ask for another try."""
    raise RetryLater("not yet", delay=0)


def exit_hard(payload: Any) -> None:
    """Leave without a word."""
    os._exit(payload["code"])


def segfault() -> None:
    """Read where nothing is."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.string_at(0)


def kill_itself() -> None:
    """Die as the kernel kills what takes all memory."""
    os.kill(os.getpid(), 9)


def spin(payload: dict[str, str]) -> None:
    """Compute for ever; say who does, first."""
    Path(payload["file"]).write_text(str(os.getpid()))
    while True:
        pass


def spin_with_child(payload: dict[str, str]) -> None:
    """Do the same beside a process of its own."""
    with subprocess.Popen(["sleep", "60"]) as other:
        Path(payload["file"]).write_text(f"{os.getpid()} {other.pid}")
        while True:
            pass


def hold_on(payload: dict[str, str]) -> None:
    """Be deaf to SIGTERM: a call into C that does not come back."""
    Path(payload["file"]).write_text(str(os.getpid()))
    ctypes.PyDLL(None).sleep(60)  # holds the interpreter's lock, too


def polite(signal: AbortSignal, context: Context) -> str:
    """Stop when asked to."""
    context.progress(0.1)
    while not signal.aborted:
        time.sleep(0.01)
    return f"stopped: {signal.reason}"


async def polite_async(signal: AbortSignal, context: Context) -> str:
    """Stop when asked to, in an event loop."""
    context.progress(0.1)
    await signal.wait()
    return f"stopped: {signal.reason}"


def tell(context: Context) -> list[Any]:
    """Tell, and save, and return what was saved before."""
    before = context.state
    context.log(f"attempt {context.attempt}")
    context.progress(0.5, "half")
    context.save_sync({"n": 1, "blob": b"x" * 100_000})
    context.log("saved")
    if context.attempt == 1:
        raise ValueError("again")
    return [before["n"], context.state["n"]]


async def tell_async(context: Context) -> None:
    """Tell, and save, in an event loop."""
    for n in range(1000):
        context.log(n)
    await context.save([1, 2, 3])
    context.progress(1)


def take_memory() -> int:
    """Take 200 MB; return the process's id."""
    block = bytearray(200_000_000)
    block[::4096] = b"x" * len(block[::4096])
    return os.getpid()


class Opaque:
    """What no other process knows."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __repr__(self) -> str:
        return "opaque"


class Silent:
    """What cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("not mine")


def odd_values() -> dict[str, Any]:
    """Return what no other process can read as it is."""

    class Level(IntEnum):
        LOW = 1

    class Text(str):
        __slots__ = ()

        def __str__(self) -> str:  # as that of Django's safe strings
            return self

    endless: list[Any] = []
    endless.append(endless)
    return {"level": Level.LOW, "text": Text("a"), "endless": endless, "silent": Silent()}


def write_log() -> int:
    """Log as any code does."""
    logger = logging.getLogger("a.library")
    logger.debug("not for this worker")
    logger.info("read %d of %s", 2, Opaque(), extra={"shop": Opaque(), "size": [1, {"a": 2}]})
    logger.info("odd", extra=odd_values())
    try:
        int("as told")
    except ValueError:
        logger.exception("it failed")
    logging.getLogger("quiet").info("below its own level")
    logging.getLogger("quiet").warning("of its own level")
    return os.getpid()


def write_events() -> None:
    """Log by structlog, of which each event is made here and shown by the worker."""
    log: Any = structlog.wrap_logger(
        logging.getLogger("structured"),
        processors=[add_job, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    log.info("read", size=2)
    try:
        int("as told")
    except ValueError:
        log.exception("failed", of=Opaque())


def flood(payload: dict[str, int]) -> float:
    """Log more than anybody reads; return the seconds that it took."""
    began = time.monotonic()
    for number in range(payload["lines"]):
        logging.getLogger("flood").warning("line %d %s", number, "x" * 100)
    return time.monotonic() - began


def log_and_die() -> None:
    """Write a line, and have the process killed as soon as it can have gone."""
    logging.getLogger("a.library").warning("last words")
    time.sleep(0.2)
    kill_itself()


def flood_and_die() -> None:
    """Write many lines, and be killed in the middle of sending them."""
    threading.Timer(0.05, kill_itself).start()
    while True:
        logging.getLogger("flood").warning("x" * 5_000)


def order_in_steps(file: str, context: Context) -> Any:
    """Note in a file what is done, in two attempts and after a sleep."""

    def note(line: str) -> str:
        with Path(file).open("a") as lines:
            lines.write(f"{line} {context.step_key.partition(':')[2]}\n")
        return line

    charged = context.step_sync("charge", note, "charged")
    if context.attempt == 1:
        raise ValueError("no stock")
    context.sleep_sync("cool off", hours=1)
    return [charged, *(context.step_sync("ship", note, "shipped") for _ in range(2))]


async def order_in_steps_async(file: str, context: Context) -> Any:
    """Do the same, some of it at once."""

    async def note(line: str) -> str:
        with Path(file).open("a") as lines:
            lines.write(f"{line} {context.step_key.partition(':')[2]}\n")
        return line

    charged = await context.step("charge", note, "charged")
    if context.attempt == 1:
        raise ValueError("no stock")
    await context.sleep("cool off", hours=1)
    shipped = (context.step("ship", note, "shipped") for _ in range(2))
    return [charged, *await asyncio.gather(*shipped)]


def swallow_a_sleep(context: Context) -> str:
    """Return although it was to leave."""
    with suppress(BaseException):
        context.sleep_sync(hours=1)
    return "too early"


def misuse_steps(context: Context) -> list[str]:
    """Return what is said of what cannot be kept."""
    told = []
    for result in (object(), "x" * 600_000, "y" * 600_000):
        try:
            context.step_sync("much", lambda result=result: result)
        except PayloadError as error:
            told.append(str(error))
    return told


def limited() -> None:
    """Meet somebody else's limit."""
    raise ExceptionGroup("two calls", [RateLimited(after=3600), RateLimited(after=60)])


def asks_its_parents(context: Context) -> Any:
    """Ask for all there is of what it came after."""
    good, bad = context.parents
    return _told_of(good, bad, context.results_sync(), context.result_sync(good.id))


async def asks_its_parents_async(context: Context) -> Any:
    """Do the same in an event loop."""
    good, bad = context.parents
    return _told_of(good, bad, await context.results(), await context.result(good.id))


def _told_of(good: Any, bad: Any, results: Any, result: Any) -> Any:
    return {
        "names": [good.name, bad.name],
        "states": [good.status, bad.status],
        "errors": [good.error, bad.error.splitlines()[0]],
        "results": {str(job_id): each for job_id, each in results.items()},
        "result": result,
    }


def branch(context: Context, depth: int) -> int:
    """Add two members, which do the same."""
    if depth:
        context.group.add_sync("branch", {"depth": depth - 1})
        context.group.add_many_sync([("branch", {"depth": depth - 1})])
    return depth


async def summed(context: Context) -> int:
    """Return the sum of all results."""
    try:
        await context.group.add("branch", {"depth": 0})
    except GroupClosedError:
        return sum([each async for each in context.group.results()])
    return -1


def split(context: Context) -> None:
    """Add to the flow: two, and one that comes after them and after this one."""
    parts = context.flow.add_many_sync("part", [{"n": n} for n in range(2)])
    context.flow.add_sync("last", after=[*parts, context.job])
