"""Payloads, results and errors: what goes in comes out, the same from every store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from job_processor.clock import truncate
from job_processor.models import Job, JobStatus, Output, SimpleJob
from job_processor.store import Store
from job_processor.store.requests import JobQuery
from job_processor.values import MAX_BYTES, MAX_DEPTH, normalize_payload
from tests.samples import NOW, WORKER, claim, end, read, run, simple

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
LOOKALIKES = st.sampled_from(
    [
        *("$ref", "$id", "$db"),  # a mapping of two of these has a test of its own
        *("$date", "$oid", "$bytes", "$dict", "$set", "a.b", "_id", ""),
    ]
)
"""Keys that mean something to a store, or to its encoding."""


def is_no_reference(value: dict[str, Any]) -> bool:
    """False for what another library takes for a reference to a document."""
    return not {"$ref", "$id"} <= value.keys()


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
    | st.binary(max_size=20)
    | st.binary(min_size=12, max_size=12).map(ObjectId)
    | st.datetimes(timezones=st.just(UTC)).map(truncate)
)
VALUES = st.recursive(
    SCALARS,
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(KEYS, children, max_size=4)
        | st.dictionaries(LOOKALIKES, children, max_size=2).filter(is_no_reference)
    ),
    max_leaves=12,
)
PAYLOADS = st.dictionaries(KEYS | LOOKALIKES, VALUES, max_size=4).filter(is_no_reference)
BATCHES = st.lists(st.tuples(PAYLOADS, VALUES, TEXT), min_size=4, max_size=4)

quickly = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""Each example has several jobs, in one bulk write; they may share a database."""


def shape(value: Any) -> Any:
    """Return a value with the kinds of its parts, and the order of its fields: 1 is not 1.0."""
    if isinstance(value, dict):
        return [(key, shape(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [shape(item) for item in value]
    kinds = (bool, int, float, str, bytes, ObjectId, datetime)
    return next((kind for kind in kinds if isinstance(value, kind)), None), value


@quickly
@given(batch=BATCHES)
async def test_payloads_results_and_errors_come_back(
    store: Store, batch: list[tuple[dict[str, Any], Any, str]]
) -> None:
    """All that a payload and a result may hold is read as it was written, kind and order kept."""
    jobs = await run(store, *(simple(payload=payload) for payload, _, _ in batch))
    outputs = [Output("1 s", result, error) for _, result, error in batch]
    ends = [end(job, output=output) for job, output in zip(jobs, outputs, strict=True)]
    assert (await store.runs.settle(ends)).won == {job.id for job in jobs}
    assert (await store.runs.settle(ends)).won == {job.id for job in jobs}
    for stored, (payload, result, error) in zip(await read(store, *jobs), batch, strict=True):
        assert isinstance(stored, SimpleJob)
        assert stored.output is not None
        assert shape(stored.payload) == shape(payload)
        assert shape(stored.output.result) == shape(result)
        assert stored.output.error == error


@quickly
@given(
    names=st.lists(
        st.text(
            st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
            min_size=1,
            max_size=20,
        ),
        min_size=1,
        max_size=4,
        unique=True,
    )
)
async def test_names_may_hold_any_text(store: Store, names: list[str]) -> None:
    """A name is kept, claimed and found as it is, quotes, dollars, dots and all."""
    jobs = [simple(name=name) for name in names]
    claimed = await run(store, *jobs)
    assert [job.name for job in claimed] == names
    for job in claimed:
        assert await store.history.find_active("simple", job.name) is not None
    await store.runs.settle([end(job) for job in claimed])


REFERENCES: list[dict[str, Any]] = [
    {"$ref": "#/definitions/order", "$id": "https://example.org/order"},
    {"$ref": "orders", "$id": 1, "$db": "shop", "more": [1, {"$ref": "a", "$id": {"b": 1}}]},
    {"properties": {"a": [{"$ref": "b", "$id": None, "c": {"$ref": "d", "$id": 1}}]}},
]
"""What another library takes for references to documents."""


@pytest.mark.parametrize("value", REFERENCES)
async def test_what_looks_like_a_reference_is_a_mapping(
    store: Store, value: dict[str, Any]
) -> None:
    """In a payload, a result, a state and a setting, whichever way a job is read."""
    value = {"value": value}  # the MongoDB server of the tests refuses it as the payload itself
    await store.intake.insert([simple(payload=value)])
    (job,) = await store.queue.claim(claim())
    assert await store.runs.save_state(job, value)
    assert shape(await store.runs.state(job.id)) == shape(value)
    assert await store.runs.of_worker(WORKER, 10) == [job]
    (looked_through,) = await store.history.find(JobQuery(worker_id=WORKER))
    await store.runs.settle([end(job, output=Output("1 s", value))])
    found = [await store.history.get(job.id), *await store.history.get_many([job.id])]
    found += [*await store.history.find(JobQuery()), await store.history.requeue(job.id, NOW)]
    found += [await store.history.find_active("simple", job.name)]
    assert len(found) == 5
    for each in (job, looked_through, *found):
        assert isinstance(each, SimpleJob)
        assert shape(each.payload) == shape(value)
        assert each.output is None or shape(each.output.result) == shape(value)
    await store.settings.put("kind", "name", value, None)
    assert shape((await store.settings.all("kind"))["name"]) == shape(value)


def deep(levels: int) -> dict[str, Any]:
    """Return mappings and lists in each other, so many levels deep."""
    value: Any = 1
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value if isinstance(value, dict) else {"a": value[0]}


async def test_the_deepest_payload_and_result_come_back(store: Store) -> None:
    """The most levels that are allowed are stored, as a payload and as a result."""
    payload = normalize_payload(deep(MAX_DEPTH - 1))
    (job,) = await run(store, simple(payload=payload))
    assert (await store.runs.settle([end(job, output=Output("1 s", payload))])).won == {job.id}
    (stored,) = await read(store, job)
    assert stored == end(job, output=Output("1 s", payload)).written()


async def test_the_largest_payload_comes_back(store: Store) -> None:
    """A payload of almost 15 MiB is stored, claimed and settled."""
    payload = normalize_payload({"data": b"\xff" * (MAX_BYTES - 100)})
    (job,) = await run(store, simple(payload=payload))
    assert isinstance(job, SimpleJob)
    assert job.payload == payload
    assert (await store.runs.settle([end(job)])).won == {job.id}
    (stored,) = await read(store, job)
    assert stored == end(job).written()


async def test_no_payload_and_an_empty_one_are_two(store: Store) -> None:
    """None stays None, an empty mapping stays one; so do results."""
    jobs: list[Job] = [simple(payload=None), simple(payload={})]
    claimed = await run(store, *jobs)
    results: list[Any] = [None, {}]
    await store.runs.settle(
        [end(job, output=Output("", it)) for job, it in zip(claimed, results, strict=True)]
    )
    stored = await read(store, *claimed)
    assert [job and job.status for job in stored] == [JobStatus.FINISHED] * 2
    assert [getattr(job, "payload", 0) for job in stored] == [None, {}]
    assert [job and job.output and job.output.result for job in stored] == results
