"""Names in the dashboard: the list, the page of each, of a cron, a tag, a group of a limit."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
import pytest
from bson import ObjectId

from job_processor import CronDef, JobDef, JobProcessor, Limit, Rate, Retry
from job_processor.store.error_groups import ErrorGroup
from job_processor.store.name_rollups import NameRollup
from job_processor.store.rollups import HOUR, MINUTE, start_of
from job_processor.web import create_app
from job_processor.web.figures import SPANS
from job_processor.web.names import PAGE
from job_processor.web.numbers import per_time, percent
from job_processor.web.texts import FRENCH
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors
from tests.web.conftest import HOSTILE, client_of, echo
from tests.web.costs import MOST_BYTES, MOST_STATEMENTS, asked, counted
from tests.web.forms import Forms, token_of


async def charge(payload: dict[str, Any]) -> None:
    """Fail for one in two, each time with another number."""
    if payload["n"] % 2:
        raise TimeoutError(f"the bank did not answer within {payload['n']} ms")


async def send(to: str, copies: int = 1) -> None:
    """Take fields."""


async def tell(payload: dict[str, Any]) -> None:
    """Fail with what looks like a credential, and with what the payload hides."""
    raise ValueError(f"{payload['password']} from https://ada:hunter2@example.org/?kind=blue")


JOBS = {
    "charge": JobDef(charge, retry=Retry(2, delay=0), tag="money", limit=Limit(2, group="bank")),
    "refund": JobDef(nothing, tag="money", limit=Limit(2, group="bank"), rate="9/m"),
    "send": JobDef(send, limit=3, rate=Rate(10, per=60, group="smtp")),
    "tell": JobDef(tell),
    HOSTILE: JobDef(echo),
}
CRONS = {
    "nightly": CronDef("0 2 * * *", nothing, timezone="Europe/Paris", limit=1, rate="5/s"),
}
NAMED = "/name?name=charge"


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A processor some of whose jobs have run, and some wait."""
    made = await processors.make(jobs=JOBS, crons=CRONS)
    await made.schedule_jobs([("charge", {"n": n}) for n in range(10)])
    await made.run_worker(burst=True)
    await made.schedule_jobs([("send", {"to": "a"})] * 3)
    return made


@pytest.fixture
async def client(processor: JobProcessor) -> AsyncIterator[httpx.AsyncClient]:
    """A client of its dashboard."""
    async with client_of(create_app(processor)) as made:
        yield made


def figures_of(name: str, seconds: int, moment: datetime, counts: dict[str, int]) -> NameRollup:
    """Return what happened to a name around a moment."""
    return NameRollup("name", name, seconds, start_of(moment, seconds), counts, {9: 1}, {9: 1})


def names_in(page: str) -> list[str]:
    """Return the names of a table, in its order."""
    return re.findall(r'<tr data-key="([^"]+)"', page)


@pytest.mark.parametrize(
    ("part", "english", "french"),
    [(0.0, "0%", "0 %"), (0.0002, "0.1%", "0,1 %"), (0.043, "4.3%", "4,3 %"), (0.5, "50%", "50 %")],
)
def test_parts_of_a_hundred(part: float, english: str, french: str) -> None:
    """One that is not zero never reads so; signs as each language has them."""
    assert percent(part, "en") == english
    assert percent(part, "fr").replace("\N{NO-BREAK SPACE}", " ") == french


@pytest.mark.parametrize(
    ("per_minute", "english", "french"),
    [
        (1234.4, "1,234/min", "1\N{NARROW NO-BREAK SPACE}234/min"),
        (2.52, "2.5/min", "2,5/min"),
        (0.5, "30/h", "30/h"),
        (5 / 1440, "5/d", "5/j"),
        (0.1 / 1440, "0.1/d", "0,1/j"),
    ],
)
def test_a_rate_is_told_in_a_unit_in_which_it_is_one(
    per_minute: float, english: str, french: str
) -> None:
    """A minute, an hour or a day, as each language writes it."""
    assert (per_time(per_minute, "en"), per_time(per_minute, "fr")) == (english, french)


