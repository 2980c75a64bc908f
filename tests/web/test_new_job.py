"""One job scheduled by hand: its form, what that sends, what is wrong at each field."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import httpx2 as httpx
import pydantic
import pytest

from job_processor import JobDef, JobProcessor
from job_processor.web import create_app
from tests.processors import Processors
from tests.web.conftest import HOSTILE, client_of, echo
from tests.web.forms import token_of


class Size(StrEnum):
    """Of a parcel."""

    SMALL = "s"
    LARGE = "xl"


class Mail(pydantic.BaseModel):
    """Checked by its library."""

    to: pydantic.AnyUrl
    lines: list[int]


async def pack(
    to: str,
    count: int = 1,
    price: Decimal | None = None,
    day: date | None = None,
    at: datetime | None = None,
    size: Size = Size.SMALL,
    fragile: bool = True,
    note: str = "none",
    password: str = "hunter2",  # noqa: S107  # of nobody
) -> None:
    """Pack a parcel."""


async def send(payload: Mail) -> None:
    """Send a mail."""


async def odd(text: str = "two\nlines", most: float = float("inf"), none: str = "") -> None:
    """Take what no field of a form holds as it is."""


async def rest() -> None:
    """Take no payload."""


JOBS = {
    "pack": JobDef(pack),
    "send": JobDef(send),
    "echo": JobDef(echo),
    "rest": JobDef(rest),
    "odd": JobDef(odd),
    HOSTILE: JobDef(echo),
}


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor with payloads of several kinds."""
    return await processors.make(jobs=JOBS)


