"""`send`: a message, to the jobs that wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from job_processor.cli.app.asking import Place, ask
from job_processor.cli.app.auditing import audited
from job_processor.cli.app.failing import UsageError
from job_processor.cli.app.options import AppOption, Db, Json, Prefix
from job_processor.cli.app.output import plain, print_json, say
from job_processor.cli.app.reading import read_json, read_text

if TYPE_CHECKING:
    from job_processor.processor import JobProcessor

_LONGEST = 366 * 86_400.0  # seconds
_JSON = 'allowed is JSON such as {"by": "card"}, "a text" or 7'


def send(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="The topic of the message, such as paid:42.")
    ],
    payload: Annotated[
        str | None,
        typer.Argument(
            metavar="PAYLOAD",
            help="The payload, any JSON; - reads it from stdin. [default: true]",
        ),
    ] = None,
    ttl: Annotated[
        str | None,
        typer.Option(
            "--ttl",
            metavar="TIME",
            help="How long the message is kept: 30m, 2h or 7d. [default: 7d]",
        ),
    ] = None,
    db: Db = None,
    prefix: Prefix = None,
    app: AppOption = None,
    json: Json = False,
) -> None:
    """Send the message NAME to the jobs that wait for it.

    These are jobs that wait in `context.receive(NAME)`. The message is kept for later ones until
    --ttl.
    """
    from job_processor.cli.app.when import parse_delay
    from job_processor.settings import MESSAGE_TTL, check_name

    check_name("NAME", read_text("NAME", name))
    content = True if payload is None else read_json("PAYLOAD", payload, _JSON)
    if content is None:
        raise UsageError(
            "PAYLOAD: null is what a wait that times out returns; without a payload it is true"
        )
    kept = MESSAGE_TTL if ttl is None else parse_delay(read_text("--ttl", ttl), "--ttl", _LONGEST)

    async def call(processor: JobProcessor) -> bool:
        async with audited(processor, "send", name):
            return await processor.send(name, content, ttl=kept)

    sent = ask(Place(db, prefix, app), call)
    if json:
        print_json({"name": name, "sent": sent})
    elif sent:
        say(f"Sent the message {plain(name)!r}: the jobs that wait for it continue.")
    else:
        say(
            f"Nothing was sent: a message {plain(name)!r} is there already, and the first one wins."
        )
    if not sent:
        raise typer.Exit(1)
