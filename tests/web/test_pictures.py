"""The pictures of the documentation: every page of a busy shop, in both languages."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from playwright.async_api import Browser, expect

from job_processor import Context, CronDef, JobDef, JobProcessor, Retry
from job_processor.models import Attempt, CronTask, JobStatus, Output, SimpleJob
from job_processor.store.rollups import MINUTE, TEN_MINUTES, Rollup, start_of
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors, eventually
from tests.samples import occurrence, settled

SHOTS = "JOB_PROCESSOR_SCREENSHOTS"
"""A folder into which they are put; without it there are none."""

pytestmark = pytest.mark.skipif(SHOTS not in os.environ, reason=f"pictures are made with ${SHOTS}")


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: what a browser sees does not depend on it."""
    return sqlite_db_url


async def send_invoice(payload: dict[str, Any]) -> dict[str, Any]:
    """Return what a mail server would."""
    return {"message_id": f"{payload['invoice']}@shop.example"}


async def resize_photos(context: Context, payload: dict[str, Any]) -> None:
    """Tell of itself until it is stopped."""
    for n in range(payload["begun"], 1200):
        context.progress(n / 1200, f"photo {n} of 1,200")
        if n % 5 == 0:
            context.log(f"photo-{n}.jpg: 12 MB to 1 MB")
        await asyncio.sleep(1)


JOBS = {
    "send_invoice": JobDef(send_invoice),
    "charge_card": JobDef(nothing, retry=Retry(3, delay=0)),
    "resize_photos": JobDef(resize_photos, tag="images"),
    "sync_stock": JobDef(nothing, tag="warehouse"),
}
CRONS = {
    "nightly_report": CronDef("0 2 * * *", nothing, timezone="Europe/Paris"),
    "renew_tokens": CronDef("*/20 * * * *", nothing, timezone="UTC"),
    "stock_of_all_shops": CronDef("30 6,18 * * MON-SAT", nothing, timezone="Europe/Paris"),
}


@pytest.fixture
async def processor(processors: Processors) -> JobProcessor:
    """A shop's, with a day behind it."""
    processor = await processors.make(jobs=JOBS, crons=CRONS, concurrency=4)
    random.seed(7)
    now = datetime.now(UTC).replace(microsecond=0)
    store = store_of(processor)
    await store.intake.insert([*finished_jobs(now), *cron_tasks(now)])
    await store.rollups.add(list(rollups(now)))
    return processor


def finished_jobs(now: datetime) -> Iterator[SimpleJob]:
    for n in range(3000, 0, -1):
        at = now - timedelta(seconds=28 * n + random.randrange(20))
        errored = random.random() < 0.03
        error = "TimeoutError: the warehouse did not answer within 30 s"
        yield settled(
            "sync_stock" if errored else random.choice(["send_invoice", "sync_stock"]),
            at=at,
            status=JobStatus.ERRORED if errored else JobStatus.FINISHED,
            started_at=at,
            ended_at=at + timedelta(milliseconds=400),
            output=Output(
                f"{random.randrange(180, 900)}ms",
                None if errored else {"ok": True},
                error if errored else None,
            ),
            payload={"invoice": 40_000 - n},
        )


def cron_tasks(now: datetime) -> Iterator[CronTask]:
    spans = {"nightly_report": 1440, "renew_tokens": 20, "stock_of_all_shops": 720}
    for name, minutes in spans.items():
        for n in range(20, 0, -1):
            at = now - timedelta(minutes=minutes * n)
            errored = random.random() < 0.1
            yield occurrence(
                name,
                at=at,
                status=JobStatus.ERRORED if errored else JobStatus.FINISHED,
                started_at=at,
                ended_at=at + timedelta(seconds=3),
                output=Output(
                    f"{random.randrange(8, 60)}s", None, "OSError: no answer" if errored else None
                ),
            )


