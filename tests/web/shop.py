"""A shop with a day behind it, for the pictures of the documentation: all of it is made up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from job_processor import Context, CronDef, JobDef, JobProcessor, Limit, Rate, Retry
from job_processor.clock import to_ms
from job_processor.models import (
    Attempt,
    CronTask,
    Job,
    JobStatus,
    Output,
    SimpleJob,
    WorkerInfo,
)
from job_processor.parts import ready_parts_of
from job_processor.store import Store
from job_processor.store.losses import KIND, Loss
from job_processor.worker.tally import Tally
from tests.samples import occurrence, settled, simple

BANK = "ConnectionError: the bank refused invoice {n}: try again later"
WAREHOUSE = "TimeoutError: the warehouse did not answer within 30 s"
STOCK = "KeyError: 'sku-{n}'"
PLACES = {
    BANK: '  File "/srv/shop/jobs.py", line 41, in charge_card\n    await bank.charge(payload)\n'
    '  File "/srv/shop/bank.py", line 17, in charge\n    raise ConnectionError(answer)',
    WAREHOUSE: '  File "/srv/shop/stock.py", line 23, in sync_stock\n    await warehouse.get(sku)',
    STOCK: '  File "/srv/shop/stock.py", line 31, in sync_stock\n    old = known[sku]',
}


async def send_invoice(payload: dict[str, Any]) -> dict[str, Any]:
    """Return what a mail server would."""
    return {"message_id": f"{payload['invoice']}@shop.example"}


async def import_catalogue(context: Context, supplier: str, begin: int = 0) -> None:
    """Tell of itself until it is stopped."""
    for n in range(begin, 1200):
        context.progress(n / 1200, f"article {n:,} of 1,200")
        if n % 5 == 0:
            context.log(f"{supplier}-{n}: 3 pictures, 2 prices")
        await asyncio.sleep(1)


async def resize_photos(context: Context, album: str, begin: int = 0) -> None:
    """Tell of itself until it is stopped."""
    await import_catalogue(context, album, begin)


async def charge_card(invoice: int, amount: float, currency: str = "EUR") -> None:
    """Do nothing: it only has fields to fill in."""


async def nothing(payload: Any = None) -> None:
    """Do nothing."""


ATTEMPTS = {"charge_card": 5}
"""Of those that are retried."""
JOBS = {
    "send_invoice": JobDef(send_invoice, tag="mail", rate=Rate(600, per=60)),
    "send_receipt": JobDef(nothing, tag="mail"),
    "charge_card": JobDef(
        charge_card, tag="payments", retry=Retry(ATTEMPTS["charge_card"], delay=60)
    ),
    "import_catalogue": JobDef(import_catalogue, tag="imports", limit=2),
    "resize_photos": JobDef(resize_photos, tag="images", limit=Limit(3)),
    "sync_stock": JobDef(nothing, tag="warehouse", limit=Limit(2, key="shop")),
    "export_orders": JobDef(nothing, tag="warehouse"),
    "load_articles": JobDef(nothing, tag="imports"),
}
CRONS = {
    "nightly_report": CronDef("0 2 * * *", nothing, timezone="Europe/Paris"),
    "renew_tokens": CronDef("*/20 * * * *", nothing, timezone="UTC"),
    "stock_of_all_shops": CronDef("30 6,18 * * MON-SAT", nothing, timezone="Europe/Paris"),
    "month_end": CronDef("0 4 1 * *", nothing, timezone="Europe/Paris"),
}
RATES = {  # jobs a minute at noon, seconds of a run, share of runs that fail
    "send_invoice": (3.5, 0.24, 0.0),
    "send_receipt": (2.2, 0.11, 0.0),
    "charge_card": (1.2, 0.81, 0.012),
    "resize_photos": (0.5, 18.0, 0.0),
    "sync_stock": (2.8, 1.9, 0.02),
    "export_orders": (0.3, 4.1, 0.003),
}


@dataclass(frozen=True)
class Shop:
    """What is worth a look."""

    failed: ObjectId
    running: ObjectId
    flow: ObjectId
    group: ObjectId


async def open_shop(processor: JobProcessor, now: datetime) -> Shop:
    """Fill a database with what a day leaves behind, and let some of it run."""
    random.seed(7)
    store = ready_parts_of(processor).store
    hosts = [
        _worker(host, pid) for host, pid in (("shop-1", 2877), ("shop-1", 2879), ("shop-2", 412))
    ]
    for host in hosts:
        await store.workers.register(host)
    failed = _failed(now)
    past: list[Job] = [*_history(now), *_occurrences(now), *_retrying(now), failed]
    await store.intake.insert(past)
    await store.intake.insert([*_running(now, hosts), *_waiting(now)])
    await _count(processor, past)
    await _lose(store, now)
    group, flow = await _together(processor)
    await processor.pause("export_orders")
    await processor.put_schedule("digest-of-ada", job="send_receipt", cron="0 7 * * MON-FRI")
    await processor.put_schedule(
        "sync-of-lyon", job="sync_stock", every=900, payload={"shop": "lyon"}
    )
    for who, action, told in (
        ("camille", "pause", "export_orders"),
        ("alex", "retry", "all with name=sync_stock, status=errored"),
        ("ops@shop-1", "set_limit", "import_catalogue: 2"),
    ):
        await processor.add_audit(who, action, told)
    for album, begin in (("Lisbon", 310), ("Fairs", 980)):
        await processor.schedule_job("resize_photos", {"album": album, "begin": begin})
    job = await processor.schedule_job("import_catalogue", {"supplier": "lumen", "begin": 840})
    return Shop(failed.id, job.id, flow, group)


def _worker(host: str, pid: int) -> WorkerInfo:
    names = (*JOBS, *CRONS)
    now = datetime.now().astimezone()
    return WorkerInfo(
        id=ObjectId(),
        hostname=host,
        last_seen=now,
        timeout_s=86_400,
        names=names,
        pid=pid,
        version="0.1.0",
        concurrency=4,
        started_at=now - timedelta(hours=31),
        memory=random.randrange(70, 160) * 1_000_000,
    )


def _payload(name: str, n: int) -> dict[str, Any]:
    shop = ("lyon", "lille", "nantes", "lisbon")[n % 4]
    payloads: dict[str, dict[str, Any]] = {
        "charge_card": {"invoice": 40_000 - n, "amount": 19.9 + n % 80, "currency": "EUR"},
        "sync_stock": {"shop": shop, "sku": f"sku-{n * 7 % 9000}"},
        "resize_photos": {"album": shop, "photos": 40 + n % 60},
        "export_orders": {"shop": shop, "day": "yesterday"},
    }
    return payloads.get(name, {"invoice": 40_000 - n, "to": f"customer-{n}@mail.example"})


def _error(text: str, n: int) -> str:
    return f"{text.format(n=n)}\n{PLACES[text]}"


def _history(now: datetime) -> Iterator[SimpleJob]:
    """Jobs of a day that have ended."""
    made = sorted(_made(now))
    for n, (at, name) in zip(range(len(made), 0, -1), made, strict=True):
        job = _ended(name, at, n, now)
        if job.updated_at < now:
            yield job


def _made(now: datetime) -> Iterator[tuple[datetime, str]]:
    """When jobs were made in a day, more of them at noon."""
    for back in range(1440):
        busy = 0.45 + 0.55 * abs((back % 720) - 360) / 360
        for name, (rate, _, _) in RATES.items():
            for _ in range(int(rate * busy * random.uniform(0.7, 1.2) + random.random())):
                yield now - timedelta(minutes=back, seconds=random.uniform(0, 60)), name


def _ended(name: str, at: datetime, n: int, now: datetime) -> SimpleJob:
    """Return a job that has run until it finished or had no attempt left."""
    _, seconds, share = RATES[name]
    share *= 9 if 21 <= (now - at) / timedelta(minutes=1) < 35 else 1  # a bad quarter of an hour
    text = BANK if name == "charge_card" else random.choice([WAREHOUSE, WAREHOUSE, STOCK])
    most = ATTEMPTS.get(name, 1)
    fails = random.choice([1, 1, most]) if random.random() < share else 0
    runs: list[tuple[datetime, datetime]] = []
    begun = at + timedelta(seconds=random.lognormvariate(-4.5, 1.4))
    for _ in range(min(fails + 1, most)):
        runs.append((begun, begun + timedelta(seconds=seconds * random.lognormvariate(0, 0.4))))
        begun = runs[-1][1] + timedelta(seconds=60)
    errored, (began, ended) = fails == most, runs[-1]
    return settled(
        name,
        at=at,
        status=JobStatus.ERRORED if errored else JobStatus.FINISHED,
        scheduled_for=began if runs[1:] else at,
        updated_at=ended,
        started_at=began,
        ended_at=ended,
        output=Output(
            _took(began, ended),
            None if errored else {"ok": True},
            _error(text, n) if errored else None,
        ),
        attempt=len(runs),
        attempts=tuple(
            Attempt(number, *run, _error(text, n), None, "shop-2:412")
            for number, run in enumerate(runs[:-1], 1)
        ),
        payload=_payload(name, n),
        labels=(f"tenant:{n % 5 + 40}",) if n % 6 == 0 else (),
    )


def _took(began: datetime, ended: datetime) -> str:
    return f"{(ended - began) // timedelta(milliseconds=1)}ms"


def _retrying(now: datetime) -> Iterator[SimpleJob]:
    for n in range(4):
        at = now - timedelta(seconds=40 + 30 * n)
        began = at - timedelta(seconds=1)
        yield simple(
            "charge_card",
            at=at,
            due_in=240 - 30 * n,
            attempt=2,
            attempts=(Attempt(1, began, at, _error(BANK, 39_800 + n), ObjectId(), "shop-2:412"),),
            payload=_payload("charge_card", 200 + n),
        )


def _waiting(now: datetime) -> Iterator[SimpleJob]:
    for n in range(26):
        later = 7200 + 60 * n
        yield simple("send_invoice", at=now, due_in=later, payload=_payload("send_invoice", n))
    for n in range(3):
        yield simple(
            "export_orders", at=now - timedelta(minutes=9 - n), payload=_payload("export_orders", n)
        )


def _running(now: datetime, hosts: list[WorkerInfo]) -> Iterator[SimpleJob]:
    for n, name in enumerate(("charge_card", "send_receipt", "charge_card")):
        at = now - timedelta(seconds=2 + 5 * n)
        yield simple(
            name,
            at=at,
            status=JobStatus.RUNNING,
            started_at=at,
            worker_id=hosts[n].id,
            attempt=1,
            payload=_payload(name, n),
        )


def _occurrences(now: datetime) -> Iterator[CronTask]:
    spans = {"nightly_report": 1440, "renew_tokens": 20, "stock_of_all_shops": 720}
    for name, minutes in spans.items():
        for n in range(20, 0, -1):
            at = now - timedelta(minutes=minutes * n)
            errored = random.random() < 0.08
            seconds = random.randrange(8, 60)
            yield occurrence(
                name,
                at=at,
                status=JobStatus.ERRORED if errored else JobStatus.FINISHED,
                started_at=at,
                updated_at=at + timedelta(seconds=seconds),
                ended_at=at + timedelta(seconds=seconds),
                attempt=1,
                output=Output(f"{seconds}s", None, "OSError: no answer" if errored else None),
            )


def _failed(now: datetime) -> SimpleJob:
    """One that failed for good, whose traceback names the shop's own files."""
    times = [now - timedelta(seconds=seconds) for seconds in (372, 311, 189, 8)]
    error = _error(BANK, 39_871)
    return settled(
        "charge_card",
        at=times[0] - timedelta(milliseconds=40),
        status=JobStatus.ERRORED,
        scheduled_for=times[-1],
        updated_at=now,
        started_at=times[-1],
        ended_at=times[-1] + timedelta(milliseconds=812),
        worker_id=ObjectId(),
        output=Output("812ms", None, error),
        attempt=4,
        attempts=tuple(
            Attempt(
                n, at, at + timedelta(milliseconds=700 + 90 * n), error, ObjectId(), "shop-2:412"
            )
            for n, at in enumerate(times[:-1], 1)
        ),
        payload={"invoice": 39_871, "amount": 64.5, "currency": "EUR"},
        labels=("tenant:42",),
    )


