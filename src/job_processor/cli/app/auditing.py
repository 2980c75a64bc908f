"""What is changed by the command line in the audit, beside what is done by the dashboard."""

from __future__ import annotations

import os
import socket
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the help of a command does without the engine
    from job_processor.ops.audit import Outcome
    from job_processor.processor import JobProcessor


def audited(
    processor: JobProcessor, action: str, subject: str
) -> AbstractAsyncContextManager[Outcome]:
    """Note what is done in the block, by whom: before it is done, and what came of it.

    The words are those of the dashboard. See `Audit.doing`.
    """
    from job_processor.ops.audit import Audit  # noqa: PLC0415  # see above
    from job_processor.parts import parts_of  # noqa: PLC0415  # the same

    return Audit(parts_of(processor)).doing(who(), action, subject)


def who() -> str:
    """Return user@host: who the system says runs this, whatever variables say."""
    return f"{_user()}@{socket.gethostname()}"


def _user() -> str:
    number = os.getuid()
    try:
        import pwd  # noqa: PLC0415  # rarely wanted

        return pwd.getpwuid(number).pw_name
    except KeyError:  # as in a container, where a number is enough
        return str(number)


def named(name: str | None, tag: str | None) -> str:
    """Return what a pause is of, as the audit says it."""
    return name if name is not None else f"tag {tag}"