@pytest.fixture
async def client(processor: JobProcessor) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its dashboard."""
    async with client_of(create_app(processor)) as made:
        yield made


async def sent(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    """Return the answer to the form."""
    return await client.post("/new", data={"csrf": await token_of(client), **fields})


def wrong(page: str) -> list[str]:
    """Return what stands beside the fields."""
    return re.findall(r'class="wrong"[^>]*>([^<]*)<', page)


async def newest(processor: JobProcessor) -> Any:
    """Return the job that was made last."""
    return (await processor.find_jobs(limit=1)).jobs[0]


async def test_the_form_has_the_fields_of_the_payload(client: httpx.AsyncClient) -> None:
    """Each of its kind, with its default, and nothing to see of what is hidden elsewhere."""
    text = (await client.get("/new?name=pack")).text
    for part in (
        'name="field_to" value=""',
        'name="field_count" value="1" autocomplete="off" inputmode="numeric"',
        'name="field_day" value="" autocomplete="off" type="date"',
        'type="datetime-local" step="1" data-utc=""',
        '<option value="&#34;s&#34;" selected>SMALL (s)</option>',
        'name="field_fragile" value="on" checked',
        '<input type="password" id="new-9" name="field_password"',
    ):
        assert part in text, part
    assert "hunter2" not in text
    assert "textarea" not in text
    assert 'name="payload"' in (await client.get("/new?name=pack&json=1")).text
    assert 'name="payload"' in (await client.get("/new?name=echo")).text
    assert "It takes no payload." in (await client.get("/new?name=rest")).text
    assert (await client.get("/new?name=")).status_code == 400
    hostile = (await client.get("/new", params={"name": HOSTILE})).text
    assert HOSTILE not in hostile
    french = (await client.get("/new?name=pack", headers={"accept-language": "fr"})).text
    assert "Planifier un job" in french


async def test_what_is_filled_in_is_scheduled(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """In the types of the fields; what stands at its default is left to the code; noted."""
    fields = {
        "field_to": " Ada ",
        "field_count": "1",
        "field_price": "1.50",
        "field_note": "",
        "field_day": "2030-01-31",
        "field_at": "2030-01-31T09:00",
        "field_size": '"xl"',
        "field_password": "",
        "when": "2030-02-01T10:30",
        "zone": "Europe/Paris",
        "priority": "7",
    }
    answer = await sent(client, name="pack", **fields)
    job = await newest(processor)
    assert job.payload == {
        "to": " Ada ",
        "price": "1.50",
        "day": "2030-01-31",
        "size": "xl",
        "fragile": False,
        "at": datetime(2030, 1, 31, 8, tzinfo=UTC),
        "note": "",
    }
    assert (job.scheduled_for, job.priority) == (datetime(2030, 2, 1, 9, 30, tzinfo=UTC), 7)
    assert answer.url.path == f"/jobs/{job.id}"
    await sent(client, name="rest")
    assert (await newest(processor)).payload is None
    await sent(client, name="echo", payload='{"a": [1]}')
    assert (await newest(processor)).payload == {"a": [1]}
    await sent(client, name="pack", as_json="1", payload='{"to": "Bob"}')
    assert (await newest(processor)).payload == {"to": "Bob"}
    noted = [(each.action, each.subject, each.outcome) for each in await processor.get_audit()]
    assert noted[-1] == ("schedule", "pack", str(job.id))
    assert len(noted) == 4


async def test_what_is_left_as_it_was_is_left_to_the_code(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Also lines, which a browser ends in its own way, and a number that none can fill in."""
    text = (await client.get("/new?name=odd")).text
    assert "two\nlines</textarea>" in text
    untouched = {"field_text": "two\r\nlines", "field_most": "inf", "field_none": ""}
    await sent(client, name="odd", **untouched)
    assert not (await newest(processor)).payload
    await sent(client, name="odd", **{**untouched, "field_text": "three\r\nother\r\nlines"})
    assert (await newest(processor)).payload == {"text": "three\nother\nlines"}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"field_to": "", "field_count": "x"}, ["it is missing", "allowed is a whole number"]),
        ({"field_to": "a", "field_price": "nan"}, ["allowed is a number"]),
        ({"field_to": "a", "field_day": "31.1."}, ["allowed is a date: 2030-01-31"]),
        ({"field_to": "a", "field_size": '"m"'}, ["allowed are SMALL (s), LARGE (xl)"]),
        (
            {"field_to": "a", "when": "soon", "priority": "x"},
            [
                "allowed is a time in ISO 8601, such as 2030-01-31T08:00Z",
                "allowed is a whole number",
            ],
        ),
        (
            {"field_to": "a", "priority": "99"},
            ["allowed is a whole number from 0 to 9, the most urgent"],
        ),
    ],
)
async def test_what_is_wrong_stands_at_its_field(
    client: httpx.AsyncClient, processor: JobProcessor, fields: dict[str, str], told: list[str]
) -> None:
    """The form comes back as it was filled in, nothing is scheduled, no secret is shown again."""
    fields |= {"field_password": "s3cr3t", "field_note": "kept"}
    answer = await sent(client, name="pack", **fields)
    assert answer.status_code in (400, 422)
    assert wrong(answer.text) == told
    assert 'value="kept"' in answer.text
    assert "s3cr3t" not in answer.text
    assert " data-still" in answer.text
    assert await processor.count_jobs() == 0


async def test_what_a_library_says_stands_at_its_field(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Of several fields at once; JSON that is none; a payload that no handler takes."""
    answer = await sent(client, name="send", field_to="nope", field_lines='["x"]')
    first, second = wrong(answer.text)
    assert first.startswith("Input should be a valid URL")
    assert second.startswith("lines.0: Input should be a valid integer")
    assert "allowed is JSON: " in wrong((await sent(client, name="echo", payload="{")).text)[0]
    assert wrong((await sent(client, name="send", field_to="", field_lines="[")).text)[0] == (
        "it is missing"
    )
    hidden = await sent(client, name="echo", payload='{"password": "[redacted]"}')
    assert "payload.password" in wrong(hidden.text)[0]
    unknown = await sent(client, name="nope", payload="{}")
    assert "the jobs defined here are" in unknown.text
    assert await processor.count_jobs() == 0


async def test_only_who_may_act_schedules(processor: JobProcessor) -> None:
    """Whoever may only look sees no form, and one that is forged is refused."""
    async with client_of(create_app(processor, lambda request: "read_only")) as client:
        assert 'name="field_to"' not in (await client.get("/new?name=pack")).text
        assert (await sent(client, name="rest")).status_code == 403
    async with client_of(create_app(processor)) as client:
        assert (await client.post("/new", data={"name": "rest"})).status_code == 403
    assert await processor.count_jobs() == 0
