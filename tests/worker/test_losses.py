"""Workers that crashed are noted for an hour, with what was rescued of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bson import ObjectId

from job_processor import JobDef
from job_processor.errors import StoreError
from job_processor.store.losses import KEPT, KIND, Loss
from job_processor.worker.losses import Losses
from tests.definitions import nothing
from tests.insides import engine_of
from tests.processors import Processors
from tests.samples import NOW, worker


async def test_a_death_is_noted_for_an_hour(processors: Processors) -> None:
    """With host, process and how many jobs were rescued, by whomever; older notes go."""
    processor, _ = await processors.start(jobs={"a": JobDef(nothing)})
    parts = engine_of(processor).parts
    losses, dead = Losses(parts), worker(hostname="db-7", pid=12)
    old = worker(hostname="old")
    await losses.note(old, NOW - KEPT - timedelta(minutes=1))
    await losses.note(dead, NOW)
    await losses.add(dead.id, 2)
    await Losses(parts).add(dead.id, 3)
    await losses.add(dead.id, 0)
    await losses.add(ObjectId(), 4)  # nobody's
    (kept,) = (await parts.store.settings.all(KIND)).values()
    assert Loss.of(kept) == Loss(dead.id, "db-7:12", dead.last_seen, NOW, 5)


async def test_what_cannot_be_noted_is_logged(
    processors: Processors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And the rescue goes on."""
    processor, _ = await processors.start(jobs={"a": JobDef(nothing)})
    parts = engine_of(processor).parts

    async def fail(*_: object) -> None:
        raise StoreError("away")

    with monkeypatch.context() as patch:
        patch.setattr(parts.store.settings, "put", fail)
        patch.setattr(parts.store.settings, "all", fail)
        await Losses(parts).note(worker(), NOW)
        await Losses(parts).add(ObjectId(), 1)
    assert "could not be noted: away" in caplog.text
    assert "is not noted: away" in caplog.text
