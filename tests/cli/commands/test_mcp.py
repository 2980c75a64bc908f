"""`mcp`: a real process, and the real client of an assistant that has started it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from mcp import Client, StdioServerParameters, stdio_client

from job_processor import JobProcessor
from job_processor.cli.app import auditing
from tests.cli import apps
from tests.cli.conftest import Cli
from tests.cli.processes import environment
from tests.processors import WAIT

SECRET = "s3cret-hunter"  # noqa: S105  # of the tests


@pytest.fixture
def failed(db_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of a job that failed."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", db_url)

    async def fill() -> str:
        async with apps.make() as processor:
            job = await processor.schedule_job("fail", {"secret": SECRET})
            await processor.run_worker(burst=True)
        return str(job.id)

    return asyncio.run(fill())


@asynccontextmanager
async def assistant(db_url: str, *options: str) -> AsyncIterator[Client]:
    """Start the command as an assistant does, and talk to it over its stdin and stdout."""
    arguments = ["-m", "job_processor", "mcp", "--db", db_url, *options]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=environment(None))
    async with Client(stdio_client(server)) as client:
        yield client


def test_an_assistant_looks(failed: str, db_url: str) -> None:
    """It finds a job, with what its payload hides left out, and can change nothing."""

    async def look() -> None:
        async with assistant(db_url) as client:
            found = await client.call_tool("find_jobs", {"status": "errored"})
            assert failed in str(found.structured_content)
            shown = await client.call_tool("get_job", {"job_id": failed})
            assert "[redacted]" in str(shown.content)
            assert SECRET not in str(shown.content)
            assert (await client.call_tool("kill_job", {"job_id": failed})).is_error

    asyncio.run(asyncio.wait_for(look(), WAIT))


@pytest.mark.slow
def test_an_assistant_acts(failed: str, db_url: str) -> None:
    """With --allow-actions it retries a job, and the audit says whose assistant it was."""

    async def act() -> None:
        async with assistant(db_url, "--allow-actions") as client:
            done = await client.call_tool("retry_job", {"job_id": failed})
            assert not done.is_error
        async with JobProcessor(db_url) as processor:
            job = await processor.get_job(failed)
            assert job is not None
            assert job.status == "pending"
            (entry,) = await processor.get_audit()
            assert (entry.who, entry.action) == (f"{auditing.who()} by mcp", "retry")

    asyncio.run(asyncio.wait_for(act(), WAIT))


@pytest.mark.slow
def test_options_of_redaction(failed: str, db_url: str) -> None:
    """A pattern of one's own hides other fields, and without redaction nothing is hidden."""

    async def look(*options: str) -> str:
        async with assistant(db_url, *options) as client:
            return str((await client.call_tool("get_job", {"job_id": failed})).content)

    assert SECRET in asyncio.run(asyncio.wait_for(look("--no-redaction"), WAIT))
    assert SECRET in asyncio.run(asyncio.wait_for(look("--redact", "^other$"), WAIT))


@pytest.mark.slow
@pytest.mark.parametrize("way", ["end of stdin", "SIGINT"])
def test_it_ends(failed: str, db_url: str, way: str) -> None:
    """When its assistant goes away, and with Ctrl-C."""
    command = [sys.executable, "-m", "job_processor", "mcp", "--db", db_url]
    hello = (
        '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",'
        '"capabilities":{},"clientInfo":{"name":"test","version":"1"}}}\n'
    )
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(None),
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(hello)
        process.stdin.flush()
        assert '"serverInfo"' in process.stdout.readline()  # it runs
        if way == "SIGINT":
            process.send_signal(signal.SIGINT)
        else:
            process.stdin.close()
        code = process.wait(WAIT)
        assert code == (0 if way == "end of stdin" else -signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_bad_input(cli: Cli, failed: str) -> None:
    """It is told in a line, before anything is served; a Ctrl-C means afterwards what it did."""
    before = signal.getsignal(signal.SIGINT)
    cli("mcp", "--db", "sqlite:///nothing.db").refused("there is no file")
    cli("mcp", "--redact", "(").refused("allowed is a regular expression")
    cli("mcp", "--redact", "x", "--no-redaction").refused("give one of them")
    assert signal.getsignal(signal.SIGINT) is before


def test_what_needs_the_extra(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    """Without it the command says what to install."""
    monkeypatch.setattr("job_processor.cli.app.extras.is_installed", lambda extra: False)
    result = cli("mcp")
    assert result.code == 1
    assert "pip install 'job-processor[mcp]'" in result.err
