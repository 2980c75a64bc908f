"""Messages that jobs wait for: what may be sent, and that all go on who wait for it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from job_processor.clock import LAST_MOMENT, Clock, truncate
from job_processor.errors import InvalidArgumentError, PayloadError, StoreError
from job_processor.models import Message
from job_processor.parts import Parts
from job_processor.settings import MESSAGE_BYTES, MESSAGE_TTL, Duration, check_name, duration
from job_processor.store.refusals import refuse
from job_processor.values import normalize, size_of

_logger = logging.getLogger("job_processor")


@dataclass(frozen=True, slots=True)
class Sending:
    """What somebody wants to send."""

    topic: str
    payload: Any = True
    ttl: Duration = MESSAGE_TTL

    def message(self, clock: Clock) -> Message:
        """Return the message; raises InvalidArgumentError and PayloadError."""
        check_name("topic", self.topic)
        seconds = duration("ttl", self.ttl)
        if self.payload is None:
            allowed = (
                "allowed is any other value, because None is what a wait that times out returns; "
                "without a payload it is True"
            )
            raise InvalidArgumentError("payload", None, allowed)
        plain = normalize(self.payload, "payload")
        if (size := size_of(plain)) > MESSAGE_BYTES:
            allowed = (
                f"allowed are at most {MESSAGE_BYTES:,} bytes, and it has {size:,}: keep it "
                "elsewhere, and send where"
            )
            raise PayloadError("payload", self.payload, allowed)
        now = truncate(clock.now())
        return Message(self.topic, plain, ObjectId(), now, _later(now, seconds))


async def send(parts: Parts, sending: Sending, session: Any = None) -> bool:
    """Keep a message, and let go on what waits for it; False where one of its name is there."""
    node = parts.store.node_side()
    if node is not None and node.refuses_own_fields:
        refuse("topic", sending.topic, "message")
    message, messages = sending.message(parts.clock), parts.store.messages
    if session is not None:
        return await messages.put_in(session, message)
    if not await messages.put(message):
        return False
    try:
        await messages.deliver([message.topic], message.sent_at)
    except StoreError as error:
        _logger.warning("message %r: %s; the next sweep wakes who waits", message.topic, error)
    return True


def _later(now: datetime, seconds: float) -> datetime:
    try:
        return truncate(now + timedelta(seconds=seconds))
    except OverflowError:
        return LAST_MOMENT
