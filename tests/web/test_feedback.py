"""What follows a button: a question where something is lost, what was done, and a way back."""

from __future__ import annotations

import re
from typing import Any

import httpx2 as httpx
import pytest

from job_processor import JobProcessor
from job_processor.web import create_app
from tests.processors import Processors
from tests.web.conftest import JOBS, client_of
from tests.web.forms import Forms, token_of


def told_of(page: str) -> str:
    """Return the message of a page, as text."""
    found = re.search(r'<div class="told" role="status">(.*?)</div>', page, re.DOTALL)
    return "" if found is None else " ".join(re.sub(r"<[^>]*>", " ", found[1]).split())


def fields_of(form: str) -> dict[str, str]:
    """Return what the last form of a part of a page sends."""
    named = re.findall(r'<(?:input|button)[^>]* name="([^"]+)" value="([^"]*)"', form)
    return {name: value for name, value in named if name != "csrf"}


def undo_of(page: str) -> dict[str, str]:
    """Return what the button sends that takes something back."""
    return fields_of(page.partition('<div class="told"')[2].partition("</div>")[0])


async def test_a_kill_is_taken_back(forms: Forms, processor: JobProcessor) -> None:
    """It says what was killed, and runs it again by its button; so do few that were chosen."""
    one, two, three = await processor.schedule_jobs(["echo"] * 3)
    page = await forms.send(do="kill", id=str(one.id))
    assert told_of(page) == "✓ echo killed. · undo: Run again"
    assert told_of(await forms.send(**undo_of(page))).startswith("✓ echo runs again")
    assert await processor.count_jobs(status="pending") == 3
    page = await forms.send(do="kill", ids=[str(two.id), str(three.id), "0" * 24])
    told = "✓ 2 jobs killed. 1 is not there any more. · undo: Run again"
    assert told_of(page) == told
    ids = re.findall(
        r'name="ids" value="([^"]+)"', page.partition("</header>")[2].partition("<main")[0]
    )
    again = told_of(await forms.send(do="retry", ids=ids))
    assert again == "✓ 2 jobs run again. 1 is not there any more."
    assert await processor.count_jobs(status="pending") == 3


@pytest.mark.parametrize(
    ("do", "status", "told"),
    [
        ("retry", "pending", "0 jobs run again. 1 left as it was: it has not ended yet."),
        ("kill", "finished", "0 jobs killed. 1 left as it was: it had ended already."),
    ],
)
async def test_why_some_were_left(
    forms: Forms, processor: JobProcessor, do: str, status: str, told: str
) -> None:
    """Is said of an action on several."""
    job = await processor.schedule_job("echo")
    if status == "finished":
        await processor.run_worker(burst=True)
    assert told_of(await forms.send(do=do, ids=[str(job.id)])) == f"✓ {told}"


async def test_what_runs_is_asked_about(processors: Processors) -> None:
    """Nothing that runs is stopped, and nothing removed, before a question has its answer."""
    processor, worker = await processors.start(jobs=JOBS)
    job = await processor.schedule_job("slow")
    await processor.put_schedule("daily", job="echo", every=86_400)
    async with client_of(create_app(processor)) as client:
        forms = Forms(client)
        while (await processor.count_jobs(status="running")) == 0:
            await client.get("/healthz")
        (registered,) = (await processor.get_registrations()).workers
        name = f"{registered.hostname}:{registered.pid}"
        for fields, question in (
            ({"do": "kill", "id": str(job.id)}, "Kill slow?"),
            ({"do": "stop", "id": str(registered.id)}, f"Stop worker {name}?"),
            ({"do": "remove_schedule", "name": "daily"}, "Remove schedule daily?"),
            ({"do": "delete", "id": str(job.id)}, "Delete slow?"),
        ):
            page = await forms.send(**fields)
            assert f"<h1>{question}</h1>" in page
            assert 'class="primary danger"' in page
            assert fields_of(page.partition("<main")[2]) == {
                **fields,
                "confirmed": "1",
                "back": "/jobs",
            }
        assert await processor.get_audit() == []
        assert await processor.count_jobs(status="running") == 1
        page = await forms.send(do="kill", id=str(job.id), confirmed="1")
        assert "its worker has been asked to stop it" in told_of(page) or "killed" in told_of(page)
        page = await forms.send(do="stop", id=str(registered.id), confirmed="1")
        assert f"Worker {name} has been asked to stop" in told_of(page)
        await worker.task


