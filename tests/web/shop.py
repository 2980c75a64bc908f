"""A shop with a day behind it, for the pictures of the documentation: all of it is made up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from job_processor import Context, CronDef, JobDef, JobProcessor, Limit, Rate, Retry
from job_processor.clock import to_ms
from job_processor.models import (
    Attempt,
    CronTask,
    JobStatus,
    Output,
    SimpleJob,
    WorkerInfo,
)
from job_processor.parts import ready_parts_of
from job_processor.store import Store
from job_processor.store.error_groups import ErrorGroup, fingerprint
from job_processor.store.losses import KIND, Loss
from job_processor.store.name_rollups import class_of
from job_processor.store.rollups import HOUR, start_of
from job_processor.worker.counted import counted
from job_processor.worker.figures import Figures
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


JOBS = {
    "send_invoice": JobDef(send_invoice, tag="mail", rate=Rate(600, per=60)),
    "send_receipt": JobDef(nothing, tag="mail"),
    "charge_card": JobDef(charge_card, tag="payments", retry=Retry(5, delay=60)),
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
RATES = {  # runs a minute at noon, seconds of a run, share of failures
    "send_invoice": (14, 0.24, 0.0),
    "send_receipt": (9, 0.11, 0.0),
    "charge_card": (5, 0.81, 0.012),
    "resize_photos": (2, 18.0, 0.0),
    "sync_stock": (11, 1.9, 0.02),
    "export_orders": (1, 4.1, 0.003),
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
    await store.intake.insert([*_history(now), *_occurrences(now), *_retrying(now), failed])
    await store.intake.insert([*_running(now, hosts), *_waiting(now)])
    await store.rollups.add(*_figures(processor, now))
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
    """Jobs that have ended, the last ones of each name."""
    for n in range(900, 0, -1):
        name = random.choices([*RATES], [rate for rate, _, _ in RATES.values()])[0]
        seconds = RATES[name][1] * random.uniform(0.7, 2.2)
        at = now - timedelta(seconds=4 * n + random.uniform(0, 3))
        errored = random.random() < 2.5 * RATES[name][2]
        error = BANK if name == "charge_card" else random.choice([WAREHOUSE, WAREHOUSE, STOCK])
        yield settled(
            name,
            at=at,
            status=JobStatus.ERRORED if errored else JobStatus.FINISHED,
            started_at=at,
            ended_at=at + timedelta(seconds=seconds),
            output=Output(
                f"{int(seconds * 1000)}ms",
                None if errored else {"ok": True},
                _error(error, n) if errored else None,
            ),
            attempt=1,
            payload=_payload(name, n),
            labels=(f"tenant:{n % 5 + 40}",) if n % 6 == 0 else (),
        )


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
                ended_at=at + timedelta(seconds=seconds),
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


def _figures(processor: JobProcessor, now: datetime) -> Any:
    """What workers would have counted in a day: more at noon, and a bad quarter of an hour."""
    last = int(now.timestamp()) // 60
    minutes: dict[int, Any] = {}
    for back in range(1440):
        busy = 0.45 + 0.55 * abs((back % 720) - 360) / 360
        minutes[last - back] = {
            name: _minute(name, back, int(rate * busy * random.uniform(0.7, 1.2)), now)
            for name, (rate, _, _) in RATES.items()
        }
    return counted(minutes, ready_parts_of(processor).registry)


def _minute(name: str, back: int, count: int, now: datetime) -> Figures:
    figures, (_, seconds, share) = Figures(), RATES[name]
    share = share * 9 if 21 <= back <= 34 else share
    for _ in range(count):
        figures.delays[class_of(timedelta(seconds=random.lognormvariate(-4.5, 1.4)))] += 1
        figures.durations[class_of(timedelta(seconds=seconds * random.lognormvariate(0, 0.4)))] += 1
        if random.random() >= share:
            figures.counts["finished"] += 1
            continue
        figures.counts[random.choice(["errored", "retried", "retried"])] += 1
        text = BANK if name == "charge_card" else random.choice([WAREHOUSE, WAREHOUSE, STOCK])
        at, line = now - timedelta(minutes=back), fingerprint(text.format(n=back))
        group = ErrorGroup(name, start_of(at, HOUR), line, 1, None, at)
        figures.errors[line] = figures.errors[line].plus(group) if line in figures.errors else group
    return figures


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