def rollups(now: datetime) -> Iterator[Rollup]:
    for seconds, count, most in ((MINUTE, 60, 40), (TEN_MINUTES, 144, 400)):
        for n in range(count):
            busy = 0.6 + 0.4 * abs((n % 48) - 24) / 24
            errored = random.choice([0, 0, 0, 1, 2, 5 if 20 < n < 26 else 0])
            yield Rollup(
                seconds,
                start_of(now - timedelta(seconds=seconds * n), seconds),
                {"finished": int(most * busy * random.uniform(0.8, 1)), "errored": errored},
                {"sync_stock": errored} if errored else {},
                {2: most // 2, 3: most // 3, 5: 2},
            )


def failed_job(now: datetime) -> SimpleJob:
    """One whose traceback names the shop's own files."""
    error = "ConnectionError: the bank refused invoice 39871: try again later"
    times = [now - timedelta(seconds=seconds) for seconds in (95, 64, 8)]
    return settled(
        "charge_card",
        at=times[0],
        status=JobStatus.ERRORED,
        scheduled_for=times[-1],
        updated_at=now,
        started_at=times[-1],
        ended_at=times[-1] + timedelta(milliseconds=812),
        worker_id=ObjectId(),
        output=Output(
            "812ms",
            None,
            f'{error}\n  File "/srv/shop/jobs.py", line 41, in charge_card\n'
            "    await bank.charge(payload)\n"
            '  File "/srv/shop/bank.py", line 17, in charge\n'
            "    raise ConnectionError(answer)",
        ),
        attempt=3,
        attempts=tuple(
            Attempt(n, at, at + timedelta(seconds=1), error, ObjectId())
            for n, at in enumerate(times[:-1], 1)
        ),
        payload={"invoice": 39_871, "card": "…4242"},
    )


async def be_busy(processor: JobProcessor) -> tuple[str, str]:
    """Let jobs run, fail and wait; return the ids of one that runs and of one that failed."""
    running = [
        await processor.schedule_job("resize_photos", {"album": name, "begun": begun})
        for name, begun in (("Lisbon", 310), ("Fairs of 2029", 840), ("Catalogue", 95))
    ]
    failed = failed_job(datetime.now(UTC).replace(microsecond=0))
    await store_of(processor).intake.insert([failed])
    later = datetime.now(UTC) + timedelta(hours=2)
    await processor.schedule_jobs([("send_invoice", {"invoice": n}, later) for n in range(12)])

    async def is_busy() -> bool:
        each = await processor.get_job(running[0].id)
        return bool(each and each.progress)

    await eventually(is_busy)
    await processor.pause(tag="warehouse")
    for who, action, told in (
        ("camille", "pause", "tag warehouse"),
        ("alex", "retry", "all with name=sync_stock, status=errored: 41 done, 0 left as they were"),
    ):
        await processor.add_audit(who, action, told)
    return str(running[0].id), str(failed.id)


async def test_pictures(
    browser: Browser, address: str, processor: JobProcessor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pictures of the documentation, in both languages."""
    monkeypatch.setattr(socket, "gethostname", lambda: "shop-1")
    folder = Path(os.environ[SHOTS])
    folder.mkdir(parents=True, exist_ok=True)
    worker = asyncio.create_task(processor.run_worker())
    running, failed = await be_busy(processor)
    pages = {
        "overview": "",
        "jobs": "jobs?name=sync_stock",
        "crons": "crons",
        "workers": "workers",
        "audit": "audit",
        "job": f"jobs/{failed}",
        "running": f"jobs/{running}",
    }
    for language in ("en", "fr"):
        context = await browser.new_context(
            base_url=address, locale=language, viewport={"width": 1280, "height": 800}
        )
        page = await context.new_page()
        for name, path in pages.items():
            await page.goto(f"/{path}")
            await expect(page.locator("#state.on")).to_be_visible()
            await page.screenshot(path=folder / f"{name}.{language}.png", full_page=name != "jobs")
        await context.close()
    looks: dict[str, dict[str, Any]] = {
        "overview.dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 800}},
        "overview.phone": {"viewport": {"width": 390, "height": 844}, "is_mobile": True},
    }
    for name, options in looks.items():
        context = await browser.new_context(base_url=address, **options)
        page = await context.new_page()
        await page.goto("/")
        await page.screenshot(path=folder / f"{name}.png")
        await context.close()
    worker.cancel()
    await asyncio.gather(worker, return_exceptions=True)
