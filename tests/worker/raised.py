"""What handlers may raise and return, by name: the same in a coroutine, a thread and a process."""

from __future__ import annotations

import concurrent.futures
import os
import threading
from collections.abc import Callable, Iterator
from multiprocessing import util
from multiprocessing.connection import Connection
from typing import Any

from job_processor import Context, Retry, RetryLater, Snooze

ODD = os.fsdecode(b"caf\xe9.txt")
"""A file name as a Latin-1 disk gives it: UTF-8 cannot hold it."""


class ApiError(Exception):
    """As in most SDKs: made of other arguments than it keeps."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.lock = threading.Lock()  # and with what cannot be pickled


class BusyError(ApiError):
    """Derived from such a one."""


class RateLimited(RetryLater):
    """With an `__init__` of its own."""

    def __init__(self, seconds: float, *, by: str) -> None:
        super().__init__(f"limited by {by}", delay=seconds)
        self.lock = threading.Lock()


class TooEarly(Snooze):
    """The same."""

    def __init__(self, seconds: float, *, why: str) -> None:
        super().__init__(delay=seconds)
        self.why = threading.Lock()


class Unready(RetryLater):
    """One that hands nothing on."""

    def __init__(self) -> None:
        """Do nothing."""


class Bare(BaseException):
    """No Exception, and not to be pickled."""

    def __init__(self, *, code: int) -> None:
        super().__init__(code)
        self.lock = threading.Lock()


class Hostile(Exception):  # noqa: N818  # as an attacker would name it
    """One whose pickle is made to harm whoever reads it."""

    def __reduce__(self) -> Any:
        return _harm, (os.getpid(),)


def _harm(pid: int) -> Exception:
    if os.getpid() != pid:
        raise SystemExit("read elsewhere")
    return Hostile("read where it was made")


def made_here() -> type[Exception]:
    """Return a class that its module does not have under its name."""

    class MadeHere(Exception):  # noqa: N818  # as above
        """See above."""

    return MadeHere


Made = made_here()

RAISED: dict[str, Callable[[], BaseException]] = {
    "api": lambda: ApiError(503, "busy"),
    "busy": lambda: BusyError(503, "busy"),
    "made": lambda: Made("made"),
    "limited": lambda: RateLimited(90, by="the API"),
    "early": lambda: TooEarly(90, why="not yet"),
    "bare": lambda: Bare(code=3),
    "unready": Unready,
    "hostile": lambda: Hostile("it runs code"),
    "odd": lambda: ValueError(ODD),
    "exit": lambda: SystemExit(2),
    "generator": GeneratorExit,
    "cancelled": concurrent.futures.CancelledError,
    "stop": lambda: StopIteration(1),
    "group": lambda: ExceptionGroup("g", [ApiError(503, "busy"), ExceptionGroup("h", [OSError()])]),
    "early group": lambda: ExceptionGroup("g", [TooEarly(90, why="x"), TooEarly(80, why="x")]),
    "bare group": lambda: BaseExceptionGroup("g", [Bare(code=3), ApiError(503, "busy")]),
}

RETRIES: dict[str, Retry | None] = {
    "none": None,
    "any": Retry(delay=90),
    "on api": Retry(delay=90, retry_on=(ApiError,)),
    "but api": Retry(delay=90, give_up_on=(ApiError,)),
    "on made": Retry(delay=90, retry_on=(Made,)),
    "on group": Retry(delay=90, retry_on=(ApiError, OSError)),
}


def in_a_thread(payload: dict[str, str]) -> Any:
    """Raise what the payload names."""
    error = RAISED[payload["raises"]]()
    raise error


async def in_the_loop(payload: dict[str, str]) -> Any:
    """Do the same in a coroutine."""
    error = RAISED[payload["raises"]]()
    raise error


def says_odd_things(context: Context) -> Any:
    """Tell what UTF-8 cannot hold wherever something can be told."""
    context.log(f"reading {ODD}")
    context.progress(0.5, f"at {ODD}")
    if context.attempt == 1:
        raise RetryLater(f"{ODD} is being written", delay=0)
    return {"name": ODD}


class _Code:
    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> Any:
        return exec, (self.text,)


def talks_nonsense(context: Context) -> str:
    """Write into the channel what no worker expects, and then something sensible."""
    channel: Connection = context._recorder._channel  # type: ignore[attr-defined]  # as no handler should
    channel.send_bytes(b"no pickle")
    for message in (
        7,
        ("save", "without a context?", 3),
        ("logs", 5),
        ("notes", (1, 2)),
        ("notes", ("a", ["b"])),
        ("odd", None),
        _Code("raise SystemExit(5)"),
        _Code("raise OSError('as if the channel had ended')"),
    ):
        channel.send(message)
    context.save_sync({"row": 7})
    context.log("still here")
    return "done"


def leaves_somebody_behind() -> str:
    """Leave a process that holds the channel open and outlives everybody."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        os.closerange(0, 3)
        util._exit_function()  # type: ignore[attr-defined]  # nothing of its parent's
        threading.Event().wait(60)
        os._exit(0)
    return str(pid)


def rows() -> Iterator[int]:
    """Give rows."""
    yield 1


def gives_rows() -> Any:
    """Return a generator, as a decorated one would."""
    return rows()
