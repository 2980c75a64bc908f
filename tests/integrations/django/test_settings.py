"""The settings of the project become a processor, or an error that says what is wrong."""

from __future__ import annotations

import ast
import inspect
import pickle
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from job_processor import JobProcessor, Retry
from job_processor.hooks import Host
from job_processor.integrations.django.conf import _KEYS, _OPTIONS, configuration, make_processor
from job_processor.integrations.django.project import load_jobs
from job_processor.parts import parts_of
from tests.docs.markdown import code, table
from tests.integrations.django.conftest import Shop


class Watcher:
    """An integration."""

    def install(self, host: Host) -> None:
        """Do nothing."""


WATCHER = f"{__name__}.Watcher"
WRONG: list[tuple[object, str]] = [
    ("nothing", "JOB_PROCESSOR: 'nothing' is not allowed; allowed is a dictionary"),
    ({}, "JOB_PROCESSOR['DB'] is missing, and so is $JOB_PROCESSOR_DB; allowed are"),
    ({"DB": 5}, "JOB_PROCESSOR['DB']: 5 is not allowed; allowed are"),
    ({"DB": "sqlite://"}, "JOB_PROCESSOR['DB']: 'sqlite://' is not allowed; allowed for several"),
    ({"DB": "postgres://x"}, "JOB_PROCESSOR['DB']: 'postgres://"),
    ({"CONCURENCY": 1}, "JOB_PROCESSOR has no key 'CONCURENCY'; allowed are DB, TEST_DB, AUTODISC"),
    ({"CONCURRENCY": 0}, "JOB_PROCESSOR['CONCURRENCY']: 0 is not allowed; allowed is"),
    ({"WORKER_TAGS": []}, "JOB_PROCESSOR['WORKER_TAGS']: [] is not allowed"),
    ({"TIMEZONE": "Mars"}, "JOB_PROCESSOR['TIMEZONE']: 'Mars' is not allowed"),
    ({"AUTODISCOVER": "a.b"}, "JOB_PROCESSOR['AUTODISCOVER']: 'a.b' is not allowed"),
    ({"MODULES": "shop.jobs"}, "JOB_PROCESSOR['MODULES']: 'shop.jobs' is not allowed; allowed is"),
    ({"MODULES": [1]}, "JOB_PROCESSOR['MODULES']: 1 is not allowed"),
    ({"MODULES": ["shop.nothing"]}, "JOB_PROCESSOR['MODULES']: 'shop.nothing' is not allowed"),
    ({"INTEGRATIONS": ["a.b"]}, "JOB_PROCESSOR['INTEGRATIONS']: 'a.b' is not allowed"),
    ({"INTEGRATIONS": [1]}, "JOB_PROCESSOR['INTEGRATIONS']: 1 is not allowed"),
    ({"AROUND": "a.b"}, "JOB_PROCESSOR['AROUND']: 'a.b' is not allowed; allowed are functions"),
    ({"LIFESPAN": "a.b"}, "JOB_PROCESSOR['LIFESPAN']: 'a.b' is not allowed; allowed are functions"),
    ({"LIFESPAN": 1}, "JOB_PROCESSOR['LIFESPAN']: 1 is not allowed; allowed is a function of the"),
    ({"AROUND": 1}, "JOB_PROCESSOR['AROUND']: 1 is not allowed"),
    ({"DEFAULTS": 1}, "JOB_PROCESSOR['DEFAULTS']: 1 is not allowed"),
]


@pytest.mark.parametrize(("setting", "message"), WRONG)
def test_a_wrong_setting_is_named(shop: Shop, setting: Any, message: str, tmp_path: Path) -> None:
    """Key, value and what is allowed."""
    if isinstance(setting, dict) and "DB" not in setting and setting:
        setting = {"DB": tmp_path / "jobs.db", **setting}

    def begin() -> None:
        make_processor(configuration())
        load_jobs()

    with override_settings(JOB_PROCESSOR=setting), pytest.raises(ImproperlyConfigured) as caught:
        begin()
    assert str(caught.value).startswith(message)


def test_settings_become_a_processor(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Path or the variable say where; the zone is Django's; integrations are named by place."""
    setting = {"DB": tmp_path / "a.db", "WORKER_TAGS": ["mail"], "INTEGRATIONS": [WATCHER]}
    setting |= {"DEFAULTS": {"retry": 3}, "AROUND": "contextlib.nullcontext"}
    setting |= {"LIFESPAN": "contextlib.closing"}
    with override_settings(JOB_PROCESSOR=setting, TIME_ZONE="Europe/Paris"):
        found = configuration()
    processor = make_processor(found)
    assert processor.address == str(tmp_path / "a.db")
    assert parts_of(processor).lifespan is closing
    assert processor.settings.worker_tags == ("mail",)
    assert processor.settings.timezone == "Europe/Paris"
    processor.job("a")(lambda: None)
    definition = processor.registry.jobs["a"]
    assert (definition.retries, definition.arounds) == (Retry(max_attempts=3), (nullcontext,))
    (watcher,) = found.options["integrations"]
    assert isinstance(watcher, Watcher)
    monkeypatch.setenv("JOB_PROCESSOR_DB", f"sqlite:///{tmp_path / 'b.db'}")
    with override_settings(JOB_PROCESSOR={}):
        assert make_processor(configuration()).address == str(tmp_path / "b.db")


def test_a_lifespan_in_a_process_gets_the_processor_of_the_project(shop: Shop) -> None:
    """It is made there from the same settings, and found by its place."""
    elsewhere = pickle.loads(pickle.dumps(shop.processor._elsewhere()))  # noqa: S301  # of this very test
    assert elsewhere() is shop.processor


def test_the_jobs_of_apps_are_found(shop: Shop) -> None:
    """`shop/jobs.py` and `shop/tasks.py` defined them on the one processor at Django's start."""
    assert {name for name, _ in shop.processor.registry if not name.startswith("tests.")} == {
        "confirm",
        "count",
        "report",
        "confirm_what_was_lost",
        "shop.tasks.send_receipt",
        "shop.tasks.remind",
    }


def test_the_page_has_every_setting() -> None:
    """The table in docs/django.md lists the keys that are allowed, and the defaults of each."""
    rows = table("docs/django.md", ("key", "default", "meaning"), "settings of Django")
    assert sorted(code(row[0]) for row in rows) == sorted(_KEYS)
    defaults = {code(row[0]): code(row[1]) for row in rows}
    parameters = inspect.signature(JobProcessor).parameters
    for key in set(_OPTIONS) - {"TIMEZONE"}:  # which is Django's
        assert ast.literal_eval(defaults[key]) == parameters[key.lower()].default, key


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("folder", ["app_feature%2Flogin", "what?x", "a%41b", "a b", "ä#1"])
def test_a_path_is_a_path(tmp_path: Path, folder: str) -> None:
    """Whatever characters its folders have: none of them means anything."""
    (tmp_path / folder).mkdir()
    with override_settings(JOB_PROCESSOR={"DB": tmp_path / folder / "jobs.sqlite3"}):
        assert make_processor(configuration()).address == str(tmp_path / folder / "jobs.sqlite3")
