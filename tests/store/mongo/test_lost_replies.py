"""A reply that is lost: the call is made again, and nothing is lost, refused or doubled."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

import pytest
from bson import ObjectId

from job_processor.errors import StoreUnavailableError
from job_processor.models import Job, JobStatus
from job_processor.store.mongo import MongoStore, open_mongo
from job_processor.store.requests import Settlement
from tests.proxy import Proxy
from tests.samples import NOW, SOON, WORKER, claim, cron, end, simple, worker
from tests.store.mongo.conftest import Database

pytestmark = pytest.mark.mongo

T = TypeVar("T")
JOBS = "job_processor.jobs"


@pytest.fixture
async def proxy(mongo_server_url: str) -> AsyncIterator[Proxy]:
    """Stands between `distant` and the server."""
    async with Proxy(mongo_server_url) as proxy:
        yield proxy


@pytest.fixture(params=[False, True], ids=["alone", "retried"])
def retried(request: pytest.FixtureRequest) -> bool:
    """Whether pymongo repeats what it can by itself, as it does by default."""
    return bool(request.param)


@pytest.fixture
async def distant(proxy: Proxy, store: MongoStore, retried: bool) -> AsyncIterator[MongoStore]:
    """A store behind the proxy; `store` reaches the same database around it."""
    options = {} if retried else {"retryWrites": "false", "retryReads": "false"}
    distant = open_mongo(proxy.url(store.address.rpartition("/")[2], **options))
    yield distant
    await distant.close()


class Insistent:
    """Makes a call again as long as the database does not answer."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.failures = 0
        """How often the last call failed before it was answered."""

    async def __call__(self, lost: str, call: Callable[[], Awaitable[T]]) -> T:
        """Lose the first reply to the command `lost`; return what is answered in the end."""
        before, self.failures = self._proxy.swallowed, 0
        self._proxy.swallow_reply(f"\x02{lost}\x00")  # the field of the command's name
        while True:
            try:
                answer = await call()
            except StoreUnavailableError:
                self.failures += 1
                assert self.failures < 5
            else:
                assert self._proxy.swallowed == before + 1, f"no reply to {lost} was lost"
                return answer


@pytest.fixture
def insist(proxy: Proxy) -> Insistent:
    """Calls through the proxy until the answer comes."""
    return Insistent(proxy)


async def claimed(store: MongoStore, count: int) -> list[Job]:
    """Insert jobs and claim them."""
    await store.intake.insert([simple() for _ in range(count)])
    return [job for _ in range(count) for job in await store.queue.claim(claim(1))]


# --- insert -------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3])
async def test_jobs_are_inserted_once(
    distant: MongoStore, insist: Insistent, database: Database, retried: bool, count: int
) -> None:
    """A repeated insert finds its own first attempt, and refuses nothing."""
    jobs = [simple() for _ in range(count)]
    assert await insist("insert", lambda: distant.intake.insert(jobs)) == []
    assert insist.failures == (0 if retried else 1)
    assert await database[JOBS].count_documents({}) == count


async def test_an_exclusive_job_is_not_refused_by_its_own_first_attempt(
    distant: MongoStore, insist: Insistent, database: Database
) -> None:
    """The job that stands in the way is the job itself, so it counts as inserted."""
    jobs = [simple(exclusive=True), simple(name="other", exclusive=True)]
    assert await insist("insert", lambda: distant.intake.insert(jobs[:1])) == []
    assert await insist("insert", lambda: distant.intake.insert(jobs)) == []
    assert await database[JOBS].count_documents({}) == 2


async def test_another_exclusive_job_is_refused_all_the_same(
    distant: MongoStore, store: MongoStore, insist: Insistent
) -> None:
    """After a lost reply the answer still tells who was refused."""
    first, second, other = (simple(exclusive=True), simple(exclusive=True), simple(name="other"))
    await store.intake.insert([first])
    assert await insist("insert", lambda: distant.intake.insert([second, other])) == [second]


# --- claim --------------------------------------------------------------------------------------


async def test_a_claimed_job_stands_under_its_worker(
    distant: MongoStore, store: MongoStore, insist: Insistent
) -> None:
    """A claim whose reply was lost is repeated by nobody; its job is in `runs.of_worker`."""
    jobs = [simple(), simple(scheduled_for=SOON)]
    await store.intake.insert(jobs)
    answer = await insist("findAndModify", lambda: distant.queue.claim(claim(1)))
    assert insist.failures == 1
    assert [job.id for job in answer] == [jobs[1].id]
    ours = [job.id for job in await distant.runs.of_worker(WORKER, 10)]
    assert sorted(ours) == sorted(job.id for job in jobs)


async def test_a_claimed_batch_stands_under_its_worker(
    distant: MongoStore, store: MongoStore, insist: Insistent
) -> None:
    """A batch whose reply was lost is not claimed a second time, and is in `runs.of_worker`."""
    jobs = [simple() for _ in range(3)]
    await store.intake.insert(jobs)
    assert await insist("update", lambda: distant.queue.claim(claim(3))) == []
    assert insist.failures == 1  # pymongo repeats no update of many
    assert {job.id for job in await distant.runs.of_worker(WORKER, 10)} == {job.id for job in jobs}


