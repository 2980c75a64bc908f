"""Tools that change something, each with its entry in the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from pydantic import Field

from job_processor.as_json import job_json
from job_processor.errors import unknown
from job_processor.integrations.mcp.looking import JobId, Looking
from job_processor.ops.audit import Audit
from job_processor.ops.known import known_names, known_tags, learn_names
from job_processor.parts import ready_parts_of
from job_processor.processor import JobProcessor

Paused = Annotated[str | None, Field(description="Name of a job or cron; or give `tag`.")]
PausedTag = Annotated[str | None, Field(description="A tag (queue); or give `name`.")]


class Acting:
    """What assistants may do where that is allowed."""

    def __init__(self, processor: JobProcessor, looking: Looking, who: str) -> None:
        self._processor = processor
        self._tell = looking.tell
        self._who = who

    @property
    def tools(self) -> list[tuple[Callable[..., Awaitable[dict[str, Any]]], bool]]:
        """Each tool, and whether it takes something away."""
        return [
            (self.retry_job, False),
            (self.kill_job, True),
            (self.delete_job, True),
            (self.pause, False),
            (self.resume, False),
        ]

    async def retry_job(
        self,
        job_id: JobId,
        from_beginning: Annotated[
            bool, Field(description="Repeat all of its steps, even completed ones.")
        ] = False,
        descendants: Annotated[
            bool, Field(description="Also retry the jobs that were skipped because it failed.")
        ] = False,
    ) -> dict[str, Any]:
        """Run a job that has ended again, with a fresh count of attempts."""
        async with self._audit.doing(self._who, "retry", job_id):
            job = await self._processor.retry_job(
                job_id, from_beginning=from_beginning, descendants=descendants
            )
        return self._tell(job=job_json(job))

    async def kill_job(self, job_id: JobId) -> dict[str, Any]:
        """Cancel a job: a waiting one at once; a running one is asked to stop, then forced."""
        async with self._audit.doing(self._who, "kill", job_id):
            job = await self._processor.kill_job(job_id)
        return self._tell(job=job_json(job))

    async def delete_job(self, job_id: JobId) -> dict[str, Any]:
        """Delete a job that does not run, with its log and result, for good."""
        async with self._audit.doing(self._who, "delete", job_id):
            await self._processor.delete_job(job_id)
        return self._tell(deleted=job_id)

    async def pause(self, name: Paused = None, tag: PausedTag = None) -> dict[str, Any]:
        """Stop workers from starting jobs of a name or tag, until `resume`."""
        await self._check_known(name, tag)
        async with self._audit.doing(self._who, "pause", _named(name, tag)):
            await self._processor.pause(name, tag=tag)
        return self._tell(paused=_named(name, tag))

    async def resume(self, name: Paused = None, tag: PausedTag = None) -> dict[str, Any]:
        """End the pause of a name or tag."""
        async with self._audit.doing(self._who, "resume", _named(name, tag)):
            await self._processor.resume(name, tag=tag)
        return self._tell(resumed=_named(name, tag))

    async def _check_known(self, name: str | None, tag: str | None) -> None:
        """Raise UnknownJobError for what nobody has: it would be paused, and nothing would stop."""
        parts = ready_parts_of(self._processor)
        await learn_names(parts)
        if name is not None and name not in (names := await known_names(parts)):
            raise unknown("name", name, "the names that somebody has", names)
        if tag is not None and tag not in (tags := await known_tags(parts)):
            raise unknown("tag", tag, "the tags that somebody has", tags)

    @property
    def _audit(self) -> Audit:
        return Audit(ready_parts_of(self._processor))


def _named(name: str | None, tag: str | None) -> str:
    """Return what a pause is of, as the audit says it."""
    return name if name is not None else f"tag {tag}"
