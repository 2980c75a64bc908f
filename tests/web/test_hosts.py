"""For which host and from which site a request is, what a proxy says of it, and where it leads."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx2 as httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from job_processor import InvalidArgumentError, JobProcessor
from job_processor.web import create_app
from job_processor.web.entrance import Entrance
from job_processor.web.forms import COOKIE
from job_processor.web.proxies import Proxies
from tests.web.conftest import client_of
from tests.web.forms import csrf_of


@pytest.fixture
def db_url(sqlite_db_url: str) -> str:
    """On one store: who is answered does not depend on it."""
    return sqlite_db_url


@pytest.mark.parametrize(
    ("allowed", "host", "answered"),
    [
        (["localhost", "127.0.0.1", "[::1]"], "localhost:8000", True),
        (["localhost", "127.0.0.1", "::1"], "[::1]:8000", True),
        (["localhost"], "LocalHost.", True),
        (["localhost", "127.0.0.1", "[::1]"], "rebind.evil.test:8000", False),
        (["localhost"], "localhost.evil.test", False),
        (["localhost"], "evil.test/localhost", False),
        (["localhost"], "localhost@evil.test", False),
        (["localhost"], "evil.test:80:localhost", False),
        (["127.0.0.1"], "127.0.0.1.evil.test", False),
        (["127.0.0.1"], "", False),
        ([".example.org"], "dash.example.org", True),
        ([".example.org"], "example.org:443", True),
        ([".example.org"], "badexample.org", False),
        (["*.example.org"], "dash.example.org", True),
        (["dash.example.org"], "other.example.org", False),
        (["*"], "anything.at.all", True),
    ],
)
async def test_a_host_that_is_not_ours(
    processor: JobProcessor, allowed: list[str], host: str, answered: bool
) -> None:
    """Where hosts are named, every other name gets nothing, page, API or form; probes always do."""
    async with client_of(create_app(processor, allowed_hosts=allowed)) as client:
        headers = {"host": host}
        for path in ("/", "/api/jobs", "/static/app.js"):
            status = (await client.get(path, headers=headers)).status_code
            assert status == (200 if answered else 400), path
        made = await client.post("/api/jobs", json={"name": "echo"}, headers=headers)
        assert made.status_code == (201 if answered else 400)
        assert (await client.get("/healthz", headers=headers)).status_code == 503  # nobody works


@pytest.mark.parametrize(
    "allowed", [[], "localhost", [""], ["http://localhost"], ["localhost:8000"], ["a b"], [7]]
)
def test_hosts_that_are_none(allowed: Any) -> None:
    """What is no list of names is an error that says what is."""
    with pytest.raises(InvalidArgumentError) as caught:
        create_app(JobProcessor("sqlite://"), allowed_hosts=allowed)
    assert caught.value.argument == "allowed_hosts"


PLACES = ["/queue", "/my jobs", "/tâches", "/очередь", "/a;b", "/t/a; Domain=evil.example;x/q"]
PLACES += ["/100%", "/a?b", "/a#b", '/"><script>alert(1)</script>', "/a\tb", "/队列'"]


@pytest.mark.parametrize("place", PLACES)
async def test_wherever_it_is_mounted(processor: JobProcessor, place: str) -> None:
    """Pages, links, forms and the language work, and a path puts nothing into a cookie."""
    inner = create_app(processor)
    app = Starlette(routes=[Mount("/{tenant:path}/d", inner)])
    job = await processor.schedule_job("echo")
    async with client_of(app) as client:
        root = f"{quote(place, safe='/')}/d"
        page = await client.get(f"{root}/jobs")
        assert page.status_code == 200
        assert f'href="{root}/jobs/{job.id}"' in page.text.replace("&#39;", "'")
        for cookie in page.headers.get_list("set-cookie"):
            names = [part.partition("=")[0] for part in cookie.split("; ")]
            assert names == [COOKIE, "Path", "HttpOnly", "SameSite"]
            assert "evil" not in cookie
        back = page.text.partition('name="back" value="')[2].partition('"')[0]
        form = {"csrf": csrf_of(page.text), "back": back, "do": "kill", "id": str(job.id)}
        done = await client.post(f"{root}/act", data=form)
        assert done.status_code == 200, done.text
        assert str(done.url).endswith(f"{root}/jobs")
        assert "✓ echo killed." in done.text
        form = {**form, "language": "fr"}
        assert 'lang="fr"' in (await client.post(f"{root}/language", data=form)).text


async def test_under_tls(processor: JobProcessor) -> None:
    """Cookies are of this host alone, and the browser is told to come back encrypted only."""
    app = Starlette(routes=[Mount("/queue", create_app(processor))])
    async with client_of(app, base_url="https://dashboard") as client:
        page = await client.get("/queue/jobs")
        (cookie,) = page.headers.get_list("set-cookie")
        assert cookie.startswith(f"__Host-{COOKIE}=")
        assert {"Path=/", "Secure", "HttpOnly"} <= set(cookie.split("; "))
        assert "max-age=" in page.headers["strict-transport-security"]
        form = {"csrf": csrf_of(page.text), "do": "pause", "name": "echo", "back": "/"}
        answer = await client.post("/queue/act", data=form, follow_redirects=False)
        assert answer.status_code == 303
    async with client_of(app) as client:
        assert "strict-transport-security" not in (await client.get("/queue/jobs")).headers


async def test_a_slash_at_the_end_leads_nowhere(client: httpx.AsyncClient) -> None:
    """No redirect is made of the host that a request names."""
    answer = await client.get("/jobs/", headers={"host": "evil.test"}, follow_redirects=False)
    assert (answer.status_code, "location" in answer.headers) == (404, False)


class Noting:
    """An ASGI application that notes how it is asked."""

    def __init__(self) -> None:
        self.scope: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer nothing."""
        self.scope = scope


