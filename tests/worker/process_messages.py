"""Handlers that wait for messages in processes of their own."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from job_processor import Context, InvalidArgumentError


def order(context: Context) -> Any:
    """Charge once, and wait for the payment for an hour."""
    charged = context.step_sync("charge", os.getpid)
    return [charged, os.getpid(), context.receive_sync("paid:42", timeout=3600)]


async def order_async(context: Context) -> Any:
    """Do the same."""
    charged = await context.step("charge", os.getpid)
    return [charged, os.getpid(), await context.receive("paid:42", timeout=3600)]


def two(context: Context) -> list[Any]:
    """Wait for two messages, one after the other, then see what is there without a wait."""
    got = [context.receive_sync("a:1", timeout=60), context.receive_sync("a:1", timeout=60)]
    return [*got, context.receive_sync("none", timeout=0)]


def swallow(context: Context) -> str:
    """Return although it was to leave."""
    with suppress(BaseException):
        context.receive_sync("paid:42", timeout=3600)
    return "too early"


def misuse(context: Context) -> list[str]:
    """Return what is said of what nobody can wait for."""
    told = []
    topic: Any
    for topic, timeout in (("", 1), (7, 1), ("paid", -1)):
        try:
            context.receive_sync(topic, timeout=timeout)
        except InvalidArgumentError as error:
            told.append(str(error))
    return told
