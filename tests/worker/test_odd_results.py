"""Whatever a handler returns, its job is settled, with it or with a description."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.processors import Processors
from tests.worker.endings import each_kind, settled


class Shelf(Mapping[str, Any]):
    """A mapping that is closed by the time it is read."""

    def __getitem__(self, key: str) -> Any:
        raise ValueError("closed")

    def __iter__(self) -> Iterator[str]:
        raise ValueError("closed")

    def __len__(self) -> int:
        return 3


class Exits(Shelf):
    def __iter__(self) -> Iterator[str]:
        raise SystemExit(2)

    def __repr__(self) -> str:
        raise KeyboardInterrupt


class Endless(Shelf):
    def __iter__(self) -> Iterator[str]:
        while True:
            yield "again"

    def __getitem__(self, key: str) -> Any:
        return "x" * 1_000_000

    def __repr__(self) -> str:
        return "<endless>"


class Liar(list[int]):
    def __len__(self) -> int:
        raise RuntimeError("I do not count")


class Lazy:
    def __repr__(self) -> str:
        raise GeneratorExit


def deep() -> Any:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


@each_kind
@pytest.mark.parametrize("result", [Shelf(), Exits(), Endless(), Liar([1]), Lazy(), deep()])
async def test_a_result_that_cannot_be_read_is_described(
    processors: Processors, kind: Any, result: Any
) -> None:
    """A result whose reading raises or has no end gives way to a description."""
    job = await settled(processors, kind(lambda: result))
    assert job.status == "finished"
    assert isinstance(job.result(), str)


async def test_a_result_that_changes_while_it_is_read(processors: Processors) -> None:
    """A dictionary that another thread goes on to fill ends the job, with it or a description."""
    stop = threading.Event()

    def fills() -> Any:
        shared: dict[str, int] = {str(i): i for i in range(20_000)}

        def fill() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                shared[f"n{number % 50_000}"] = number
                shared.pop(f"n{(number - 9) % 50_000}", None)

        threading.Thread(target=fill, daemon=True).start()
        return shared

    try:
        job = await settled(processors, fills)
    finally:
        stop.set()
    assert job.status == "finished"


@each_kind
@pytest.mark.parametrize("discard", [False, True])
async def test_a_result_that_never_ran_is_a_failure(
    processors: Processors, kind: Any, discard: bool
) -> None:
    """A generator or coroutine that a decorated handler returns means that it has done nothing."""

    def rows() -> Any:
        yield 1

    job = await settled(processors, kind(rows), discard_result=discard)
    assert (job.status, (job.output and job.output.error) or "")[0] == "errored"
    assert "nothing in that has run" in str(job.output and job.output.error)