# --- settle -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settlement",
    [
        end,
        lambda job: end(job, JobStatus.PAUSED, output=None),
        lambda job: end(job, JobStatus.PENDING, scheduled_for=SOON, attempt=2),
    ],
    ids=["finished", "paused", "to be retried"],
)
@pytest.mark.parametrize("count", [1, 3])
async def test_a_settlement_is_recognized(
    distant: MongoStore,
    store: MongoStore,
    insist: Insistent,
    settlement: Callable[[Job], Settlement],
    count: int,
) -> None:
    """A repeated settlement returns the same ids as the one whose reply was lost."""
    settlements = [settlement(job) for job in await claimed(store, count)]
    ids = {each.job.id for each in settlements}
    assert (await insist("update", lambda: distant.runs.settle(settlements))).won == ids
    found = {job.id: job for job in await store.history.get_many(ids)}
    assert found == {each.job.id: each.written() for each in settlements}


async def test_a_settlement_in_part_is_recognized(
    distant: MongoStore, store: MongoStore, insist: Insistent, database: Database
) -> None:
    """Of a batch, ours are those settled now and those settled before; not what was taken away."""
    jobs = await claimed(store, 3)
    settlements = [end(job) for job in jobs]
    await insist("update", lambda: distant.runs.settle(settlements[:1]))
    rescuer = ObjectId()
    taken_away = {"$set": {"worker_id": rescuer}}
    await database[JOBS].update_one({"_id": jobs[1].id}, taken_away)
    verdict = await insist("update", lambda: distant.runs.settle(settlements))
    assert verdict.won == {jobs[0].id, jobs[2].id}
    (left,) = await store.runs.of_worker(rescuer, 10)
    assert left == replace(jobs[1], worker_id=rescuer)


async def test_the_end_of_another_is_not_recognized(
    distant: MongoStore, store: MongoStore, insist: Insistent
) -> None:
    """A job that a rescuer settled before us is not ours, whatever reply was lost."""
    (job,) = await claimed(store, 1)
    await store.runs.settle([replace(end(job, JobStatus.ERRORED), writer=ObjectId())])
    assert (await insist("update", lambda: distant.runs.settle([end(job)]))).won == set()


# --- the other verbs ----------------------------------------------------------------------------


async def test_moved_runs_are_told_again(
    distant: MongoStore, store: MongoStore, insist: Insistent
) -> None:
    """A repetition moves nothing, and returns what runs under the new id."""
    jobs, new = await claimed(store, 3), ObjectId()
    moved = await insist("update", lambda: distant.runs.move(WORKER, new))
    assert moved == {job.id for job in jobs}
    assert await store.runs.of_worker(WORKER, 10) == []


async def test_a_waiting_job_is_killed_once(
    distant: MongoStore, store: MongoStore, insist: Insistent, retried: bool
) -> None:
    """A repetition finds it waiting no more (None), and it has the end of the first try."""
    job = simple()
    await store.intake.insert([job])
    times = iter([NOW + timedelta(seconds=seconds) for seconds in range(5)])
    killed = await insist("update", lambda: distant.kills.kill_waiting(job.id, next(times)))
    found = await store.history.get(job.id)
    assert found == replace(job, status=JobStatus.KILLED, updated_at=NOW, ended_at=NOW)
    assert killed == (found if retried else None)


async def test_two_kill_requests_are_one(
    distant: MongoStore, store: MongoStore, insist: Insistent
) -> None:
    """A request that stands there twice is found once, and acknowledged once."""
    job_id = ObjectId()
    await insist("insert", lambda: distant.kills.request(job_id, WORKER, NOW))
    assert await store.kills.requested([job_id]) == {job_id}
    await insist("update", lambda: distant.kills.acknowledge([job_id]))
    assert await store.kills.requested([job_id]) == set()


async def test_a_worker_is_registered_once(
    distant: MongoStore, store: MongoStore, insist: Insistent
) -> None:
    """A repeated registration refreshes the first, and one whose end was lost is gone."""
    ours = worker()
    await insist("update", lambda: distant.workers.register(ours))
    assert [each.id for each in (await store.workers.registrations()).workers] == [ours.id]
    await insist("delete", lambda: distant.workers.unregister(ours.id))
    assert (await store.workers.registrations()).workers == ()


async def test_a_setting_is_put_once(
    distant: MongoStore, store: MongoStore, insist: Insistent, retried: bool
) -> None:
    """A repetition may say that it lost; whoever reads then finds what it wanted to put."""
    for lost, value, expected in (("insert", {"a": 1}, None), ("update", {"a": 2}, {"a": 1})):
        put = await insist(lost, lambda: distant.settings.put("kind", "name", value, expected))  # noqa: B023  # called at once
        assert put is retried
        assert await store.settings.all("kind") == {"name": value}


async def test_a_cron_is_created_and_moved_once(
    distant: MongoStore, store: MongoStore, insist: Insistent, retried: bool
) -> None:
    """A repetition may say that another was first; one cron is there, as it was to be."""
    made = cron()
    assert await insist("update", lambda: distant.crons.create(made)) is retried
    assert await store.crons.all() == [made]
    moved = await insist("update", lambda: distant.crons.update(made, "0 * * * *", SOON, SOON))
    assert moved is retried
    after = replace(made, cron_string="0 * * * *", scheduled_for=SOON, updated_at=SOON)
    assert await store.crons.all() == [after]