def test_the_words_of_spans_are_translated() -> None:
    """Those that stand in no template."""
    used = {text for span in SPANS.values() for text in (span.told, span.unit)}
    assert used - FRENCH.keys() == set()


async def test_the_list_of_names(client: httpx.AsyncClient) -> None:
    """What waits and runs, rate, failures and times of each; ordered and filtered as one asks."""
    text = (await client.get("/names")).text
    row = text.partition('<tr data-key="charge"')[2].partition("</tr>")[0]
    assert "50%" in row
    assert "10/h" in row
    assert 'href="/tag?tag=money"' in row
    assert re.search(r'data-label="run time">\d', row)
    waiting = text.partition('<tr data-key="send"')[2].partition("</tr>")[0]
    assert '<td class="number" data-label="waiting">3</td>' in waiting
    assert names_in(text)[-4:] == ["nightly", "refund", "send", "tell"]
    assert HOSTILE not in text
    assert names_in((await client.get("/names?sort=failed&span=week")).text)[0] == "charge"
    assert names_in((await client.get("/names?q=SEN")).text) == ["send"]
    missing = (await client.get("/names?q=nope")).text
    assert 'href="/name?name=nope"' in missing
    for odd in ("span=year", "sort=color", "skip=x"):
        assert (await client.get(f"/names?{odd}")).status_code == 400
    french = (await client.get("/names", headers={"accept-language": "fr"})).text
    assert "50\N{NO-BREAK SPACE}%" in french


