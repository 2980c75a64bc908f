"""Actions of the dashboard in the audit: noted before they are done, completed after."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from bson import ObjectId
from starlette.requests import Request

from job_processor.ops.audit import Audit, Outcome
from job_processor.parts import ready_parts_of
from job_processor.web.access import who


def audited(
    request: Request, action: str, subject: str, *, once: ObjectId | None = None
) -> AbstractAsyncContextManager[Outcome]:
    """Note what the maker of a request does in the block; see `Audit.doing`."""
    audit = Audit(ready_parts_of(request.app.state.processor))
    return audit.doing(who(request), action, subject, once=once)
