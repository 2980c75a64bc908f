"""What the dashboard asks of a processor and its users do not: no part of the public API."""

from __future__ import annotations

from job_processor.facade.base import Base
from job_processor.ops.audit import Audit
from job_processor.ops.keys import shared_key


async def key_of(processor: Base, name: str) -> bytes:
    """Return 32 random bytes that all processes of this database share under a name.

    Whoever asks first makes them.
    """
    processor._ready()  # noqa: SLF001  # of the same facade
    return await shared_key(processor._store, name)  # noqa: SLF001  # the same


def audit_of(processor: Base) -> Audit:
    """Return the notes of who does what from outside."""
    processor._ready()  # noqa: SLF001  # of the same facade
    return Audit(processor._store, processor._clock, processor.logger)  # noqa: SLF001  # the same
