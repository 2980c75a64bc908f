"""The pages without a browser: what they show, what their forms do, in both languages."""

from __future__ import annotations

import re
from pathlib import Path

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from job_processor import JobDef, JobProcessor
from job_processor.web import create_app
from job_processor.web.numbers import span
from job_processor.web.texts import FRENCH
from tests.processors import Processors
from tests.web.conftest import JOBS, client_of
from tests.web.forms import Forms, csrf_of, sure_of

TEMPLATES = Path(__file__).parents[2] / "src" / "job_processor" / "web" / "templates"


async def test_the_jobs(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Filters stand in the address; pages lead both ways; what looks through says so."""
    jobs = await processor.schedule_jobs([("echo", {"n": n}) for n in range(120)])
    ids = [str(job.id) for job in jobs]
    first = (await client.get("/jobs?name=echo&status=pending")).text
    assert "<strong>120</strong> jobs" in first
    assert ids[-1] in first
    following = re.search(r'rel="next"[^>]*href="([^"]+)"', first)
    assert following is not None
    second = (await client.get(following[1].replace("&amp;", "&"))).text
    assert ids[-51] in second
    assert ids[-1] not in second
    before = re.search(r'rel="prev"[^>]*href="([^"]+)"', second)
    assert before is not None
    assert ids[-1] in (await client.get(before[1].replace("&amp;", "&"))).text
    oldest = (await client.get("/jobs?order=oldest")).text
    assert ids[0] in oldest
    found = (await client.get("/jobs?payload=n%3D7")).text
    assert "<strong>1</strong> jobs" in found
    assert "looked through" not in found  # all there are
    wrong = await client.get("/jobs?status=done")
    assert wrong.status_code == 400
    assert "is not allowed" in wrong.text


async def test_many_are_acted_on(forms: Forms, processor: JobProcessor) -> None:
    """The selected ones, or all that match the filter."""
    jobs = await processor.schedule_jobs(["echo"] * 3 + ["fail"] * 2)
    ids = [str(job.id) for job in jobs]
    assert "2 jobs killed." in await forms.send(do="kill", ids=ids[:2])
    every_echo = {"do": "kill", "all": "1", "filter_name": "echo"}
    assert "1 job killed. 2 left as they were: they had ended already." in await forms.confirm(
        **every_echo
    )
    (noted, *_) = await processor.get_audit()
    told = (noted.subject, noted.outcome)
    assert told == ("all with name=echo", "1 done, 2 left as they were")
    assert "2 jobs run again." in await forms.send(do="retry", ids=[ids[0], ids[1]])
    (noted, *_) = await processor.get_audit()
    told = (noted.subject, noted.outcome)
    assert told == (f"{ids[0]}, {ids[1]}", "2 done, 0 left as they were")
    assert "5 jobs deleted." in await forms.confirm(do="delete", all="1")
    assert await processor.count_jobs() == 0


async def test_what_many_would_feel_is_shown_first(forms: Forms, processor: JobProcessor) -> None:
    """How many they are, and the first of them; a word more does it."""
    jobs = await processor.schedule_jobs(["echo"] * 12 + ["fail"] * 2)
    ids = [str(job.id) for job in jobs]
    shown = await forms.send(do="retry", all="1", filter_name="echo")
    assert "Retry 12 jobs?" in shown
    assert ids[11] in shown
    assert ids[1] not in shown
    shown = await forms.send(do="delete", ids=ids[:2])
    assert "Delete 2 jobs?" in shown
    assert "cannot be restored" in shown
    assert await processor.count_jobs() == 14
    assert await processor.get_audit() == []
    assert "2 jobs deleted." in await forms.send(sure=sure_of(shown))
    assert await processor.count_jobs() == 12


async def test_one_is_acted_on(forms: Forms, processor: JobProcessor) -> None:
    """Killed, retried, run again with another payload, deleted; errors are told."""
    job = await processor.schedule_job("echo", {"a": 1})
    id = str(job.id)
    assert "only a job that has ended" in await forms.send(do="retry", id=id)
    assert "echo killed." in await forms.send(do="kill", id=id, back=f"/jobs/{id}")
    assert "pending" in await forms.send(do="retry", id=id, back=f"/jobs/{id}")
    assert "allowed is JSON" in await forms.send(do="schedule", name="echo", payload="{")
    await forms.send(do="schedule", name="echo", payload='{"a": 2}')
    newest = (await processor.find_jobs(limit=1)).jobs[0]
    assert getattr(newest, "payload", None) == {"a": 2}
    await forms.send(do="delete", id=id, confirmed="1")
    assert await processor.get_job(job.id) is None
    assert "do: &#39;eat&#39; is not allowed" in await forms.send(do="eat")


async def test_what_was_hidden_is_run_again(
    client: httpx.AsyncClient, forms: Forms, processor: JobProcessor
) -> None:
    """A payload that is edited keeps the values that its page does not show."""
    job = await processor.schedule_job("echo", {"a": 1, "password": "hunter2"})
    shown = (await client.get(f"/jobs/{job.id}")).text
    assert "hunter2" not in shown
    assert f'name="of" value="{job.id}"' in shown
    again = {"do": "schedule", "name": "echo", "payload": '{"a": 2, "password": "[redacted]"}'}
    await forms.send(**again, of=str(job.id))
    newest = (await processor.find_jobs(limit=1)).jobs[0]
    assert getattr(newest, "payload", None) == {"a": 2, "password": "hunter2"}
    assert "payload.password" in await forms.send(**again)
    assert await processor.count_jobs() == 2


async def test_crons_and_pauses(
    client: httpx.AsyncClient, forms: Forms, processor: JobProcessor
) -> None:
    """In words, with the next times; run, paused and resumed by their forms."""
    await processor.run_worker(burst=True)
    text = (await client.get("/crons")).text
    for part in ("At 02:00", "Europe/Paris"):
        assert part in text
    await forms.send(do="run_cron", name="nightly", confirmed="1", back="/crons")
    await processor.run_worker(burst=True)
    assert 'class="mark finished"' in (await client.get("/crons")).text
    assert "Resume" in await forms.send(do="pause", name="nightly", back="/crons")
    await forms.send(do="pause", tag="light", back="/workers")
    assert (await processor.get_pauses()).tags == {"light"}
    await forms.send(do="resume", tag="light")
    await forms.send(do="resume", name="nightly")
    assert not await processor.get_pauses()


async def test_workers(processors: Processors) -> None:
    """What each is and does; it is asked to stop."""
    processor, worker = await processors.start(jobs=JOBS)
    job = await processor.schedule_job("slow")
    async with client_of(create_app(processor)) as client:
        forms = Forms(client)
        text = ""
        while f"/jobs/{job.id}" not in text:
            text = (await client.get("/workers")).text
        id = re.search(r'name="id" value="([0-9a-f]{24})"', text)
        assert id is not None
        assert "1 / 10" in text
        await processor.kill_job(job.id)
        await forms.send(do="stop", id=id[1], back="/workers", confirmed="1")
        await worker.task


async def test_an_edited_language(client: httpx.AsyncClient, forms: Forms) -> None:
    """By what the browser prefers, and by the switch, which stays."""
    for accept, title in (("fr-FR,fr;q=0.9", "Vue d&#39;ensemble"), ("de,en;q=0.5", "Overview")):
        text = (await client.get("/", headers={"accept-language": accept})).text
        assert f"<h1>{title}</h1>" in text
    await forms.send("/language", language="fr", back="/")
    text = (await client.get("/", headers={"accept-language": "en"})).text
    assert '<html lang="fr"' in text
    for status in (
        "Programmé",
        "En cours",
        "Terminé",
        "En échec",
        "En pause",
        "Interrompu",
        "Ignoré",
    ):
        assert status in text


async def test_under_another_application(processor: JobProcessor) -> None:
    """Mounted, every link, form and cookie stays below its path."""
    host = Starlette(routes=[Mount("/admin/queue", create_app(processor))])
    await processor.schedule_job("echo")
    async with client_of(host) as client:
        for path in (
            "/",
            "/jobs",
            "/crons",
            "/workers",
            "/limits",
            "/lane?lane=a",
            "/audit",
            "/nothing",
        ):
            text = (await client.get(f"/admin/queue{path}")).text
            links = re.findall(r'(?:href|src|action|data-live)="(/[^"]*)"', text)
            assert links
            assert [link for link in links if not link.startswith("/admin/queue/")] == []
        assert (await client.get("/admin/queue/static/app.css")).status_code == 200
        assert (await client.get("/admin/queue/api/jobs")).json()["jobs"]
        token = csrf_of((await client.get("/admin/queue/jobs")).text)
        form = {"csrf": token, "do": "pause", "name": "echo", "back": "/crons"}
        answer = await client.post("/admin/queue/act", data=form)
        assert answer.url.path == "/admin/queue/crons"


async def test_it_sets_the_processor_up() -> None:
    """With the first request, where nobody did."""
    processor = JobProcessor("sqlite://", jobs=JOBS)
    async with client_of(create_app(processor)) as client:
        assert (await client.get("/")).status_code == 200
    await processor.close()


def test_every_text_is_translated() -> None:
    """Each text of the templates has its French."""
    used = set()
    for template in TEMPLATES.glob("*.html"):
        used |= set(re.findall(r'\bt\("([^"]+)"\)', template.read_text()))
    assert used - FRENCH.keys() == set()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, ""),
        (0.0004, "0 ms"),
        (0.25, "250 ms"),
        (4.2, "4.2 s"),
        (75, "1 min 15 s"),
        (90_061, "1 d 1 h"),
    ],
)
def test_spans(seconds: float | None, told: str) -> None:
    """In the two largest units."""
    assert span(seconds) == told


async def test_a_name_with_blanks_at_its_ends_selects_its_jobs(processors: Processors) -> None:
    """A name is any text; a filter of blanks alone is none."""
    names = [" leading", "trailing ", "plain"]
    processor = await processors.make(jobs={name: JobDef(None) for name in names})
    for name in names:
        await processor.schedule_job(name)
    async with client_of(create_app(processor)) as client:
        for name in names:
            found = (await client.get("/api/jobs", params={"name": name})).json()["jobs"]
            assert [job["name"] for job in found] == [name]
        found = (await client.get("/api/jobs", params={"name": "  ", "tag": " "})).json()["jobs"]
        assert len(found) == 3
