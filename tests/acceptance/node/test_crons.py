"""Crons beside Node's scheduler: none is lost, none fires twice, none of Node's is touched."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from job_processor import CronDef, CronTask, EventKind, JobProcessor, SharedDatabaseError
from job_processor.crons import scheduler
from job_processor.models import cron_id, occurrence_id
from tests.acceptance.node.both import Both
from tests.definitions import nothing
from tests.desks import at
from tests.insides import store_of
from tests.processors import WAIT, eventually
from tests.worker.heard import Heard

pytestmark = [pytest.mark.mongo, pytest.mark.timeout(400)]

EXPRESSION = "0 3 * * *"
NODE_CRON = {"cron_string": EXPRESSION, "does": "nothing"}


def ours(zone: str | None = "Europe/Paris", expression: str = EXPRESSION) -> CronDef:
    """Return a cron of ours."""
    return CronDef(expression, nothing, timezone=zone)


class Calls:
    """Counts the calls of a verb of a processor's store."""

    def __init__(self, processor: JobProcessor, verb: str) -> None:
        self._count = 0
        self._more = asyncio.Event()
        desk, name = at(store_of(processor), verb)
        call = getattr(desk, name)

        async def counted(*arguments: Any) -> Any:
            answer = await call(*arguments)
            self._count += 1
            self._more.set()
            return answer

        setattr(desk, name, counted)

    async def until(self, count: int) -> None:
        """Return once there were so many."""
        async with asyncio.timeout(WAIT):
            while self._count < count:
                await self._more.wait()
                self._more.clear()


async def planned(both: Both) -> list[tuple[Any, ...]]:
    """Return Node's two crons and their occurrences once they stand."""
    found = await both.until("jobs", 4, name={"$in": ["theirs", "shared"]})
    return sorted((each["_id"], each["status"], each["scheduled_for"]) for each in found)


async def since_it_was_listed(both: Both, by: timedelta) -> None:
    """Let the time pass since our crons were listed last."""
    settings = both.collection("settings")
    async for document in settings.find({"kind": "cron_owner"}):
        listed_at = document["value"]["listed_at"] - by
        await settings.update_one(
            {"_id": document["_id"]}, {"$set": {"value.listed_at": listed_at}}
        )


async def standing(both: Both, name: str) -> list[dict[str, Any]]:
    """Return the pending occurrences of a cron."""
    jobs = both.collection("jobs")
    found: list[dict[str, Any]] = await jobs.find(
        {"name": name, "type": "cron_task", "status": "pending"}
    ).to_list()
    return found


async def test_a_cron_of_ours_survives_a_start_of_node(both: Both) -> None:
    """Node removes what it does not define; our worker puts it back at once, where it stood."""
    await both.python(crons={"ours": ours()})
    (before,) = await both.until("jobs", name="ours", type="cron_task")
    created = (await both.only_cron("ours"))["created_at"]
    await both.node(crons={"theirs": NODE_CRON})

    async def put_back() -> bool:
        cron = await both.collection("jobs").find_one({"name": "ours", "type": "cron"})
        return cron is not None and cron["created_at"] != created

    await eventually(put_back, "a cron that was put back")
    (after,) = await standing(both, "ours")
    assert (after["_id"], after["scheduled_for"]) == (before["_id"], before["scheduled_for"])


async def test_a_node_worker_that_takes_its_time_is_waited_for(both: Both) -> None:
    """It registers first and removes crons later: what goes after the first look is put back."""
    processor = await both.python(crons={"ours": ours()})
    await both.until("jobs", name="ours", type="cron_task")
    looks = Calls(processor, "crons.all")
    await both.register_node_worker()
    await looks.until(2)
    await both.collection("jobs").delete_many({"name": "ours"})  # what Node does
    await both.until("jobs", name="ours", type="cron_task")
    assert (await both.only_cron("ours"))["_id"] == cron_id("ours")


async def test_an_occurrence_that_comes_due_while_node_removes_it_is_put_back(both: Both) -> None:
    """The pointer is remembered, so what stood there fires although its cron was gone."""
    await both.python(crons={"ours": ours("UTC", "*/2 * * * * *")})
    jobs = both.collection("jobs")

    async def removed() -> dict[str, Any] | None:
        """Remove what stands, and the cron, as Node does; None: it began just now."""
        waits = {"name": "ours", "type": "cron_task", "status": "pending"}
        occurrence: dict[str, Any] | None = await jobs.find_one_and_delete(waits)
        await jobs.delete_many({"name": "ours", "type": "cron"})
        return occurrence

    occurrence = await eventually(removed, "an occurrence that stands")
    document = await both.ended(occurrence["_id"])
    assert document["status"] == "finished"
    assert document["scheduled_for"] == occurrence["scheduled_for"]


