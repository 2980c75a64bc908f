"""How a dashboard looks: the name of its environment, a reader's theme, numbers and dates."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import httpx2 as httpx
import pytest

from job_processor import JobProcessor
from job_processor.errors import InvalidArgumentError
from job_processor.web import create_app
from job_processor.web.numbers import span
from job_processor.web.phrases import PHRASES, phrase
from job_processor.web.reading import moment_of
from tests.web.conftest import client_of
from tests.web.forms import csrf_of


@pytest.mark.parametrize(
    ("name", "color", "shown"),
    [
        ("production", None, "red"),
        ("Live EU", None, "red"),
        ("staging", None, "orange"),
        ("laptop of Ada", None, "blue"),
        ("production", "green", "green"),
    ],
)
async def test_the_name_of_an_environment(
    processor: JobProcessor, name: str, color: Any, shown: str
) -> None:
    """Stands in the header and in the title of each page, in its colour."""
    async with client_of(create_app(processor, name=name, color=color)) as client:
        for path in ("/", "/jobs", "/nothing"):
            text = (await client.get(path)).text
            assert f'<body class="env-{shown}"' in text
            assert re.search(rf"<title>[^<]+ · {name} · job-processor</title>", text)
            assert re.search(rf'<span class="env"[^>]*>{name}</span>', text)


async def test_without_a_name(client: httpx.AsyncClient) -> None:
    """There is no badge and no stripe."""
    text = (await client.get("/")).text
    assert "env-" not in text
    assert "<title>Overview · job-processor</title>" in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"name": ""}, "name: ''"),
        ({"name": " \t"}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 41}, "40 characters"),
        ({"name": 7}, "name: 7"),
        ({"name": "a", "color": "crimson"}, "allowed are red, orange, green, blue, violet, grey"),
        ({"color": "red"}, "together with name"),
    ],
)
async def test_what_is_no_name_and_no_colour(
    processor: JobProcessor, options: dict[str, Any], told: str
) -> None:
    """Is refused where the dashboard is made, with what is allowed."""
    with pytest.raises(InvalidArgumentError, match=re.escape(told)):
        create_app(processor, **options)


async def test_the_theme_is_the_reader_s(processor: JobProcessor) -> None:
    """It comes with the page, so that nothing flashes; whoever may only look has it, too."""
    async with client_of(create_app(processor, lambda _: "read_only")) as client:
        text = (await client.get("/jobs")).text
        assert 'data-theme="auto"' in text
        for theme in ("dark", "light"):
            form = {"csrf": csrf_of(text), "back": "/jobs", "theme": theme}
            text = (await client.post("/theme", data=form)).text
            assert f'data-theme="{theme}"' in text
            assert f'<meta name="color-scheme" content="{theme}">' in text
        form = {"csrf": csrf_of(text), "back": "/jobs", "theme": "pink"}
        assert 'data-theme="light"' in (await client.post("/theme", data=form)).text
        assert (await client.post("/theme", data={**form, "csrf": ""})).status_code == 403


def test_numbers_as_the_french_write_them() -> None:
    """With a comma, and days as `j`."""
    assert span(4.15, "fr") == "4,1 s"
    assert span(90_061, "fr") == "1 j 1 h"


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("2030-07-31T08:00", "Europe/Paris", datetime(2030, 7, 31, 6, tzinfo=UTC)),
        ("2030-07-31T08:00", "", datetime(2030, 7, 31, 8, tzinfo=UTC)),
        ("2030-07-31T08:00:30", "UTC", datetime(2030, 7, 31, 8, 0, 30, tzinfo=UTC)),
        ("2030-07-31T08:00Z", "Europe/Paris", datetime(2030, 7, 31, 8, tzinfo=UTC)),
    ],
)
def test_what_a_date_picker_sends(text: str, zone: str, moment: datetime) -> None:
    """Is a time in the reader's zone, and in UTC where no script has named one."""
    assert moment_of({"from": text, "zone": zone}, "from") == moment


@pytest.mark.parametrize("zone", ["Mars/Base", "../etc/passwd", "a\0b"])
def test_a_zone_that_is_none(zone: str) -> None:
    """Is refused by its name."""
    with pytest.raises(InvalidArgumentError, match="zone"):
        moment_of({"from": "2030-07-31T08:00", "zone": zone}, "from")


def test_every_sentence() -> None:
    """Says what there is to say for one and for several, in both languages, and leaves no gap."""
    of = {"name": "import", "status": "finished", "step": "ship", "amount": "2"}
    for key in PHRASES:
        for language in ("en", "fr"):
            one, several = (phrase(key, language, {**of, "n": n}) for n in (1, 1200))
            assert one
            assert not set("{|}") & set(one + several)
            assert "1 jobs" not in one or "over" in key
