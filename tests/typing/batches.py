"""What type checkers say about handles of batches; see `handles.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from job_processor import Context, JobProcessor, SimpleJob

processor = JobProcessor("sqlite://")


@dataclass
class Mail:
    """A payload."""

    to: str


@processor.job(batch=100, batch_wait=0.5)
async def send(payloads: list[Mail]) -> list[int]:
    """Take payloads."""
    return [len(payload.to) for payload in payloads]


@processor.job(batch=100)
def with_contexts(payloads: list[Mail], contexts: list[Context]) -> None:
    """Take contexts, too."""


@processor.job(batch=100)
async def any_mapping(payloads: list[dict[str, Any]], jobs: list[SimpleJob]) -> None:
    """Take what comes."""


async def schedule() -> None:
    """Each is scheduled with one payload."""
    await send.schedule(Mail("ada"))
    await send.options(labels=["x"]).schedule(Mail("ada"), priority=3)
    await with_contexts.schedule(Mail("ada"))
    await any_mapping.schedule({"to": "ada"})
    await send.schedule("ada")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await with_contexts.schedule([Mail("ada")])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