async def test_a_cron_of_node_is_left_to_it(both: Both) -> None:
    """Neither one that only Node defines, nor one that it made and both define, is touched."""
    await both.node(crons={"theirs": NODE_CRON, "shared": NODE_CRON})
    before = await planned(both)
    processor = await both.python(crons={"shared": ours(), "ours": ours()})
    await both.until("jobs", name="ours", type="cron_task")
    crons = {cron.name: cron for cron in await processor.get_crons()}
    assert crons["theirs"].service is None
    assert await planned(both) == before


async def test_a_cron_of_both_fires_once_whoever_made_it(both: Both) -> None:
    """Ours was first, Node keeps it, and one occurrence stands."""
    await both.python(crons={"shared": ours()})
    await both.until("jobs", name="shared", type="cron_task")
    await both.node(crons={"shared": NODE_CRON, "theirs": NODE_CRON})
    await both.until("jobs", name="theirs", type="cron_task")  # its pass is over
    cron = await both.only_cron("shared")
    assert cron["_id"] == cron_id("shared")
    assert len(await standing(both, "shared")) == 1


async def test_what_node_has_planned_is_not_planned_again(both: Both) -> None:
    """Node moved the pointer and made the occurrence: ours stands aside, and none is removed."""
    await both.node(work=False)  # its validator is there
    await both.python(crons={"shared": ours()})
    (occurrence,) = await both.until("jobs", name="shared", type="cron_task")
    jobs = both.collection("jobs")
    planned = {**occurrence, "_id": ObjectId()}  # as a pass of Node at the same moment leaves it
    await jobs.insert_one(planned)
    await both.register_node_worker()

    async def alone() -> bool:
        return [each["_id"] for each in await standing(both, "shared")] == [planned["_id"]]

    await eventually(alone, "one occurrence")
    assert planned["_id"] != occurrence_id("shared", planned["scheduled_for"])