PROXIED = [(b"host", b"127.0.0.1:8000"), (b"x-forwarded-host", b"dash.example.org")]
PROXIED += [(b"x-forwarded-for", b"6.6.6.6, 10.9.8.7"), (b"x-forwarded-proto", b"https")]


@pytest.mark.parametrize(
    ("trusted", "client", "host", "scheme"),
    [
        ([], "127.0.0.1", b"127.0.0.1:8000", "http"),
        (["10.0.0.1"], "127.0.0.1", b"127.0.0.1:8000", "http"),
        (["127.0.0.1"], "10.9.8.7", b"dash.example.org", "https"),
        (["127.0.0.0/8"], "10.9.8.7", b"dash.example.org", "https"),
    ],
)
async def test_what_a_proxy_says(trusted: list[str], client: str, host: bytes, scheme: str) -> None:
    """Counts where its address is trusted by name, and is dropped elsewhere."""
    app = Noting()
    scope: Any = {"type": "http", "path": "/jobs", "headers": PROXIED, "scheme": "http"}
    scope |= {"client": ("127.0.0.1", 7), "root_path": ""}
    proxies: Any = Proxies(app, trusted, "/queue")
    await proxies(scope, None, None)
    headers = dict(app.scope["headers"])
    assert (app.scope["client"][0], app.scope["scheme"], headers[b"host"]) == (client, scheme, host)
    assert (app.scope["root_path"], app.scope["path"]) == ("/queue", "/queue/jobs")
    assert trusted[:1] in (["127.0.0.1"], ["127.0.0.0/8"]) or b"x-forwarded-for" not in headers


async def test_a_form_behind_a_proxy_that_names_its_own_host(processor: JobProcessor) -> None:
    """Is ours when the proxy is trusted: the origin is compared with what the browser asked for."""
    job = await processor.schedule_job("echo")
    for trusted, status in (["127.0.0.1"], 303), ([], 403):
        app = Proxies(create_app(processor), trusted)
        headers = {"x-forwarded-host": "dash.example.org", "origin": "http://dash.example.org"}
        async with client_of(app, base_url="http://127.0.0.1:8000", headers=headers) as client:
            page = await client.get("/jobs")
            form = {"csrf": csrf_of(page.text), "do": "kill", "id": str(job.id), "back": "/"}
            answer = await client.post("/act", data=form, follow_redirects=False)
            assert answer.status_code == status


async def test_the_address_that_is_printed(processor: JobProcessor) -> None:
    """Its token is taken once for a cookie, and is out of the address before any page is shown."""
    entrance = Entrance()
    async with client_of(create_app(processor, entrance)) as client:
        assert (await client.get("/jobs")).status_code == 401
        address = entrance.address("http://dashboard/") + "&status=pending"
        answer = await client.get(address, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/?status=pending")
        (cookie,) = answer.headers.get_list("set-cookie")
        assert "HttpOnly" in cookie
        assert "SameSite=" in cookie
        assert entrance.token not in cookie
        assert answer.headers["referrer-policy"] == "same-origin"
        page = await client.get("/jobs")
        assert page.status_code == 200
        assert entrance.token not in page.text
        form = {"csrf": csrf_of(page.text), "do": "pause", "name": "echo", "back": "/"}
        assert (await client.post("/act", data=form)).status_code == 200
        again = await client.get("/jobs?token=an-old-one", follow_redirects=False)
        assert (again.status_code, again.headers["location"]) == (303, "/jobs")
    assert [entry.who for entry in await processor.get_audit()] == ["token"]


@pytest.mark.parametrize("query", ["token=", "token=x", "token=\xff", "token=é", "token"])
async def test_a_wrong_token_in_the_address(processor: JobProcessor, query: str) -> None:
    """Lets nobody in, sets no cookie, and is no error."""
    async with client_of(create_app(processor, Entrance())) as client:
        answer = await client.get(f"/jobs?{query}", follow_redirects=False)
        assert (answer.status_code, answer.headers.get("set-cookie")) == (401, None)
        cookies = {"job_processor_login_0": "x", "job_processor_login_80": "x"}
        client.cookies.update(cookies)
        assert (await client.get("/jobs")).status_code == 401


async def test_two_tokens_in_the_address(processor: JobProcessor) -> None:
    """Are none: it is not told which of them was meant."""
    entrance = Entrance()
    async with client_of(create_app(processor, entrance)) as client:
        address = f"/jobs?token={entrance.token}&token=x"
        assert (await client.get(address, follow_redirects=False)).status_code == 401


async def test_the_token_as_a_login(processor: JobProcessor) -> None:
    """A program gives it as a bearer token; read only where asked for."""
    entrance = Entrance("read_only")
    async with client_of(create_app(processor, entrance)) as client:
        client.headers["authorization"] = f"Bearer {entrance.token}"
        assert (await client.get("/api/jobs")).status_code == 200
        assert (await client.post("/api/jobs", json={"name": "echo"})).status_code == 403
