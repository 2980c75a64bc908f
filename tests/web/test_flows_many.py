"""The page of a flow that has thousands of jobs: no more questions, and no longer."""

from __future__ import annotations

import inspect
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from bson import ObjectId

from job_processor import JobDef, JobStatus
from job_processor.jobs.flow_graph import SHOWN
from job_processor.models import Job, Output
from job_processor.store import Store
from job_processor.web import create_app
from tests.definitions import nothing
from tests.insides import store_of
from tests.processors import Processors
from tests.samples import NOW, simple
from tests.web.conftest import client_of

FEW, MANY = 1_100, 2_200
"""Both are more than the page reads."""


def jobs_of_flow(members: int) -> list[Job]:
    """Return a flow of one job, many after it of which each tenth has failed, and one after these.

    Those between are a group.
    """
    flow, group = ObjectId(), ObjectId()
    common: dict[str, Any] = {"flow": flow, "flow_name": "import", "at": NOW}
    first = simple("extract", id=ObjectId(), status=JobStatus.FINISHED, ended_at=NOW, **common)
    after = (f"j:{first.id}",)
    parts = [
        simple("load", id=ObjectId(), group=group, after=after, **common) for _ in range(members)
    ]
    failed = Output("1 ms", None, "ValueError: no")
    for place in range(0, members, 10):
        ended: dict[str, Any] = {"status": JobStatus.ERRORED, "ended_at": NOW, "output": failed}
        parts[place] = replace(parts[place], **ended)
    last = simple("report", id=ObjectId(), after=(f"g:{group}",), **common)
    return [first, *parts, last]


def count_verbs(monkeypatch: pytest.MonkeyPatch, store: Store) -> Counter[str]:
    """Count what is asked of the database, by whichever connection of this process."""
    calls: Counter[str] = Counter()
    for kind in (type(store.waits), type(store.history), type(store.groups)):
        for verb, function in inspect.getmembers(kind, inspect.isfunction):
            if not verb.startswith("__"):
                monkeypatch.setattr(kind, verb, counted(f"{kind.__name__}.{verb}", function, calls))
    monkeypatch.setattr(type(store.waits), "graph", read(type(store.waits).graph, calls))
    return calls


def read(graph: Any, calls: Counter[str]) -> Any:
    """Return the verb that reads jobs of a flow, which counts them."""

    async def call(*arguments: Any, **named: Any) -> Any:
        nodes = await graph(*arguments, **named)
        calls["jobs read"] += len(nodes)
        return nodes

    return call


def counted(told: str, function: Any, calls: Counter[str]) -> Any:
    """Return a function that counts its calls."""

    def call(*arguments: Any, **named: Any) -> Any:
        calls[told] += 1
        return function(*arguments, **named)

    return call


async def test_what_is_shown_of_a_flow_does_not_grow_with_it(
    processors: Processors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twice as many cost the same questions, rows and bytes, on the page and in JSON.

    But for the digits of their number.
    """
    processor = await processors.make(jobs={"load": JobDef(nothing)})
    store = store_of(processor)
    sizes: list[list[int]] = []
    asked: list[Counter[str]] = []
    for members in (FEW, MANY):
        jobs = jobs_of_flow(members)
        for start in range(0, len(jobs), 1000):
            await store.intake.insert(jobs[start : start + 1000])
        async with client_of(create_app(processor)) as client:
            with monkeypatch.context() as patch:
                asked.append(count_verbs(patch, store))
                paths = (f"/flows/{jobs[0].flow}", f"/api/flows/{jobs[0].flow}")
                pages = [await client.get(path) for path in paths]
        assert [page.status_code for page in pages] == [200, 200]
        sizes.append([len(page.content) for page in pages])
    assert asked[0]["jobs read"] == 2 * SHOWN  # for each of the two
    assert asked[1] == asked[0]
    assert all(more - less < 100 for less, more in zip(*sizes, strict=True))