async def test_a_pause_is_taken_back(forms: Forms, processor: JobProcessor) -> None:
    """Of a name, of a tag and of a schedule; the page says what was paused and what that means."""
    page = await forms.send(do="pause", name="echo")
    assert told_of(page).startswith("✓ echo paused: no worker starts it; running jobs continue.")
    assert told_of(await forms.send(**undo_of(page))).startswith("✓ echo resumed.")
    page = await forms.send(do="pause", tag="light")
    assert told_of(page).startswith("✓ Tag light paused")
    await forms.send(**undo_of(page))
    assert not await processor.get_pauses()
    await processor.put_schedule("daily", job="echo", every=86_400)
    page = await forms.send(do="pause_schedule", name="daily")
    assert told_of(page) == "✓ Schedule daily paused. · undo: Resume"
    await forms.send(**undo_of(page))
    assert [each.paused for each in (await processor.schedules()).schedules] == [False]


async def test_in_french(client: httpx.AsyncClient, processor: JobProcessor) -> None:
    """Each sentence is a French one, with the signs as they stand there."""
    job = await processor.schedule_job("echo")
    client.headers["accept-language"] = "fr"
    page = await Forms(client).send(do="kill", id=str(job.id))
    assert told_of(page) == "✓ Job « echo » interrompu. · pour annuler : Exécuter à nouveau"
    shown = (await client.get(f"/jobs/{'0' * 24}")).text
    assert "Job introuvable" in shown


async def test_many_and_long_names(forms: Forms, processor: JobProcessor) -> None:
    """A message has room in its cookie, whatever it is about: the way back is left out first."""
    jobs = await processor.schedule_jobs(["echo"] * 80)
    page = await forms.send(do="kill", ids=[str(job.id) for job in jobs])
    assert told_of(page) == "✓ 80 jobs killed."
    name: Any = "ü" * 200
    page = await forms.send(do="pause", tag=name)
    assert f"Tag {'ü' * 79}… paused" in told_of(page)


async def refreshed(client: httpx.AsyncClient, page: str) -> str:
    """Return what an open page gets that asks for itself again."""
    offered = re.search(r'data-told="([^"]+)"', page)
    assert offered is not None
    return (await client.get("/jobs", headers={"job-processor-refresh": offered[1]})).text


async def test_a_retry_that_has_ended_is_not_offered_to_be_killed(
    client: httpx.AsyncClient, forms: Forms, processor: JobProcessor
) -> None:
    """Neither on a page that comes after the end, nor on one that stood open until then.

    It says how the job ended; one that still waits is offered to be killed again and again.
    """
    job = await processor.schedule_job("echo")
    await processor.run_worker(burst=True)
    page = await forms.send(do="retry", id=str(job.id))
    offers = "✓ echo runs again: it is in the queue, with all its attempts. · undo: Kill it"
    assert told_of(page) == offers
    page = await refreshed(client, page)
    assert told_of(page) == offers
    await processor.run_worker(burst=True)
    ended = "✓ echo was retried and has ended since: finished. Show it"
    page = await refreshed(client, page)
    assert told_of(page) == ended
    assert f'href="/jobs/{job.id}">Show it' in page
    assert "data-told" not in page
    client.follow_redirects = False
    fields = {"csrf": await token_of(client), "back": "/jobs", "do": "retry", "id": str(job.id)}
    await client.post("/act", data=fields)
    await processor.run_worker(burst=True)
    assert told_of((await client.get("/jobs")).text) == ended
    await client.post("/act", data=fields)
    await processor.kill_job(job.id)
    await processor.delete_job(job.id)
    assert told_of((await client.get("/jobs")).text) == "✓ echo is not there any more."


async def test_what_was_retried_meanwhile_is_not_offered_to_run_again(
    client: httpx.AsyncClient, forms: Forms, processor: JobProcessor
) -> None:
    """Of several it is offered as long as one of them could run again; of none it is no word."""
    one, two, three = await processor.schedule_jobs(["echo"] * 3)
    page = await forms.send(do="kill", id=str(one.id))
    await processor.retry_job(one.id)
    told = "✓ echo was killed and has been retried since: pending. Show it"
    assert told_of(await refreshed(client, page)) == told
    page = await forms.send(do="kill", ids=[str(two.id), str(three.id)])
    await processor.retry_job(two.id)
    assert told_of(await refreshed(client, page)) == "✓ 2 jobs killed. · undo: Run again"
    await processor.retry_job(three.id)
    assert told_of(await refreshed(client, page)) == "✓ 2 jobs killed."
    group = await processor.schedule_group("echo", [{}])
    await processor.run_worker(burst=True)
    page = await forms.send(do="kill_group", id=str(group.id), confirmed="1")
    assert told_of(page) == "✓ 0 jobs of the group killed."


async def test_a_schedule_that_is_gone_is_not_offered_to_be_resumed(
    client: httpx.AsyncClient, forms: Forms, processor: JobProcessor
) -> None:
    """The message says what became of it, in the language of its reader."""
    await processor.put_schedule("daily", job="echo", every=86_400)
    page = await forms.send(do="pause_schedule", name="daily")
    await processor.remove_schedule("daily")
    told = "✓ Schedule daily removed. The jobs that it made stay."
    assert told_of(await refreshed(client, page)) == told
