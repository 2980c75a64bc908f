"""The API against its own description: whatever is sent, no answer is a server's error."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings, strategies
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from job_processor import JobProcessor
from job_processor.web import create_app
from tests.processors import WAIT
from tests.web.conftest import CRONS, JOBS

CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def api() -> Iterator[Any]:
    """The description of a dashboard that is served by a thread of its own."""
    processor = JobProcessor("sqlite://", jobs=JOBS, crons=CRONS)
    config = uvicorn.Config(create_app(processor), port=0, log_level="error")
    server = uvicorn.Server(config)
    started = threading.Event()

    async def serve() -> None:
        task = asyncio.create_task(server.serve())
        while not server.started and not task.done():  # noqa: ASYNC110  # it sets no event
            await asyncio.sleep(0.01)
        started.set()
        await task

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(WAIT)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/api/openapi.json")
    server.should_exit = True
    thread.join()


@pytest.mark.slow
def test_the_api_keeps_its_word(api: Any) -> None:
    """Answers are described: their status, kind and shape; none is a 5xx but for health."""
    tested = []
    for result in api.get_all_operations():
        operation = result.ok()
        check_operation(operation)
        tested.append((operation.method.upper(), operation.path))
    assert len(tested) == 38


def check_operation(operation: Any) -> None:
    """Send an operation whatever hypothesis makes up of its description, right or wrong."""

    @given(data=strategies.data())
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    def answers(data: strategies.DataObject) -> None:
        mode = data.draw(strategies.sampled_from(list(GenerationMode)))
        case = data.draw(operation.as_strategy(generation_mode=mode))
        answer = case.call()
        assert answer.status_code < 500 or operation.path == "/healthz", answer.text
        case.validate_response(answer, checks=CHECKS)

    answers()
