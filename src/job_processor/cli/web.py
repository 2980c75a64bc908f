"""`web`: the dashboard of an application, on a port."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from typing import Any

from job_processor.cli.extras import require
from job_processor.cli.loading import load_app
from job_processor.cli.reading import read_number
from job_processor.errors import InvalidArgumentError

TOKEN = "JOB_PROCESSOR_WEB_TOKEN"  # noqa: S105  # the name of a variable


def run(
    app: str, *, host: str, port: str, token: str | None, user: str | None, read_only: bool
) -> None:
    """Serve the dashboard until it is stopped.

    Raises MissingExtraError, and InvalidArgumentError for an address that others can reach without
    a login.
    """
    require("web", "the dashboard")
    number = read_number("--port", port)
    if not 0 <= number <= 65_535:
        raise InvalidArgumentError("--port", port, "allowed is a number from 0 to 65535")
    asyncio.run(_serve(app, host, number, token or os.environ.get(TOKEN), user, read_only))


async def _serve(
    app: str, host: str, port: int, token: str | None, user: str | None, read_only: bool
) -> None:
    from job_processor.web import Access, Login, create_app  # noqa: PLC0415  # an extra
    from job_processor.web.server import serve  # noqa: PLC0415  # the same

    name, password = _named(user)
    may: Access = "read_only" if read_only else "all"
    login = Login(token, name, password, may) if token or name else None
    if login is None:
        _check_loopback(host)
    check: Any = login or (lambda _: may)
    processor = await load_app(app).processor()

    def tell(address: str) -> None:
        print(  # noqa: T201  # what the command says
            f"The dashboard of {processor.address} is at {address} (Ctrl-C ends it)", flush=True
        )

    await serve(create_app(processor, check), host, port, tell)


def _named(user: str | None) -> tuple[str | None, str | None]:
    if user is None:
        return None, None
    name, colon, password = user.partition(":")
    if not (name and colon and password):
        raise InvalidArgumentError("--login", "…", "allowed is NAME:PASSWORD")
    return name, password


def _check_loopback(host: str) -> None:
    """Refuse to show everything to everybody."""
    try:
        alone = ipaddress.ip_address(host).is_loopback
    except ValueError:
        alone = host == "localhost"
    if not alone:
        raise InvalidArgumentError(
            "--host",
            host,
            "whoever reaches it could see and do all; allowed without a login are 127.0.0.1, ::1 "
            f"and localhost: give --token (or ${TOKEN}) or --login",
        )