async def test_the_page_of_a_name(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Its figures of three spans, its errors by their first line, what waits, what shares it."""
    text = (await client.get(NAMED)).text
    for told in ("The last hour", "The last day", "The last week"):
        row = text.partition(told)[2].partition("</tr>")[0]
        assert re.findall(r'<td class="number"[^>]*>(\d+)</td>', row)[:3] == ["10", "5", "5"]
        assert "50%" in row
    found = re.search(r"(\d+) \S</strong> <span class=\"error\">TimeoutError: the bank did", text)
    assert found is not None
    assert found[1] == "10"
    failed = (await processor.find_jobs(name="charge", status="errored")).jobs
    assert any(f'href="/jobs/{job.id}"' in text for job in failed)
    assert "5</strong> errored" in text
    assert 'href="/limit?name=bank"' in text
    sent = (await client.get("/name?name=send&span=day")).text
    assert "3</strong> waiting" in sent
    assert 'name="field_to"' in sent
    assert 'value="set_rate"' in sent
    hostile = await client.get("/name", params={"name": HOSTILE})
    assert hostile.status_code == 200
    assert HOSTILE not in hostile.text
    unknown = await client.get("/name?name=nope")
    assert unknown.status_code == 404
    assert "Nothing is known of this name" in unknown.text
    assert (await client.get("/name?name=")).status_code == 400
    assert (await client.get(f"{NAMED}&span=year")).status_code == 400


async def test_errors_tell_no_secrets(processor: JobProcessor) -> None:
    """What a payload hides, and what looks like one, stand neither on the page nor in its JSON."""
    await processor.schedule_job("tell", {"password": "open-sesame"})
    await processor.run_worker(burst=True)
    async with client_of(create_app(processor, redact="kind|password")) as client:
        for path in ("/name?name=tell", "/api/name?name=tell"):
            text = (await client.get(path)).text
            assert "https://ada:" in text
            for secret in ("open-sesame", "hunter2", "blue"):
                assert secret not in text, (path, secret)


async def test_a_name_is_steered_from_its_page(forms: Forms, processor: JobProcessor) -> None:
    """Paused and resumed, its limit and rate set, held and reset; a pause of its tag is told."""
    page = await forms.send(do="pause", name="charge", back=NAMED)
    assert 'value="resume"' in page
    assert 'class="status paused"' in page
    await forms.send(do="resume", name="charge", back=NAMED)
    page = await forms.send(do="pause", tag="money", back=NAMED)
    assert "paused with its tag" in page
    assert 'value="pause"' not in page
    page = await forms.send(do="resume", tag="money", back="/tag?tag=money")
    assert 'value="pause"' in page
    page = await forms.send(do="set_limit", name="send", amount="7", back="/name?name=send")
    assert "set by hand" in page
    assert "7 at a time" in page
    page = await forms.send(do="hold", name="smtp", seconds="90", back="/name?name=send")
    assert "held for" in page
    page = await forms.send(do="reset_limit", name="send", back="/name?name=send")
    assert "7 at a time" not in page
    assert not await processor.get_pauses()


async def test_the_page_of_a_cron(
    forms: Forms, client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """Next five, misses and runs where it is at home; by hand it runs when asked twice."""
    assert "None was missed." in (await client.get("/cron?name=nightly")).text
    now = datetime.now(UTC)
    await store_of(processor).rollups.add([], [figures_of("nightly", HOUR, now, {"missed": 3})])
    text = (await client.get("/cron?name=nightly")).text
    assert "None was missed." not in text
    assert re.search(r'<strong class="error">3</strong> <span>\w+ \d+ \w+ \d\d:00 ', text)
    assert "At 02:00" in text
    assert len(re.findall(r"02:00 <span class=\"dim\">Paris · ", text)) >= 5
    assert "Schedule one" not in text
    asked = await forms.send(do="run_cron", name="nightly", back="/cron?name=nightly")
    assert "Run cron nightly now?" in asked
    confirmed = {"do": "run_cron", "name": "nightly", "confirmed": "1"}
    text = await forms.send(**confirmed, back="/cron?name=nightly")
    assert "Cron nightly runs now" in text
    assert names_in(text)


async def test_what_names_have_in_common(client: httpx.AsyncClient) -> None:
    """The page of a tag and of a group of a limit: its figures, its names, its controls."""
    text = ""
    for path in ("/tag?tag=money", "/limit?name=bank"):
        text = (await client.get(path)).text
        assert names_in(text) == ["charge", "refund"]
        row = text.partition("The last week")[2].partition("</tr>")[0]
        assert re.findall(r'<td class="number"[^>]*>(\d+)</td>', row)[:2] == ["10", "5"]
    assert 'value="set_limit"' in text
    assert "No names." in (await client.get("/tag?tag=none")).text
    assert (await client.get("/tag?tag=")).status_code == 400


async def test_who_may_only_look_sees_no_controls(processor: JobProcessor) -> None:
    """On none of these pages; and what is sent all the same is refused."""
    async with client_of(create_app(processor, lambda request: "read_only")) as client:
        for path in ("/names", NAMED, "/name?name=send", "/cron?name=nightly", "/tag?tag=money"):
            text = (await client.get(path)).text
            assert 'action="/act"' not in text, path
            assert 'action="/new"' not in text, path
        fields = {"csrf": await token_of(client), "do": "pause", "name": "charge"}
        assert (await client.post("/act", data=fields)).status_code == 403
        assert (
            await client.post("/api/pauses", json={"name": "send", "paused": True})
        ).status_code == 403
    assert not await processor.get_pauses()


async def test_the_list_is_bounded(processors: Processors) -> None:
    """In rows and bytes, whatever the names are; the others are on the pages that follow."""
    jobs = {f"job_of_some_length_{n:05}": JobDef(echo, tag="t") for n in range(PAGE + 3)}
    jobs |= {f"x{'é' * 190}{n:05}": JobDef(echo) for n in range(2 * PAGE)}
    processor = await processors.make(jobs=jobs)
    async with client_of(create_app(processor)) as client:
        path, seen = "/names?sort=name", 0
        while path:
            page = await client.get(path, headers={"accept-language": "fr"})
            assert len(page.content) < MOST_BYTES
            found = names_in(page.text)
            assert 1 <= len(found) <= PAGE
            seen += len(found)
            following = re.search(r'rel="next"[^>]*href="([^"]+)"', page.text)
            path = following[1].replace("&amp;", "&") if following else ""
        assert seen == len(jobs)
        assert len((await client.get("/tag?tag=t")).content) < MOST_BYTES


async def test_a_page_full_of_everything_is_small(
    client: httpx.AsyncClient, processor: JobProcessor
) -> None:
    """A week of figures, many kinds of long errors, jobs with large payloads."""
    now, busy = datetime.now(UTC), {"finished": 1234, "errored": 56, "retried": 78}
    store, hour = store_of(processor), start_of(datetime.now(UTC), HOUR)
    named = [figures_of("charge", HOUR, now - timedelta(hours=n), busy) for n in range(169)]
    named += [figures_of("charge", MINUTE, now - timedelta(minutes=n), busy) for n in range(60)]
    errors = [
        ErrorGroup("charge", hour, f"Error{'x' * n}: {'ü' * 180}", n + 1, ObjectId(), now)
        for n in range(40)
    ]
    await store.rollups.add([], named, errors)
    text = "<&>" * 2000
    await processor.schedule_jobs([("charge", {"n": 0, "text": text, "more": text})] * 30)
    for span in ("hour", "week"):
        page = await client.get(f"{NAMED}&span={span}", headers={"accept-language": "fr"})
        assert page.status_code == 200
        assert len(page.content) < MOST_BYTES


async def test_these_pages_cost_few_statements(db_url: str) -> None:
    """Whatever a name has of limits, rates, tags and errors."""
    async with (
        counted(db_url, jobs=JOBS, crons=CRONS) as (processor, statements),
        client_of(create_app(processor)) as client,
    ):
        await processor.schedule_jobs([("charge", {"n": n}) for n in range(4)])
        await processor.run_worker(burst=True)
        await client.get("/names")
        paths = ("/names", "/name?name=refund", "/name?name=send", "/cron?name=nightly")
        for path in (*paths, "/tag?tag=money", "/limit?name=bank"):
            statements.made.clear()
            assert (await client.get(path)).status_code == 200
            assert 0 < len(asked(statements)) <= MOST_STATEMENTS, (path, statements.made)


async def test_the_json_interface(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Names and one of them are read, a name is paused, a cron is run; else a problem document."""
    listed = (await client.get("/api/figures?sort=failed")).json()
    first = listed["names"][0]
    assert (first["name"], first["ended"], first["failure_share"]) == ("charge", 10, 0.5)
    assert (listed["total"], listed["next"]) == (len(JOBS) + len(CRONS), None)
    one = (await client.get("/api/name?name=charge")).json()
    assert (one["spans"]["day"]["errored"], one["errors"][0]["count"]) == (5, 10)
    assert (one["limit"], one["inputs"]) == ({"name": "bank", "amount": 2}, None)
    sent = (await client.get("/api/name?name=send")).json()
    assert [(each["name"], each["kind"]) for each in sent["inputs"]] == [
        ("to", "text"),
        ("copies", "integer"),
    ]
    assert (await client.get("/api/name?name=nope")).status_code == 404
    paused = await client.post("/api/pauses", json={"name": "send", "paused": True})
    assert paused.json() == {"names": ["send"], "tags": []}
    await client.post("/api/pauses", json={"name": "send", "paused": False})
    assert (await client.get("/api/pauses")).json() == {"names": [], "tags": []}
    bodies: list[Any] = [{"name": "a"}, {"name": "a", "tag": "b", "paused": True}, []]
    for body in (*bodies, {"paused": True}):
        assert (await client.post("/api/pauses", json=body)).status_code == 400
    odd = await client.post("/api/pauses", json={"name": "send", "paused": "yes"})
    assert odd.status_code == 400
    assert (await client.post("/api/crons/nightly/run")).status_code == 400
    own = {"x-requested-with": "tests"}
    task = await client.post("/api/crons/nightly/run", headers=own)
    assert (task.status_code, task.json()["type"]) == (201, "cron_task")
    assert (await client.post("/api/crons/nope/run", headers=own)).status_code == 422
    audit = [(entry.action, entry.subject) for entry in await processor.get_audit()][::-1]
    assert audit[:3] == [("pause", "send"), ("resume", "send"), ("run_cron", "nightly")]
