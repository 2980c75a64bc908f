"""The application in sixty lines: its own tests pass, and it does what its page says, for real."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from tests.docs.markdown import blocks
from tests.examples.programs import EXAMPLES, TIMEOUT, environment
from tests.examples.server import Server, serving

NEWSLETTER = EXAMPLES / "newsletter"
PAGE = "examples/newsletter/README.md"


class MailServer:
    """Takes mail by SMTP, once it has sent the first one who comes away."""

    def __init__(self) -> None:
        self.mails: Queue[tuple[str, str]] = Queue()
        """To whom, and the whole text."""
        self.refused = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        serve = asyncio.start_server(self._talk, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(serve, self._loop).result(TIMEOUT)
        self.address = "127.0.0.1:{1}".format(*self._server.sockets[0].getsockname())

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(TIMEOUT)
        self._loop.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Say what a client of the standard library wants to hear."""
        if not self.refused:
            self.refused += 1
            writer.write(b"421 come back later\r\n")
        else:
            await self._take(reader, writer)
        await writer.drain()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        reader_of_mail = ""
        while line := await reader.readline():
            command = line.decode().upper()
            if command.startswith("RCPT"):
                reader_of_mail = line.decode().partition("<")[2].partition(">")[0]
            if command.startswith("DATA"):
                writer.write(b"354 go on\r\n")
                text = await reader.readuntil(b"\r\n.\r\n")
                self.mails.put((reader_of_mail, text.decode()))
            if command.startswith("QUIT"):
                writer.write(b"221 bye\r\n")
                return
            writer.write(b"250 ok\r\n")


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.close()


@pytest.fixture
def newsletter(tmp_path: Path, mail_server: MailServer) -> Iterator[Server]:
    """The application, up and listening."""
    pytest.importorskip("fastapi")
    options = ["--timeout-graceful-shutdown", "1"]
    with serving(
        "app:app", *options, code=NEWSLETTER, folder=tmp_path, SMTP=mail_server.address
    ) as server:
        yield server


def test_it_has_sixty_lines() -> None:
    """As its page says, and all that it shows is in them."""
    program = (NEWSLETTER / "app.py").read_text(encoding="utf-8")
    assert len(program.splitlines()) <= 60
    page = (EXAMPLES.parent / PAGE).read_text(encoding="utf-8")
    for shown in re.findall(r"^\| .* \| `(@?[\w.]+(?:=\w+)?)", page, re.MULTILINE):
        assert shown in program
    assert set(re.findall(r"localhost:8000(/\w+)", page)) <= set(re.findall(r'"(/\w+)"', program))


@pytest.mark.slow
def test_its_own_tests_pass(tmp_path: Path) -> None:
    """As they stand in the folder, by the command of its page."""
    folder = tmp_path / "newsletter"
    shutil.copytree(NEWSLETTER, folder, ignore=shutil.ignore_patterns("__pycache__", "*.db"))
    commands = [line for block in blocks(PAGE, "console") for line in block.text.splitlines()]
    assert "pytest" in commands
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:django"],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


@pytest.mark.slow
def test_an_issue_reaches_its_readers(newsletter: Server, mail_server: MailServer) -> None:
    """Each gets one mail, though the server sends the first one away; the bar comes to its end."""
    readers = [f"reader-{number}@example.org" for number in range(3)]
    issue = {"text": "What is new", "readers": [*readers, readers[0]]}
    answer = newsletter.request("POST", "/issues", issue)
    assert answer[0] == 202
    mails = [mail_server.mails.get(timeout=TIMEOUT) for _ in readers]
    assert sorted(to for to, _ in mails) == readers
    assert all("Subject: The news" in text and "What is new" in text for _, text in mails)
    assert mail_server.refused == 1
    assert mail_server.mails.empty()
    _, page = newsletter.get(answer[1]["follow"])
    while "finished" not in page:  # as a browser does, each second
        assert re.search(r"</progress> (pending|running)$", page), page
        _, page = newsletter.get(answer[1]["follow"])
    assert '<progress value="1.0"></progress> finished' in page
    assert newsletter.request("GET", "/issues/none")[0] == 422
    assert newsletter.request("GET", f"/issues/{24 * '0'}")[0] == 404


@pytest.mark.slow
def test_the_report_comes_by_hand_too(
    newsletter: Server, mail_server: MailServer, tmp_path: Path
) -> None:
    """The command of the page runs the cron, in the application's worker."""
    (command,) = [
        line
        for block in blocks(PAGE, "console")
        for line in block.text.splitlines()
        if "crons run" in line
    ]
    program = Path(sys.executable).with_name("job-processor")
    variables = {"JOB_PROCESSOR_APP": "app:processor", "PYTHONPATH": str(NEWSLETTER)}
    subprocess.run(
        [program, *command.split()[1:]],
        cwd=tmp_path,
        env=environment(**variables),
        check=True,
        capture_output=True,
    )
    to, text = mail_server.mails.get(timeout=TIMEOUT)
    assert to == "editor@news.example"
    assert "Subject: 0 mails were lost" in text
    assert newsletter.stop()[0] in (0, -2)
