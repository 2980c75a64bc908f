"""Who leaves before the answer: what is read for nobody is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.requests import Request

from job_processor.tasks import cancel

T = TypeVar("T")


class LeftError(Exception):
    """Nobody waits for the answer any more."""


async def until_left(request: Request, answer: Awaitable[T]) -> T:
    """Return what is awaited, of a request whose body nobody reads.

    Cancels it and raises LeftError when the connection of who asks is closed meanwhile: servers
    tell that, and end nothing by themselves.
    """
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.create_task(_left(request), name="who asks has left")
    try:
        await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise LeftError
        return answering.result()
    finally:
        await cancel([answering, leaving])


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