async def test_another_zone_than_nodes_is_refused(both: Both) -> None:
    """A cron of both that is not read in Europe/Paris here is refused at setup, with the zone."""
    await both.node(crons={"shared": NODE_CRON})
    await both.until("jobs", name="shared", type="cron_task")
    for zone in (None, "UTC"):
        with pytest.raises(SharedDatabaseError, match=r"'shared'.*Europe/Paris"):
            await both.python(work=False, crons={"shared": ours(zone)})
    await both.python(work=False, crons={"shared": ours(None)}, timezone="Europe/Paris")


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo"])
async def test_a_cron_in_another_zone_is_given_to_node_when_it_comes(
    both: Both, zone: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Node is to have it: what stands is kept, and log, event, listing and setup tell of it."""
    processor = await both.python(crons={"shared": ours(zone), "ours": ours(zone)})
    heard = Heard(processor)
    (standing_before,) = await both.until("jobs", name="shared", type="cron_task")
    await both.until("jobs", name="ours", type="cron_task")
    await both.node(crons={"shared": NODE_CRON})
    event = await heard.wait_for(EventKind.CRON_REFUSED)
    assert isinstance(event.error, SharedDatabaseError)
    assert (event.error.argument, event.error.value) == ("timezone of 'shared'", zone)
    assert str(event.error) in caplog.messages

    await both.until("jobs", name="ours", type="cron_task")  # put back: Node knows nothing of it
    crons = {cron.name: cron for cron in await processor.get_crons()}
    assert (crons["shared"].service, crons["shared"].timezone) == (None, "Europe/Paris")
    assert (crons["ours"].service, crons["ours"].timezone) == ("default", zone)
    assert crons["shared"].scheduled_for == standing_before["scheduled_for"]
    assert await standing(both, "shared") == [standing_before]
    assert len(heard.of(EventKind.CRON_REFUSED)) == 1
    with pytest.raises(SharedDatabaseError, match=r"'shared'.*Europe/Paris"):
        await both.python(work=False, crons={"shared": ours(zone)})


@pytest.mark.parametrize("defined", [True, False])
async def test_a_cron_that_we_drop_stays_where_node_defines_it(
    both: Both, defined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours was first and Node keeps it: what nobody defines any more goes with the history."""
    monkeypatch.setattr(scheduler, "SCHEDULER_INTERVAL", 2.0)  # Node may take its time to begin
    first = await both.python(work=False, crons={"shared": ours(), "other": ours()})
    worker = await both.processors.worker(first)
    await both.until("jobs", 2, type="cron")  # written last, and Node makes what it does not find
    node_crons = {"other": NODE_CRON, **({"shared": NODE_CRON} if defined else {})}
    await both.node(crons=node_crons)
    await both.until("settings", kind="cron_owner", name="other", **{"value.of_both": True})
    await both.until("jobs", name="shared", type="cron_task")
    await worker.stop()
    await since_it_was_listed(both, timedelta(days=90))
    last = await both.python(crons={"last": ours()})

    async def alone() -> bool:
        return list(await store_of(last).settings.all("cron_owner")) == ["last"]

    await eventually(alone, "owners that are gone")
    crons = {cron.name: cron.service for cron in await last.get_crons()}
    assert crons == {"last": "default", "other": None, **({"shared": None} if defined else {})}
    assert len(await standing(both, "shared")) == int(defined)


@pytest.mark.parametrize("first", ["node", "python"])
async def test_a_cron_of_both_fires_once(both: Both, first: str) -> None:
    """Whoever made it and whoever runs it: one run at its time, and the next one stands once."""
    soon = datetime.now(UTC) + timedelta(seconds=6)
    # Who is not ready by then fires half a minute later.
    expression = f"{soon.second},{(soon.second + 30) % 60} * * * * *"
    node_cron = {"shared": {"cron_string": expression, "does": "nothing"}}
    ran: list[CronTask] = []

    async def run(job: CronTask) -> None:
        ran.append(job)

    async def python() -> None:
        await both.python(crons={"shared": CronDef(expression, run, timezone="Europe/Paris")})

    if first == "node":
        await both.node(crons=node_cron)
        await both.until("jobs", name="shared", type="cron_task")
        await python()
    else:
        await python()
        await both.until("jobs", name="shared", type="cron_task")
        await both.node(crons=node_cron)
    finished = await both.until("jobs", name="shared", type="cron_task", status="finished")
    if first == "python":  # Node looks once a minute, ours at its time
        await both.until("jobs", name="shared", type="cron_task", status="pending")
    began = [job.scheduled_for.timestamp() for job in ran]
    began += [line["planned"] for line in both.lines("start", "shared")]
    assert finished[0]["scheduled_for"].timestamp() in began
    assert len(began) == len(set(began))
    assert len(await standing(both, "shared")) <= 1


async def test_a_cron_is_handed_over(both: Both) -> None:
    """Defined in both, it becomes ours when a Node program that lacks it starts."""
    node = await both.node(crons={"shared": NODE_CRON})
    (of_node,) = await both.until("jobs", name="shared", type="cron_task")
    await both.python(crons={"shared": ours()})
    await node.do("stop")
    await both.node(crons={"other": NODE_CRON})
    ours_id = occurrence_id("shared", of_node["scheduled_for"])
    await both.until("jobs", name="shared", type="cron_task", _id=ours_id)
    assert len(await standing(both, "shared")) == 1
    assert (await both.only_cron("shared"))["_id"] == cron_id("shared")


@pytest.mark.soak
async def test_a_cron_of_both_fires_once_a_minute(both: Both) -> None:
    """Over some minutes, in which both schedulers look at it again and again."""
    planned: list[float] = []

    async def run(job: CronTask) -> None:
        planned.append(job.scheduled_for.timestamp())

    await both.python(crons={"shared": CronDef("* * * * *", run, timezone="Europe/Paris")})
    await both.node(crons={"shared": {"cron_string": "* * * * *", "does": "nothing"}})

    def times() -> list[float]:
        return sorted(planned + [line["planned"] for line in both.lines("start", "shared")])

    async with asyncio.timeout(190):
        while len(times()) < 3:  # noqa: ASYNC110  # another process writes the file
            await asyncio.sleep(0.1)
    assert {after - before for before, after in itertools.pairwise(times())} == {60.0}
