"""`web`: the dashboard of an application, on a port."""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote

import typer

from job_processor.cli.app.asking import Place
from job_processor.cli.app.extras import require
from job_processor.cli.app.failing import UsageError
from job_processor.cli.app.options import App, Db, Prefix
from job_processor.cli.app.reading import read_number
from job_processor.errors import InvalidArgumentError

if TYPE_CHECKING:  # an extra
    from job_processor.web import Access, Login
    from job_processor.web.looks import Look

TOKEN = "JOB_PROCESSOR_WEB_TOKEN"  # noqa: S105  # the name of a variable
LOGIN = "JOB_PROCESSOR_WEB_LOGIN"
SCRAPE_TOKEN = "JOB_PROCESSOR_WEB_SCRAPE_TOKEN"  # noqa: S105  # the same
NAME = "JOB_PROCESSOR_WEB_NAME"
COLOR = "JOB_PROCESSOR_WEB_COLOR"


def web(
    app: App = None,
    db: Db = None,
    prefix: Prefix = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="The address to listen on; any other than 127.0.0.1 needs a login.",
        ),
    ] = "127.0.0.1",
    port: Annotated[str, typer.Option(metavar="N", help="The port to listen on.")] = "8000",
    token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="Log in with this token: as a bearer token, or as the password of any user. At "
            "least 16 characters. [default: $JOB_PROCESSOR_WEB_TOKEN]",
        ),
    ] = None,
    login: Annotated[
        str | None,
        typer.Option(
            metavar="NAME:PASSWORD",
            help="Log in with this name and password. [default: $JOB_PROCESSOR_WEB_LOGIN]",
        ),
    ] = None,
    scrape_token: Annotated[
        str | None,
        typer.Option(
            metavar="TOKEN",
            help="Allow /metrics and /scaling, and nothing else, with this bearer token. At least"
            " 16 characters. [default: $JOB_PROCESSOR_WEB_SCRAPE_TOKEN]",
        ),
    ] = None,
    no_login: Annotated[
        bool,
        typer.Option("--no-login", help="Let every user of this machine see and do everything."),
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Show everything, change nothing.")
    ] = False,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            metavar="HOST",
            help="A host name to serve; may be given several times. [default: any with a login, "
            "those of this machine without]",
        ),
    ] = None,
    root_path: Annotated[
        str,
        typer.Option(metavar="PATH", help="The path prefix that a proxy removes from requests."),
    ] = "",
    proxies: Annotated[
        str,
        typer.Option(
            "--forwarded-allow-ips",
            metavar="ADDRESS,…",
            help="Proxies, or their networks, whose X-Forwarded-For, -Host and -Proto headers are"
            " trusted. [default: none]",
        ),
    ] = "",
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The name of the environment, such as production, for the header and title of "
            "each page. [default: $JOB_PROCESSOR_WEB_NAME]",
        ),
    ] = None,
    color: Annotated[
        str | None,
        typer.Option(
            metavar="COLOR",
            help="The color of that name: red, orange, green, blue, violet or grey. [default: "
            "$JOB_PROCESSOR_WEB_COLOR; else red for a name that starts with prod or live, orange "
            "for stag, blue for others]",
        ),
    ] = None,
) -> None:
    """Serve the dashboard of APP, or of a database.

    Runs until it is stopped. With --db it needs no application, but then it cannot schedule jobs.
    Without a login it creates a token and, on a terminal, prints the address with it.
    """
    import asyncio

    require("web", "the dashboard")
    options = WebOptions(
        host=host,
        port=port,
        token=token,
        login=login,
        scrape_token=scrape_token,
        no_login=no_login,
        read_only=read_only,
        allowed_hosts=allowed_hosts or (),
        root_path=root_path,
        proxies=proxies,
        name=name,
        color=color,
    )
    asyncio.run(_serve(Place(db, prefix, app, by="APP"), options, options.number, options.root))


