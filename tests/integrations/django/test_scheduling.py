"""Views schedule: after a commit, at once, from async code."""

from __future__ import annotations

from importlib import import_module

import pytest
from django.db import transaction

from job_processor import JobProcessorError, PayloadError, UnknownJobError
from job_processor.integrations.django import schedule_on_commit
from tests.integrations.django.conftest import Shop


def test_a_commit_decides(shop: Shop) -> None:
    """Committed, the job runs; rolled back, there is none; an async view follows it."""
    browser = shop.browser()
    assert browser.post("/orders", data={"customer": "Ada"}).status_code == 202
    refused = {"customer": "Bob", "card": "refused"}
    assert browser.post("/orders", data=refused).status_code == 402
    assert [order.customer for order in shop.orders.all()] == ["Ada"]
    (job,) = shop.jobs("confirm")
    assert browser.get(f"/jobs/{job.id}").json() == {"status": "pending", "result": None}
    shop.work()
    told = browser.get(f"/jobs/{job.id}").json()
    assert told == {"status": "finished", "result": f"order {shop.orders.get().pk} of Ada"}
    assert shop.orders.get().confirmed
    counted = browser.get("/count").json()["job"]
    shop.work()
    assert browser.get(f"/jobs/{counted}").json()["result"] == 1


def test_nothing_is_there_before_the_commit(shop: Shop) -> None:
    """A worker that looks meanwhile finds nothing; without a transaction it is there at once."""
    with transaction.atomic():
        payload = {"order": 1}
        schedule_on_commit("confirm", payload, unique_key="1")
        payload["order"] = 2  # what was asked for counts
        assert shop.jobs() == []
    (job,) = shop.jobs()
    assert job.payload == {"order": 1}  # type: ignore[union-attr]  # no cron task
    assert job.unique_key == "1"  # type: ignore[union-attr]  # the same
    schedule_on_commit("count", {"confirmed": True})
    assert len(shop.jobs()) == 2


def order(shop: Shop, name: str, payload: dict[str, object], robust: bool = False) -> None:
    """Write an order and schedule a job, in a transaction."""
    with transaction.atomic():
        shop.orders.create(customer="Ada")
        schedule_on_commit(name, payload, robust=robust)


def test_bad_input_is_refused_inside_the_transaction(shop: Shop) -> None:
    """An unknown name, and a payload that cannot be stored, while it can still be rolled back."""
    with pytest.raises(UnknownJobError):
        order(shop, "nothing", {})
    with pytest.raises(PayloadError):
        order(shop, "confirm", {"order": object()})
    assert shop.orders.count() == 0
    assert shop.jobs() == []


def test_the_gap_after_the_commit(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs that are out of reach: the order stays, and the caller is told, unless it is robust."""

    def fail(*_: object, **__: object) -> None:
        raise JobProcessorError("the database of jobs is away")

    monkeypatch.setattr(type(shop.client), "schedule_job", fail)
    with pytest.raises(JobProcessorError, match="away"):
        order(shop, "confirm", {"order": 1})
    order(shop, "confirm", {"order": 2}, robust=True)
    assert shop.orders.count() == 2


def test_what_was_lost_is_found(shop: Shop) -> None:
    """A process that died in that gap: the sweep makes the job, once, unless it waits already."""
    sweep = import_module("shop.jobs").confirm_what_was_lost
    order = shop.orders.create(customer="Ada")
    assert (sweep(), sweep()) == (1, 1)
    schedule_on_commit("confirm", {"order": order.pk}, unique_key=f"order-{order.pk}")
    assert len(shop.jobs("confirm")) == 1
    shop.work()
    assert shop.orders.get().confirmed
    assert sweep() == 0
