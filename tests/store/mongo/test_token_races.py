"""Two workers at one lane of a rate in MongoDB: no start is lost to the one who was too late."""

from __future__ import annotations

import pytest

from job_processor.store.mongo import MongoStore
from job_processor.store.rates import Pace
from job_processor.store.tokens import KeyedRate
from tests.clocks_of_lanes import DatabaseClock
from tests.samples import NOW, OTHER_WORKER
from tests.store.contract.rated import Lanes
from tests.store.mongo.racing import before


@pytest.fixture
def lanes(store: MongoStore, monkeypatch: pytest.MonkeyPatch) -> Lanes:
    """A store with rates."""
    return Lanes(store, DatabaseClock(store, NOW, monkeypatch))


@pytest.mark.parametrize("step", ["_start", "let_wait"])
@pytest.mark.parametrize("limit", [1, 2, 50])
@pytest.mark.parametrize("burst", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 6])
async def test_a_race_loses_no_start(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch, count: int, burst: int, limit: int, step: str
) -> None:
    """Both ask for the same jobs: a burst starts at once, and then one an hour, till all have."""
    lanes.rates["slow"] = KeyedRate(Pace.of(1, 3600.0, burst, dates=True))
    await lanes.add(count, name="slow")

    async def by_another() -> None:
        others.extend(await lanes.claim(worker_id=OTHER_WORKER, limit=limit))

    others: list[object] = []
    before(monkeypatch, step, by_another)
    ours = await lanes.claim(limit=limit)
    ours += await lanes.claim()
    started = len(ours) + len(others)
    assert started == min(count, burst)
    while started < count:
        assert await lanes.claim() == []
        lanes.clock.move(3600)
        assert len(await lanes.claim()) == 1
        started += 1
