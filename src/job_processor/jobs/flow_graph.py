"""Flows as people look at them: a list of them; one in levels, those of one name in one box."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bson import ObjectId

from job_processor.handlers.flows import FlowBox, FlowInfo, FlowSummary
from job_processor.handlers.groups import GroupCounts
from job_processor.models import FAILED, JobStatus
from job_processor.parts import Parts
from job_processor.store.waits import Node, job_of

SHOWN = 1000
"""Jobs of a flow that are read to find its levels: half of them the oldest, half the newest."""


async def find_flows(parts: Parts, limit: int, below: ObjectId | None) -> list[FlowSummary]:
    """Return flows, the newest first, with ids below one."""
    flow_ids = await parts.store.waits.flows(below, limit)
    found = await asyncio.gather(*(_summary(parts, flow_id) for flow_id in flow_ids))
    return [summary for summary in found if summary is not None]


async def _summary(parts: Parts, flow_id: ObjectId) -> FlowSummary | None:
    """Return how a flow stands; None when its last job was removed meanwhile."""
    waits = parts.store.waits
    nodes, counts = await waits.graph(flow_id, 1), await waits.counts_of_flow(flow_id)
    if not nodes:
        return None
    return FlowSummary(
        id=flow_id,
        name=nodes[0].flow_name or "flow",
        created_at=nodes[0].id.generation_time,
        counts=GroupCounts(counts),
    )


async def get_flow(parts: Parts, flow_id: ObjectId) -> FlowInfo | None:
    """Return a flow; None when there is no job of it."""
    waits = parts.store.waits
    nodes = await waits.graph(flow_id, SHOWN // 2)
    if not nodes:
        return None
    counts = GroupCounts(await waits.counts_of_flow(flow_id))
    if len(nodes) == SHOWN // 2:
        newest = await waits.graph(flow_id, SHOWN // 2, newest=True)
        nodes += [node for node in newest if node.id > nodes[-1].id]
    is_cut = len(nodes) < counts.total
    return FlowInfo(
        id=flow_id,
        name=next((node.flow_name for node in nodes if node.flow_name), "flow"),
        created_at=nodes[0].id.generation_time,
        counts=counts,
        levels=_levels(nodes, counts.by_name if is_cut else {}),
        is_cut=is_cut,
    )


def _levels(
    nodes: Sequence[Node], totals: Mapping[str, Mapping[JobStatus, int]]
) -> tuple[tuple[FlowBox, ...], ...]:
    """Return the boxes of each level. totals: what counts where a name is in one box alone."""
    boxes: defaultdict[tuple[int, str, ObjectId | None], list[Node]] = defaultdict(list)
    for node, level in zip(nodes, _depths(nodes), strict=True):
        boxes[level, node.name, node.group].append(node)
    names = [name for _, name, _ in boxes]
    levels: defaultdict[int, list[FlowBox]] = defaultdict(list)
    for (level, name, group), of_box in boxes.items():
        whole = totals.get(name) if names.count(name) == 1 else None
        levels[level].append(_box(name, group, of_box, whole))
    return tuple(tuple(sorted(levels[level], key=_failures_first)) for level in sorted(levels))


def _depths(nodes: Iterable[Node]) -> list[int]:
    """Return the level of each: one more than the deepest that it comes after.

    By the order of ids, in which what others come after stands in front of them.
    """
    of_jobs: dict[ObjectId | None, int] = {}
    of_groups: dict[str, int] = {}
    depths = []
    for node in nodes:
        before = [
            of_jobs.get(job_of(tag), -1) if tag.startswith("j:") else of_groups.get(tag, -1)
            for tag in node.after
        ]
        depth = 1 + max(before, default=-1)
        of_jobs[node.id] = depth
        if node.group is not None:
            tag = f"g:{node.group}"
            of_groups[tag] = max(of_groups.get(tag, 0), depth)
        depths.append(depth)
    return depths


def _box(
    name: str,
    group: ObjectId | None,
    nodes: Sequence[Node],
    whole: Mapping[JobStatus, int] | None,
) -> FlowBox:
    counts: dict[JobStatus, int] = {}
    for node in nodes:
        counts[node.status] = counts.get(node.status, 0) + 1
    job_id = nodes[0].id if len(nodes) == 1 and whole is None else None
    return FlowBox(name, GroupCounts({name: whole or counts}), job_id, group)


def _failures_first(box: FlowBox) -> tuple[int, str]:
    return -sum(box.counts[status] for status in FAILED), box.name
