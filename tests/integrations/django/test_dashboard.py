"""The dashboard inside the site, behind Django's login."""

from __future__ import annotations

import re

import pytest

from job_processor import InvalidArgumentError
from job_processor.integrations.django.asgi import mounted
from tests.integrations.django.conftest import Shop

HTML = {"accept": "text/html"}
OWN = {"X-Requested-With": "tests"}


def test_staff_may_look(shop: Shop) -> None:
    """Links, static files and the cookie are those below its path; nothing can be changed."""
    shop.client.schedule_job("confirm", {"order": 1})
    browser = shop.browser(username="ada", is_staff=True)
    page = browser.get("/queue/", headers=HTML)
    assert page.status_code == 200
    targets = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)
    assert targets
    assert all(target.startswith("/queue/") for target in targets)
    for target in {target for target in targets if "/static/" in target}:
        assert browser.get(target).status_code == 200
    assert "Path=/queue" in page.headers["set-cookie"]
    (job,) = shop.jobs()
    assert browser.get(f"/queue/api/jobs/{job.id}").json()["name"] == "confirm"
    assert browser.post(f"/queue/api/jobs/{job.id}/kill", headers=OWN).status_code == 403
    assert browser.get("/queue", headers=HTML).headers["location"].endswith("/queue/")


@pytest.mark.parametrize("how", ["superuser", "permission"])
def test_some_may_act(shop: Shop, how: str) -> None:
    """A superuser, and staff with the permission; the audit log knows who it was."""
    from django.contrib.auth.models import Permission  # noqa: PLC0415  # a model: not before setup

    shop.client.schedule_job("confirm", {"order": 1})
    browser = shop.browser(username="ada", is_staff=True, is_superuser=how == "superuser")
    if how == "permission":
        user = shop.users.get(username="ada")
        user.user_permissions.add(Permission.objects.get(codename="change_order"))
    (job,) = shop.jobs()
    assert browser.post(f"/queue/api/jobs/{job.id}/kill", headers=OWN).status_code == 200
    assert [job.status for job in shop.jobs()] == ["killed"]
    assert "ada" in browser.get("/queue/audit", headers=HTML).text


def test_others_may_not(shop: Shop) -> None:
    """Who is not known is sent to the login, a program is refused, and so is who is no staff."""
    browser = shop.browser()
    sent = browser.get("/queue/jobs?status=errored", headers=HTML)
    assert sent.status_code == 302
    assert sent.headers["location"] == "/admin/login/?next=/queue/jobs%3Fstatus%3Derrored"
    assert sent.text == ""
    assert browser.get("/queue/api/status").status_code == 403
    browser.cookies.set("sessionid", "forged")
    assert browser.get("/queue/", headers=HTML).status_code == 302
    customer = shop.browser(username="bob")
    assert customer.get("/queue/", headers=HTML).status_code == 403
    assert customer.get("/queue/healthz").status_code == 503  # it asks nobody; no worker is there


def test_a_host_that_django_refuses(shop: Shop) -> None:
    """Is refused below the dashboard's path, whoever asks; a probe goes by the pod's address."""
    browser = shop.browser(username="ada", is_staff=True)
    for host in ("evil.example", "localhost.evil.example", "", "a b"):
        for path in ("/queue/", "/queue/jobs", "/queue/api/jobs", "/queue/static/app.js"):
            assert browser.get(path, headers={"host": host}).status_code == 400
    assert browser.get("/queue/jobs", headers={"host": "localhost:8000"}).status_code == 200
    assert browser.get("/queue/healthz", headers={"host": "10.1.2.3:8000"}).status_code == 503


def test_the_rest_is_the_sites(shop: Shop) -> None:
    """A path that only begins alike is Django's; the dashboard ends with the server."""
    with shop.browser() as browser:
        assert browser.get("/queues").status_code == 404
        assert browser.get("/admin/login/").status_code == 200


@pytest.mark.parametrize("path", ["", "/", "queue", "/queue/"])
def test_a_path_that_cannot_be_one(shop: Shop, path: str) -> None:
    """It is named, with what is allowed."""

    async def app(*_: object) -> None: ...

    with pytest.raises(InvalidArgumentError, match=r"path: .* allowed is a path that starts"):
        mounted(app, path, app)
