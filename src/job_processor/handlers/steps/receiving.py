"""Waits for messages: what was sent under a name, or nothing once the time is over."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

from job_processor.clock import truncate
from job_processor.handlers.steps.calls import check_loop, check_no_loop, to_its_end
from job_processor.handlers.steps.ledger import Ledger
from job_processor.models import Message, Step
from job_processor.settings import MESSAGE_LOOK, Duration, check_name, duration
from job_processor.values import copied


class Receiving:
    """The messages of one run."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._recorder = ledger.recorder

    def receive(self, topic: str, timeout: Duration | None) -> Coroutine[Any, Any, Any]:
        """Do what `Context.receive` does; its place among the steps is that of this call."""
        seconds = _checked(topic, timeout)
        check_loop("topic", topic, "receive")
        return self._receive(self._ledger.numbered(topic), topic, seconds)

    def receive_sync(self, topic: str, timeout: Duration | None) -> Any:
        """Do what `Context.receive_sync` does."""
        seconds = _checked(topic, timeout)
        check_no_loop("topic", topic, "receive")
        return self._receive_sync(self._ledger.numbered(topic), topic, seconds)

    async def _receive(self, name: str, topic: str, seconds: float | None) -> Any:
        """Return what came, or None once it is too late; else leave the handler."""
        ledger, known = self._ledger, self._ledger.found(name, topic=topic)
        if known is not None and known.ended_at is not None:
            return copied(known.result)
        with ledger.busy():
            wait = known or self._begun(name, topic, seconds)
            message = await self._recorder.message(topic)
            if message is not None or ledger.left(wait) <= 0:
                return await self._kept(wait, message)
            if known is None and (stopped := await to_its_end(self._recorder.keep(wait))):
                raise stopped
            if not ledger.is_waited_for:
                ledger.suspend(wait)
        if not ledger.is_waited_for:
            await ledger.leave()
        while message is None and (left := ledger.left(wait)) > 0:
            await ledger.pause(min(left, MESSAGE_LOOK))
            ledger.signal.raise_if_aborted()
            message = await self._recorder.message(topic)
        return await self._kept(wait, message)

    async def _kept(self, wait: Step, message: Message | None) -> Any:
        """Keep what a wait has brought; return it."""
        step = self._ended(wait, message)
        stopped = await to_its_end(self._recorder.keep(step))
        if stopped is not None:
            raise stopped
        return copied(step.result)

    def _receive_sync(self, name: str, topic: str, seconds: float | None) -> Any:
        ledger, known = self._ledger, self._ledger.found(name, topic=topic)
        if known is not None and known.ended_at is not None:
            return copied(known.result)
        wait = known or self._begun(name, topic, seconds)
        message = self._recorder.message_sync(topic)
        if message is None and ledger.left(wait) > 0:
            if known is None:
                self._recorder.keep_sync(wait)
            if not ledger.is_waited_for:
                ledger.suspend(wait)
                ledger.leave_sync()
        while message is None and (left := ledger.left(wait)) > 0:
            ledger.pause_sync(min(left, MESSAGE_LOOK))
            ledger.signal.raise_if_aborted()
            message = self._recorder.message_sync(topic)
        step = self._ended(wait, message)
        self._recorder.keep_sync(step)
        return copied(step.result)

    def _begun(self, name: str, topic: str, seconds: float | None) -> Step:
        """Return a wait that begins now."""
        now = self._ledger.begin()
        step = Step(name, now, None, until=_later(now, seconds), topic=topic)
        self._ledger.count_bytes(step, f"the wait for {topic!r}")
        return step

    def _ended(self, wait: Step, message: Message | None) -> Step:
        """Return what a wait has brought; raises PayloadError where it cannot be kept."""
        payload = None if message is None else message.payload
        now = self._recorder.now()
        step = Step(wait.name, wait.started_at, now, payload, wait.until, wait.topic)
        self._ledger.count_bytes(step, f"the message {wait.topic!r}")
        return step


def _checked(topic: str, timeout: Duration | None) -> float | None:
    """Return the seconds to wait, None: for ever; raise InvalidArgumentError."""
    check_name("topic", topic)
    return None if timeout is None else duration("timeout", timeout, zero=True)


def _later(now: datetime, seconds: float | None) -> datetime | None:
    """Return until when to wait; None: for ever, or beyond all that a time can tell."""
    if seconds is None:
        return None
    try:
        return truncate(now + timedelta(seconds=seconds))
    except OverflowError:
        return None
