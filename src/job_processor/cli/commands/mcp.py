"""`mcp`: a server by which assistants look at jobs, over standard input and output."""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import who
from job_processor.cli.app.extras import require
from job_processor.cli.app.options import AppOption, Db, Prefix

if TYPE_CHECKING:
    from job_processor.processor import JobProcessor
    from job_processor.redaction import Redaction


def mcp(
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    allow_actions: Annotated[
        bool,
        typer.Option(
            "--allow-actions",
            help="Also offer tools that retry, kill and delete jobs, and pause and resume names.",
        ),
    ] = False,
    redact: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Hide values of fields whose name matches this regular expression. [default: "
            "names of secrets, such as password and token]",
        ),
    ] = None,
    no_redaction: Annotated[
        bool, typer.Option("--no-redaction", help="Hide no values of any field.")
    ] = False,
) -> None:
    """Serve jobs to an assistant by MCP, on stdin and stdout.

    The assistant starts this command, as configured in its settings; it runs until stdin ends. It
    only reads, unless you give --allow-actions; the audit log records actions.
    """
    require("mcp", "the MCP server")
    hidden = _redaction(redact, no_redaction)

    async def serve(processor: JobProcessor) -> None:
        from job_processor.integrations.mcp import create_server

        server = create_server(
            processor, allow_actions=allow_actions, redaction=hidden, who=f"{who()} by mcp"
        )
        await server.run_stdio_async()

    # What waits for the next line of stdin is a thread, which nothing else can end.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        ask(Place(db, prefix, app), serve)
    finally:
        signal.signal(signal.SIGINT, before)


def _redaction(pattern: str | None, none: bool) -> Redaction:
    """Return what is hidden; raises UsageError and InvalidArgumentError."""
    from job_processor.cli.app.failing import UsageError
    from job_processor.redaction import Redaction

    if not none:
        return Redaction(pattern)
    if pattern is not None:
        raise UsageError("--redact: it has nothing to hide with --no-redaction; give one of them")
    return Redaction(re.compile(r"(?!)"))
