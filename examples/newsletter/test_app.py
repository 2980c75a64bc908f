"""In memory, by a clock that is moved: no server, no mail, no waiting."""

import smtplib
from datetime import UTC, datetime
from unittest.mock import MagicMock, Mock

import httpx2
import pytest
from app import EDITOR, app, processor, send_mail

from job_processor.testing import in_memory


@pytest.fixture
def job_processor():
    return processor


@pytest.fixture
def mail_server(monkeypatch):
    """A mail server that is away at first."""
    server = MagicMock()
    connect = Mock(side_effect=[ConnectionRefusedError("away"), server])
    monkeypatch.setattr(smtplib, "SMTP", connect)
    return server.__enter__.return_value


@pytest.fixture
def browser():
    transport = httpx2.ASGITransport(app)
    return httpx2.AsyncClient(transport=transport, base_url="http://news.example")


async def test_an_issue_goes_to_each_reader(job_tester, browser):
    issue = {"text": "Hello", "readers": ["ada@example.org", "bob@example.org"]}
    follow = (await browser.post("/issues", json=issue)).json()["follow"]
    assert (await browser.post("/issues", json=issue)).status_code == 409
    assert '<progress value="0">' in (await browser.get(follow)).text

    (sent, *_) = await job_tester.drain()
    assert sent.result() == 2
    assert '<progress value="1.0"></progress> finished' in (await browser.get(follow)).text
    job_tester.assert_scheduled(send_mail, to="bob@example.org", text="Hello")


async def test_a_mail_is_sent_again(job_tester, job_clock, mail_server):
    await send_mail.schedule(to="ada@example.org", subject="Hello")
    assert await job_tester.drain() == []
    job_clock.move(seconds=2)
    (job,) = await job_tester.drain()
    assert (job.status, job.attempt) == ("finished", 2)
    (mail,) = mail_server.send_message.call_args.args
    assert (mail["To"], mail["Subject"]) == ("ada@example.org", "Hello")


async def test_the_editor_hears_of_each_night():
    async with in_memory(processor, start=datetime(2026, 5, 1, 23, 59, tzinfo=UTC)) as tester:
        await tester.drain()
        tester.clock.move(minutes=1)  # 02:00 in Paris
        report, *_ = await tester.drain()
        assert report.name == "nightly_report"
        tester.assert_scheduled(send_mail, to=EDITOR, subject="0 mails were lost")
