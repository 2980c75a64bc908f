"""The React components of the Node package, in a browser, on a database full of our documents."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.async_api import Browser, Page

from job_processor import JobProcessor, JobStatus
from job_processor.web import create_app
from tests.acceptance.node.both import Both
from tests.acceptance.node.peers import bundle
from tests.acceptance.node.test_reading import NIGHTLY, ours
from tests.web.conftest import Watched, browser, client_of

__all__ = ["browser"]  # the fixture

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(400)]

Row: TypeAlias = dict[str, str]

TEXTS = {
    JobStatus.PENDING: "Programmé",
    JobStatus.RUNNING: "En cours",
    JobStatus.FINISHED: "Terminé",
    JobStatus.ERRORED: "Erreur",
    JobStatus.KILLED: "Annulé",
    JobStatus.SKIPPED: "Ignoré",
}
"""What the components call each status."""

READ = """() => [...document.querySelectorAll("[role=grid]")].map((grid) => {
  const heads = [...grid.querySelectorAll("[role=columnheader]")].map((it) => it.innerText.trim());
  return [...grid.querySelectorAll("[role=row][data-id]")].map((row) =>
    Object.fromEntries([...row.querySelectorAll("[role=gridcell]")].map((cell, n) => [
      heads[n], cell.querySelector("a")?.getAttribute("href") ?? cell.innerText.trim()])));
})"""
"""All tables of the page, a row by its headings; of a link its target."""


class Shown:
    """What a component shows of a status."""

    def __init__(self, page: Page, status: dict[str, Any]) -> None:
        self.page = page
        self.status = status

    async def text(self, component: str, **properties: Any) -> str:
        """Return all text."""
        await self._show(component, properties)
        return await self.page.inner_text("#root")

    async def tables(self, component: str, **properties: Any) -> list[list[Row]]:
        """Return the tables, once each has its rows."""
        await self._show(component, properties)
        await self.page.wait_for_function(
            "() => [...document.querySelectorAll('[role=grid]')].every((grid) => "
            "grid.querySelector('[role=row][data-id], .MuiDataGrid-overlay'))"
        )
        tables: list[list[Row]] = await self.page.evaluate(READ)
        return tables

    async def _show(self, component: str, properties: dict[str, Any]) -> None:
        given = {"status": self.status, "baseUrl": "/status", **properties}
        await self.page.evaluate("([name, given]) => show(name, given)", [component, given])


@pytest.fixture
async def page(node_components: None, browser: Browser, tmp_path: Path) -> AsyncIterator[Page]:
    """A page with the components; whatever it complains of fails the test."""
    page = await browser.new_page(viewport={"width": 1800, "height": 4000}, timezone_id="UTC")
    watched = Watched(page)
    await page.set_content('<div id="root"></div>')
    await page.add_script_tag(content=bundle(tmp_path / "components.js"))
    yield page
    await page.close()
    assert watched.complaints == []


async def test_they_show_all_that_we_wrote(both: Both, page: Page) -> None:
    """Workers, jobs and crons, from the status that we serve as from the one that Node computes."""
    processor = await ours(both)
    async with client_of(create_app(processor)) as client:
        served = (await client.get("/api/processor-status")).json()
    node = await both.node(work=False, crons=NIGHTLY)
    # Node 2.3.0 compares the objects of two ids, and finds no task of a worker; ours does.
    for status, task in ((served, "one"), (await node.do("status_json"), "")):
        shown = Shown(page, status)
        await check_index(shown, both, task)
        await check_names(shown, processor)
        await check_each(shown, processor)


async def check_index(shown: Shown, both: Both, task: str) -> None:
    """The worker with its task, and each job and cron with its last state and its link."""
    workers, queue, jobs, crons = await shown.tables("ProcessorStatusIndexComponent")
    assert queue == []
    (worker,), (registered,) = workers, await both.until("workers")
    assert worker["Identifiant"] == str(registered["_id"])
    assert worker["Hôte"] == registered["hostname"]
    assert worker["Dernière vue"] != ""
    assert worker["Tâche en cours"] == task

    columns = ("Nom", "Statut", "Dernier Statut", "Voir")
    assert sorted(picked(jobs, *columns)) == [
        ("done", "Programmé", "Annulé", "/status/job/done"),
        ("failed", "Erreur", "Erreur", "/status/job/failed"),
        ("one", "Ignoré", "Ignoré", "/status/job/one"),
    ]
    columns = ("Nom", "Programmation", "Dernier Statut", "Voir")
    expected = ("nightly", "0 3 * * *", "Jamais exécuté", "/status/cron/nightly")
    assert picked(crons, *columns) == [expected]
    assert crons[0]["Planifié pour"].endswith(("2:00:00 AM", "1:00:00 AM"))  # 3 h in Paris


async def check_names(shown: Shown, processor: JobProcessor) -> None:
    """The runs of each name, each with its state and its link; that a name is not there."""
    runs = {}
    for name in ("done", "failed", "one"):
        (table,) = await shown.tables("ProcessorStatusJobComponent", name=name)
        runs.update({(name, text): link for text, link in picked(table, "Statut", "Voir")})
    assert runs == {
        (job.name, TEXTS[job.status]): f"/status/job/{job.name}/{job.id}"
        for job in (await processor.find_jobs(type="simple")).jobs
    }
    assert len(runs) == 6
    scheduled, running, history = await shown.tables("ProcessorStatusCronComponent", name="nightly")
    (task,) = (await processor.find_jobs(type="cron_task")).jobs
    assert picked(scheduled, "Voir") == [(f"/status/cron/nightly/{task.id}",)]
    assert running == history == []
    assert "Non trouvé" in await shown.text("ProcessorStatusJobComponent", name="nowhere")


async def check_each(shown: Shown, processor: JobProcessor) -> None:
    """Each run alone: its state, and of one that failed its error and its payload."""
    for job in (await processor.find_jobs()).jobs:
        kind = "cron" if job.type == "cron_task" else "job"
        given = {"type": kind, "name": job.name, "id": str(job.id)}
        text = await shown.text("ProcessorStatusTaskComponent", **given)
        assert f"Statut: {TEXTS[job.status]}" in text
        if job.name == "failed":
            assert "ValueError: it was me, in Python" in text
            assert '"a": 1' in text


def picked(rows: list[Row], *columns: str) -> list[tuple[str, ...]]:
    """Return these columns of a table."""
    return [tuple(row[column] for column in columns) for row in rows]
