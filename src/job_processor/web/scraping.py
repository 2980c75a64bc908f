"""What an autoscaler and Prometheus ask of the whole, also while no worker lives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from job_processor.ops.scaling import Scaling, by_tag, scope_of_query, tags_by_name
from job_processor.parts import ready_parts_of
from job_processor.web.carried import processor_of

MOST_TAGS = 50
"""Tags that have series of their own, the first by name."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples = Sequence[tuple[str, float]]
"""Values of a label, each with its number."""

_SCALING = {
    "waiting": "Jobs that are due and that a free worker would start",
    "oldest_seconds": "For how long the first of these has waited",
    "running": "Jobs that run",
    "workers": "Running workers that serve these jobs",
    "capacity": "Jobs that these run at a time",
    "wanted": "Workers that could run all waiting and running jobs at once",
}
"""What is told for each tag, and for all jobs under an empty one."""


async def scaling(request: Request) -> Response:
    """Return what there is to do and how many workers it takes."""
    scope = scope_of_query(request.query_params.multi_items())
    found = await processor_of(request).get_scaling(**scope.arguments)
    return JSONResponse(found.as_json())


async def metrics(request: Request) -> Response:
    """Return gauges of the whole database in the text format of Prometheus."""
    processor = processor_of(request)
    vitals, waiting = await processor.get_vitals(), await processor.count_waiting()
    parked = await processor.count_parked()
    since = vitals.now if vitals.due_since is None else vitals.due_since
    tags = by_tag(await tags_by_name(ready_parts_of(processor)))[:MOST_TAGS]
    by_scope = {tag: await processor.get_scaling(tag or None) for tag in ("", *tags)}
    lines = [
        *_by_name("waiting", "Jobs in the database that wait, due or for later", waiting),
        *_by_name("parked", "Jobs that wait for a limit or for another job", parked),
        *_gauge(
            "queue_delay_seconds",
            "Seconds for which the first due job has waited",
            "",
            [("", (vitals.now - since).total_seconds())],
        ),
        *_gauge("workers", "Workers that are registered", "", [("", vitals.workers)]),
        *_of_scaling(by_scope),
    ]
    return PlainTextResponse("\n".join([*lines, ""]), headers={"content-type": CONTENT_TYPE})


def _by_name(name: str, text: str, counts: Mapping[str, int]) -> Iterator[str]:
    return _gauge(name, text, "name", sorted(counts.items()))


def _of_scaling(by_scope: Mapping[str, Scaling]) -> Iterator[str]:
    for field, text in _SCALING.items():
        samples = [(tag, getattr(found, field)) for tag, found in by_scope.items()]
        yield from _gauge(f"scaling_{field}", text, "tag", samples)


def _gauge(name: str, text: str, label: str, samples: Samples) -> Iterator[str]:
    """Give the lines of a gauge; label: "", it has none."""
    full = f"job_processor_{name}"
    yield f"# HELP {full} {text}"
    yield f"# TYPE {full} gauge"
    for value, number in samples:
        labels = f'{{{label}="{_escaped(value)}"}}' if label else ""
        yield f"{full}{labels} {float(number)}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
