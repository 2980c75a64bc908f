"""Handlers that fail, of each kind: another process finds them here by their names."""

from __future__ import annotations

import asyncio
from typing import Any


def charge() -> None:
    """Fail two frames down, from a cause."""
    try:
        ask_the_bank()
    except TimeoutError as error:
        raise ConnectionError("the bank does not answer") from error  # its place


def ask_the_bank() -> None:
    """Fail."""
    raise TimeoutError("timed out")


async def charge_in_loop() -> None:
    """The same in the event loop."""
    charge()


async def in_groups() -> None:
    """Fail twice at once."""
    async with asyncio.TaskGroup() as group:
        group.create_task(charge_in_loop())
        group.create_task(charge_in_loop())


def leak(payload: dict[str, Any]) -> None:
    """Say what is to be said to nobody."""
    raise ValueError(f"refused {payload['password']} at https://u:pw-of-u@bank.example/")
