"""What a listener hears."""

from __future__ import annotations

from job_processor import Event, EventKind, Job, JobProcessor
from tests.processors import eventually


class Heard:
    """Remembers events, and waits for them."""

    def __init__(self, processor: JobProcessor) -> None:
        self.events: list[Event] = []
        self.forget = processor.listen(self.events.append)

    def of(self, kind: EventKind) -> list[Event]:
        """Return the events of a kind."""
        return [event for event in self.events if event.kind is kind]

    def of_job(self, job: Job) -> list[EventKind]:
        """Return what was told of a job."""
        return [event.kind for event in self.events if event.job and event.job.id == job.id]

    async def wait_for(self, kind: EventKind) -> Event:
        """Return the first event of a kind."""

        async def told() -> list[Event]:
            return self.of(kind)

        return (await eventually(told))[0]  # type: ignore[no-any-return]
