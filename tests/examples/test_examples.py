"""Each example runs as it stands in an empty folder, ends by itself, and shows what it claims."""

from __future__ import annotations

import csv
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.examples.programs import EXAMPLES, run


def test_every_example_is_tested() -> None:
    """A new program gets a test here."""
    programs = {path.name for path in EXAMPLES.glob("*.py")}
    assert programs == {
        "quickstart.py",
        "checkout.py",
        "processes.py",
        "crons.py",
        "tags.py",
        "csv_import.py",
        "fastapi_app.py",
        "orders.py",
        "retries.py",
        "sync_script.py",
        "webhooks.py",
    }
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()} - {"__pycache__"}
    django = {"django_shop", "django_mongo"}  # tests/integrations/django
    assert folders == {"newsletter", "kubernetes", *django}  # tests/docs/test_scaling_page.py


def test_quickstart(tmp_path: Path) -> None:
    """The quickstart shows a result, a plain function, a retry that helps, and an error."""
    assert run("quickstart.py", tmp_path, failing=["divide", "fetch"]) == [
        "greet        finished  Hello, Ada!",
        "count_words  finished  4",
        "fetch        finished  answered at attempt 3",
        "divide       errored   ZeroDivisionError: division by zero",
    ]
    assert (tmp_path / "quickstart.db").exists()


@pytest.mark.slow
def test_crons(tmp_path: Path) -> None:
    """The crons fire each second, and the next night's occurrence stands in the queue."""
    lines = run("crons.py", tmp_path)
    nights, ticks, rest = lines[:3], lines[3:6], lines[6:]
    assert all(
        re.fullmatch(r"nightly_report would run at \d{4}-\d\d-\d\d 0[01]:30 UTC", night)
        for night in nights
    )
    assert [tick.partition(",")[0] for tick in ticks] == ["tick 1", "tick 2", "tick 3"]
    assert len(set(ticks)) == 3
    assert rest[0] == "kept: 3 finished ticks"
    assert re.fullmatch(r"in the queue: nightly_report for 0[01]:30 UTC", rest[1])


@pytest.mark.slow
def test_sync_script(tmp_path: Path) -> None:
    """Threads schedule, a wait can end, results and a kill are seen without an event loop."""
    assert run("sync_script.py", tmp_path) == [
        "nobody works yet",
        "widths: [50, 100, 150, 200]",
        "later: killed",
    ]


@pytest.mark.slow
def test_retries(tmp_path: Path) -> None:
    """A job is put off, tried again, and told when to come back; another is retried."""
    assert run("retries.py", tmp_path, failing=["order", "pay"]) == [
        "order: answered at attempt 3",
        "  attempt 1 failed: ConnectionError: connection refused",
        "  attempt 2 failed: too many requests",
        "pay: errored at attempt 1",
        "pay, retried: paid 7",
    ]


@pytest.mark.slow
def test_webhooks(tmp_path: Path) -> None:
    """A webhook is refused once, comes again, and is verified; one with a wrong secret is not."""
    assert run("webhooks.py", tmp_path, failing=["job_processor.webhook"]) == [
        "the receiver is busy",
        "received invoice.paid: {'number': 42}",
        "finished at attempt 2: {'status': 204}",
        "forged: no signature of the request fits the secret",
    ]


@pytest.mark.slow
def test_orders(tmp_path: Path) -> None:
    """The worker after a killed one goes on after the last step, and charges nothing again."""
    assert run("orders.py", tmp_path) == [
        "the first worker was killed: True",
        "charge: receipt for 30.0",
        "cool off: slept",
        "ship: a book is on its way",
        "ship:2: a pen is on its way",
        "finished, charged 1 time",
    ]


@pytest.mark.slow
def test_processes(tmp_path: Path) -> None:
    """They compute, are ended, and crash, each for itself."""
    primes, for_ever, crash, again = run("processes.py", tmp_path, failing=["for_ever", "crash"])
    assert primes == again == "count_primes: finished, 2262"
    assert for_ever == "for_ever: errored, max runtime of 600ms exceeded"
    assert "SIGABRT" in crash


@pytest.mark.slow
def test_checkout(tmp_path: Path) -> None:
    """What is rolled back has no job; the stock is counted once, for the last order."""
    assert run("checkout.py", tmp_path) == [
        "rolled back: order 2 costs nothing",
        "refused: Expected `int`, got `str` - at `$.number`",
        "counted after order 3",
        "order 1: thank you, Ada",
        "order 3: thank you, Ada",
    ]


@pytest.mark.slow
def test_tags(tmp_path: Path) -> None:
    """Each replica runs the jobs of its tag; one without a tag runs in either."""
    mail, video, untagged = run("tags.py", tmp_path)
    assert mail == "send_mail    ran in replica mail"
    assert video == "encode_video ran in replica video"
    assert re.fullmatch(r"clean_up +ran in replica (mail|video)", untagged)


@pytest.mark.slow
def test_csv_import(tmp_path: Path) -> None:
    """The import is paused by a shutdown, goes on where it stood, and leaves out no row."""
    first, shutdown, second, resumed, northernmost = run("csv_import.py", tmp_path)
    assert first == "import_zones starts after row 0"
    assert shutdown == "after the shutdown: paused"
    match = re.fullmatch(r"import_zones starts after row (\d+)", second)
    assert match is not None
    rows = _rows()
    assert 100 <= int(match[1]) < len(rows)
    assert resumed == f"after the resume: finished, {{'imported': {len(rows)}}}"
    assert northernmost == f"{len(rows)} zones; the northernmost is Arctic/Longyearbyen, at 78.0°"
    with closing(sqlite3.connect(tmp_path / "time_zones.db")) as target:
        names = {name for (name,) in target.execute("SELECT name FROM zone")}
    assert names == {row["zone"] for row in rows}


def _rows() -> list[dict[str, str]]:
    with (EXAMPLES / "time_zones.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