async def _count(processor: JobProcessor, jobs: Sequence[Job]) -> None:
    """Count these jobs as the workers would have that ran them."""
    parts = ready_parts_of(processor)
    tally = Tally(parts.store, parts.logger, parts.registry)
    for job in jobs:
        tally.add([*_runs(job)])
    await tally.flush()


def _runs(job: Job) -> Iterator[tuple[Job, Job]]:
    """Give each run of a job, as it was claimed and as it was written."""
    for each in job.attempts:
        yield (
            replace(job, attempt=each.number, started_at=each.started_at),
            replace(
                job,
                status=JobStatus.PENDING,
                attempt=each.number + 1,
                attempts=job.attempts[: each.number],
                updated_at=each.ended_at,
                output=Output(_took(each.started_at, each.ended_at)),
            ),
        )
    if job.settled:
        yield job, job


async def _lose(store: Store, now: datetime) -> None:
    """Let a worker have died a quarter of an hour ago."""
    at = now - timedelta(minutes=14)
    loss = Loss(ObjectId(), "shop-3:88", at - timedelta(seconds=20), at, rescued=3)
    await store.settings.put(KIND, f"{to_ms(at):015}-{loss.worker_id}", loss.as_setting(), None)


async def _together(processor: JobProcessor) -> tuple[ObjectId, ObjectId]:
    """Return a group and a flow, a part of which is done."""
    flow = processor.flow("import of lumen")
    loads = flow.add_many(
        "load_articles", [{"part": n} for n in range(12)], after=flow.add("export_orders")
    )
    flow.add("send_receipt", after=loads)
    await flow.start()
    async with processor.group(then="send_receipt") as group:
        for n in range(8):
            await group.add("send_invoice", {"invoice": n})
    return group.id, flow.id
