"""A lifespan, and handlers that take its resources in processes.

What happens is told in a file beside the database, whose address the lifespan knows.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from job_processor import Context, JobProcessor, SimpleJob


class OddError(Exception):
    """What the application's own code raises."""


@dataclass
class Opened:
    """What a process opens."""

    folder: Path
    pid: int

    def tell(self, text: str) -> None:
        """Add a line."""
        with (self.folder / "told").open("a") as file:
            file.write(f"{text} {os.getpid()}\n")

    def goes_wrong(self, what: str) -> bool:
        """Tell whether this is to go wrong in this process: it does so once."""
        file = self.folder / f"wrong {what}"
        if not file.exists() or file.read_text() == str(os.getpid()):
            return False
        file.unlink()
        return True


@asynccontextmanager
async def lifespan(processor: JobProcessor) -> AsyncIterator[Opened]:
    """Open what a process opens."""
    opened = Opened(Path(processor.address).parent, os.getpid())
    opened.tell("enter")
    if opened.goes_wrong("enter"):
        raise OddError("no pool")
    try:
        yield opened
    except BaseException as error:
        opened.tell(type(error).__name__)
        raise
    opened.tell("leave")
    if opened.goes_wrong("hang"):
        await asyncio.Event().wait()
    if opened.goes_wrong("leave"):
        raise OddError("not closed")


@asynccontextmanager
async def scheduling(processor: JobProcessor) -> AsyncIterator[JobProcessor]:
    """Schedule jobs by the processor that it gets."""
    async with processor:  # in a worker it is set up, and stays so
        await processor.schedule_job("later")
        yield processor
        await processor.schedule_job("later")


@contextmanager
def plain_lifespan(processor: JobProcessor) -> Iterator[Opened]:
    """Open it in a plain function."""
    opened = Opened(Path(processor.address).parent, os.getpid())
    opened.tell("enter")
    yield opened
    opened.tell("leave")


def shadowed(processor: Any) -> Any:
    """Stand where another one is looked for."""


@asynccontextmanager
async def moved(processor: Any) -> AsyncIterator[None]:
    """Have another one's name."""
    yield


moved.__qualname__ = "shadowed"


@contextmanager
def around(job: SimpleJob, *, resources: Opened) -> Iterator[None]:
    """Stand around a handler."""
    resources.tell(f"around {resources.pid == os.getpid()}")
    yield


def take(resources: Opened) -> bool:
    """Return whether they were opened here."""
    resources.tell("run")
    return resources.pid == os.getpid()


async def take_later(resources: Opened, *, context: Context) -> bool:
    """Do the same in an event loop."""
    return take(resources) and context.resources is resources


def by_context(context: Context) -> bool:
    """Take them from the context."""
    return take(context.resources)


def progress(context: Context) -> str:
    """Do without them."""
    context.progress(0.5)
    return "done"


def fails(resources: Opened) -> None:
    """Fail with them."""
    raise OddError("the handler")


def exits(resources: Opened) -> None:
    """Take the process down."""
    os._exit(3)


def nothing() -> str:
    """Do without them."""
    return "done"


def about(resources: JobProcessor) -> list[Any]:
    """Return what the processor of a process knows."""
    settings = resources.settings
    return [settings.service, settings.concurrency, sorted(resources.registry.jobs)]


def give(resources: dict[str, Any]) -> Any:
    """Return a part of what was given."""
    return resources["a"]
