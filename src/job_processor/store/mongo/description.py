"""How a database stands: its server, and whether the indexes that we need are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pymongo.errors import OperationFailure

from job_processor.store.base import Remark
from job_processor.store.mongo.documents import Document
from job_processor.store.mongo.errors import API_STRICT
from job_processor.store.mongo.features import begun
from job_processor.store.mongo.handles import Collection, Handles
from job_processor.store.mongo.index import Index
from job_processor.store.mongo.indexes import (
    JOBS,
    JOBS_OF_NODE,
    SIGNALS,
    SIGNALS_OF_NODE,
    WORKERS,
)
from job_processor.store.mongo.making import existing_indexes
from job_processor.store.node import FoundIndex, IndexState


async def version_of(handles: Handles) -> str:
    """Return the server's version; a client that is held to the Stable API is not told it."""
    try:
        info = await handles.database.client.server_info()
    except OperationFailure as error:
        if error.code != API_STRICT:
            raise
        return "not told to a client with a strict Stable API"
    return str(info["version"])


async def found_indexes(handles: Handles, node_is_here: bool) -> list[FoundIndex]:
    """Compare what is there with what we need, and what Node does where it is, or they are.

    What a feature needs counts where the feature has been used.
    """
    found: list[FoundIndex] = []
    wanted: list[tuple[Collection, tuple[Index, ...], tuple[Index, ...]]] = [
        (handles.jobs, JOBS, JOBS_OF_NODE),
        (handles.workers, WORKERS, ()),
        (handles.signals, SIGNALS, SIGNALS_OF_NODE),
    ]
    for collection, ours, of_node in wanted:
        there = await existing_indexes(collection)
        of_features = begun(there) if collection is handles.jobs else []
        found += _compared(collection.name, (*ours, *of_features), there)
        theirs = _compared(collection.name, of_node, there, of_node=True)
        found += (each for each in theirs if node_is_here or each.state == "there")
    return found


def remarks_on(indexes: Sequence[FoundIndex], node_is_here: bool) -> Iterator[Remark]:
    """Return what there is to say of the indexes."""
    states: dict[str, list[str]] = {"there": [], "missing": [], "of no use": []}
    for index in indexes:
        if index.state == "differs":
            what = "a promise rests on it, and a worker refuses to start" if index.critical else ""
            text = f"{index.name!r} of {index.collection} differs from what is needed"
            text += f": {what or 'claims and reads may be slow'}"
            drop = f"db[{index.collection!r}].drop_index({index.name!r})"
            advice = f"drop it to have it created again: {drop}"
            yield Remark("indexes", "error" if index.critical else "warning", text, advice)
        elif index.of_node and not node_is_here:
            states["of no use"].append(index.name)
        else:
            states[index.state].append(index.name)
    if states["missing"]:
        text = f"missing: {', '.join(states['missing'])}; the first worker or client makes them"
        yield Remark("indexes", "warning", text, "start a worker: job-processor worker")
    elif len(states["there"]) + len(states["of no use"]) == len(indexes):
        yield Remark("indexes", "ok", f"all {len(states['there'])} are there")
    if states["of no use"]:
        names = ", ".join(states["of no use"])
        text = f"{names}: of use to the Node package alone, which is not here, and each write pays "
        text += "for them; drop them unless a Node process is to start again"
        yield Remark("indexes", "ok", text)


def _compared(
    collection: str, indexes: tuple[Index, ...], found: list[Document], *, of_node: bool = False
) -> Iterator[FoundIndex]:
    for index in indexes:
        if any(index.is_served_by(each) for each in found):
            state: IndexState = "there"
        elif any(index.conflicts_with(each) for each in found):
            state = "differs"
        else:
            state = "missing"
        yield FoundIndex(collection, index.name, state, index.critical, of_node)
