"""The process that enqueues for a Python system: one request a line, one answer a line.

`benchmarks/node/producing.js` does the same for Node.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import sys
import time
from typing import Any

from benchmarks import loops
from benchmarks.systems import MODULES
from benchmarks.systems.base import Producer

CHUNK = 1000
"""Jobs in one bulk call."""


async def serve(producer: Producer) -> None:
    """Answer until the input ends."""
    await producer.open()
    _reply({})
    while line := await asyncio.to_thread(sys.stdin.readline):
        _reply(await _carry_out(producer, json.loads(line)))
    await producer.close()


async def _carry_out(producer: Producer, request: dict[str, Any]) -> dict[str, Any]:
    task, value, count = request.get("task", "noop"), request.get("value"), request["count"]
    values = list(range(count)) if value is None else [value] * count
    began = time.monotonic_ns()
    if request["do"] == "single":
        for each in values:
            await producer.one(task, each)
    elif request["do"] == "bulk":
        for start in range(0, count, CHUNK):
            await producer.many(task, values[start : start + CHUNK])
    elif request["do"] == "fan_in":
        await producer.fan_in(count)
    elif request["do"] == "chains":
        await producer.chains(count, request["length"])
    else:
        names = [f"noop_{i % request['names']}" for i in range(count)]
        random.Random(0).shuffle(names)
        for start in range(0, count, CHUNK):
            await producer.named(names[start : start + CHUNK])
    return {"began_ns": began, "seconds": (time.monotonic_ns() - began) / 1e9}


def _reply(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def main() -> None:
    """Serve for the system that the command line names."""
    loops.install()
    key = sys.argv[1]
    module = importlib.import_module(f"benchmarks.systems.{MODULES[key]}")
    asyncio.run(serve(module.PRODUCERS[key]()))


if __name__ == "__main__":
    main()
