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
  const heads = [...grid.querySelectorAll("[role=columnheader]")].map((each) => each.innerText.trim());
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
async def page(browser: Browser, node_package: None, tmp_path: Path) -> AsyncIterator[Page]:
    """A page with the components; whatever it complains of fails the test."""
    page = await browser.new_page(viewport={"width": 1800, "height": 4000}, timezone_id="UTC")
    watched = Watched(page)
    await page.set_content('<div id="root"></div>')
    await page.add_script_tag(content=bundle(tmp_path / "components.js"))
    yield page
    await page.close()
    assert watched.complaints == []


async def status_of(source: str, both: Both, processor: JobProcessor) -> dict[str, Any]:
    """Return the status as our dashboard serves it, or as Node's own function computes it."""
    if source == "node":
        node = await both.node(work=False, crons=NIGHTLY)
        computed: dict[str, Any] = await node.do("status_json")
        return computed
    async with client_of(create_app(processor)) as client:
        answer = await client.get("/api/processor-status")
    served: dict[str, Any] = answer.json()
    return served


@pytest.mark.parametrize("source", ["python", "node"])
async def test_they_show_what_we_wrote(both: Both, page: Page, source: str) -> None:
    """Workers, names of jobs and crons with their last state; from either status the same."""
    processor = await ours(both)
    shown = Shown(page, await status_of(source, both, processor))

    workers, queue, jobs, crons = await shown.tables("ProcessorStatusIndexComponent")
    assert queue == []
    (worker,), (registered,) = workers, await both.until("workers")
    assert worker["Identifiant"] == str(registered["_id"])
    assert worker["Hôte"] == registered["hostname"]
    assert worker["Dernière vue"] != ""
    # Node 2.3.0 compares the objects of two ids, and finds no task of a worker; ours does.
    assert worker["Tâche en cours"] == ("one" if source == "python" else "")

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


@pytest.mark.parametrize("source", ["python", "node"])
async def test_they_show_a_job_and_a_cron(both: Both, page: Page, source: str) -> None:
    """The runs of each name with their states and links, and all that one of them left."""
    processor = await ours(both)
    shown = Shown(page, await status_of(source, both, processor))
    runs = {}
    for name in ("done", "failed", "one"):
        (table,) = await shown.tables("ProcessorStatusJobComponent", name=name)
        runs[name] = picked(table, "Statut", "Voir")
    expected = {
        (job.name, TEXTS[job.status]): f"/status/job/{job.name}/{job.id}"
        for job in (await processor.find_jobs(type="simple")).jobs
    }
    assert {(name, text): link for name in runs for text, link in runs[name]} == expected
    assert len(expected) == 6

    scheduled, running, history = await shown.tables("ProcessorStatusCronComponent", name="nightly")
    (task,) = (await processor.find_jobs(type="cron_task")).jobs
    assert picked(scheduled, "Voir") == [(f"/status/cron/nightly/{task.id}",)]
    assert running == history == []

    for job in (await processor.find_jobs()).jobs:
        kind = "cron" if job.type == "cron_task" else "job"
        text = await shown.text(
            "ProcessorStatusTaskComponent", type=kind, name=job.name, id=str(job.id)
        )
        assert f"Statut: {TEXTS[job.status]}" in text
        if job.name == "failed":
            assert "ValueError: it was me, in Python" in text
            assert '"a": 1' in text
    assert "Non trouvé" in await shown.text("ProcessorStatusJobComponent", name="nowhere")


def picked(rows: list[Row], *columns: str) -> list[tuple[str, ...]]:
    """Return these columns of a table."""
    return [tuple(row[column] for column in columns) for row in rows]