@dataclass(frozen=True, slots=True)
class WebOptions:
    """The options of `web`, as typed."""

    host: str
    port: str
    token: str | None
    login: str | None
    scrape_token: str | None
    no_login: bool
    read_only: bool
    allowed_hosts: Sequence[str]
    root_path: str
    proxies: str
    name: str | None
    color: str | None

    @property
    def number(self) -> int:
        """The port; raises InvalidArgumentError."""
        number = read_number("--port", self.port)
        if not 0 <= number <= 65_535:
            raise InvalidArgumentError("--port", self.port, "allowed is a number from 0 to 65535")
        return number

    @property
    def root(self) -> str:
        """The path under which a proxy shows it, decoded; raises InvalidArgumentError."""
        path = unquote(self.root_path.rstrip("/"))
        if path and (not path.startswith("/") or path.startswith("//") or not path.isprintable()):
            allowed = "allowed is a path that starts with one /, such as /queue"
            raise InvalidArgumentError("--root-path", self.root_path, allowed)
        return path

    @property
    def trusted(self) -> list[str]:
        """The addresses and networks of proxies."""
        return [each.strip() for each in self.proxies.split(",") if each.strip()]

    @property
    def is_local(self) -> bool:
        """Whether this machine alone can reach it."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


async def _serve(place: Place, options: WebOptions, port: int, root: str) -> None:
    from job_processor.web import Login, create_app
    from job_processor.web.entrance import Entrance
    from job_processor.web.hosts import LOCAL
    from job_processor.web.server import serve

    check, look, scraping = _check_of(options), _look(options), _scrape_token(options)
    hosts = None
    if options.allowed_hosts or not isinstance(check, Login):
        hosts = [*options.allowed_hosts, *LOCAL, options.host]
    processor = await place.processor(place.application())

    def tell(address: str) -> None:
        place = f"{address.rstrip('/')}{root}/" if root else address
        told = check.address(place) if isinstance(check, Entrance) else place
        print(  # noqa: T201  # what the command says
            f"The dashboard of {processor.address} is at {told} (Ctrl-C stops it)", flush=True
        )
        if isinstance(check, Entrance):
            print("Everybody with this address is let in.", flush=True)  # noqa: T201  # the same
        if not options.is_local and not options.trusted:
            sys.stderr.write(
                "Warning: tokens and passwords are sent unencrypted. Put a proxy with TLS in "
                "front, and name it with --forwarded-allow-ips\n"
            )

    served = create_app(
        processor,
        check,
        allowed_hosts=hosts,
        scrape_token=scraping,
        name=look.name or None,
        color=look.color if look.name else None,
    )
    await serve(served, options.host, port, tell, root_path=root, proxies=options.trusted)


def _check_of(options: WebOptions) -> Any:
    """Return who may come in: whoever logs in, whoever has the printed address, or everybody."""
    from job_processor.web.entrance import Entrance

    may: Access = "read_only" if options.read_only else "all"
    login = _login(options, may)
    if options.no_login and login is not None:
        raise UsageError(f"--no-login: a login is given by --token, --login, ${TOKEN} or ${LOGIN}")
    if login is not None:
        return login
    if not options.is_local:
        raise InvalidArgumentError(
            "--host",
            options.host,
            "other machines could see and change everything; without a login only 127.0.0.1, ::1 "
            f"and localhost are allowed: give --token (or ${TOKEN}) or --login (or ${LOGIN})",
        )
    if options.no_login:
        return lambda _: may
    if not sys.stdout.isatty():  # a token that is printed there would stay in a log
        raise UsageError(
            f"without a terminal a login is required: set ${TOKEN} or ${LOGIN} (or give --token or "
            "--login); with --no-login every user of this machine can see and change everything"
        )
    return Entrance(may)


def _login(options: WebOptions, may: Access) -> Login | None:
    from job_processor.web import Login
    from job_processor.web.access import (
        check_password,
        check_token,
        check_user,
    )

    token_by, token = _given("--token", options.token, TOKEN)
    login_by, text = _given("--login", options.login, LOGIN)
    if token is not None:
        check_token(token_by, token)
    name = password = None
    if text is not None:
        name, colon, password = text.partition(":")
        if not (name and colon and password):
            raise InvalidArgumentError(login_by, "…", "allowed is NAME:PASSWORD")
        check_user(login_by, name)
        check_password(login_by, password)
    return None if token is None and name is None else Login(token, name, password, may)


def _scrape_token(options: WebOptions) -> str | None:
    from job_processor.web.access import check_token

    by, token = _given("--scrape-token", options.scrape_token, SCRAPE_TOKEN)
    return None if token is None else check_token(by, token)


def _look(options: WebOptions) -> Look:
    from job_processor.web.looks import look_of

    name_by, name = _given("--name", options.name, NAME)
    color_by, color = _given("--color", options.color, COLOR)
    return look_of(name, color, by=(name_by, color_by))


def _given(option: str, value: str | None, variable: str) -> tuple[str, str | None]:
    """Return what was given, and by what; a variable that is set but empty was given, too."""
    if value is not None:
        return option, value
    return f"${variable}", os.environ.get(variable)
