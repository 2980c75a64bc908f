"""The way of a webhook: to the address that was checked, to nobody else, and no further."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from job_processor import RetryLater
from job_processor.integrations.webhooks import WebhookFailedError, WebhookRefusedError
from job_processor.integrations.webhooks.allowed import Allowed, target_of
from job_processor.integrations.webhooks.delivery import Delivery
from tests.integrations.webhooks.receiver import Receiver, receiving
from tests.processors import WAIT

LOOPBACK = ["127.0.0.0/8"]


@pytest.fixture
def receiver() -> Any:
    """A receiver of this test's own."""
    with receiving() as made:
        yield made


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Addresses by name, those of one look-up after the other; the last for ever.

    A name without any does not exist.
    """
    known: dict[str, list[list[str]]] = {}
    original = socket.getaddrinfo

    def look_up(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if host not in known:
            return original(host, port, *args, **options)
        answers = known[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in found]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


async def post(url: str, *, hosts: Any = ("*",), networks: Any = LOOPBACK, **options: Any) -> int:
    """Send an empty object."""
    target = target_of(url)
    allowed = Allowed([*hosts, f"*:{target.port}"], networks, True)
    timeout, context = options.get("timeout", WAIT), options.get("context")
    return await Delivery(allowed, timeout, context).post(target, b"{}", {"x-one": "1"})


async def test_it_arrives(receiver: Receiver) -> None:
    """Path, query, headers and body come as they were given."""
    assert await post(receiver.url) == 204
    (request,) = receiver.received
    assert (request.path, request.body) == ("/hooks?part=1", b"{}")
    assert request.headers["x-one"] == "1"
    assert request.headers["host"] == receiver.host


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    """Where an answer leads to was not checked: it is a failure, and nobody else is asked."""
    with receiving() as other:
        receiver.answers = [(302, {"location": other.url})]
        with pytest.raises(WebhookFailedError, match="302, a redirect, which is not followed"):
            await post(receiver.url)
        assert other.received == []


async def test_a_name_that_leads_into_a_private_network(
    receiver: Receiver, names: dict[str, list[list[str]]]
) -> None:
    """A host that is allowed by name is not asked where its address is private."""
    names["inside.example"] = [["127.0.0.1"]]
    with pytest.raises(WebhookRefusedError, match=r"private address 127\.0\.0\.1"):
        await post(f"http://inside.example:{receiver.port}/", networks=[])
    assert receiver.received == []


async def test_one_private_address_among_others(
    receiver: Receiver, names: dict[str, list[list[str]]]
) -> None:
    """All addresses of a name have to be allowed, whichever would have been taken."""
    names["half.example"] = [["127.0.0.1", "10.0.0.1"]]
    with pytest.raises(WebhookRefusedError, match=r"private address 10\.0\.0\.1"):
        await post(f"http://half.example:{receiver.port}/")
    assert receiver.received == []


async def test_a_name_that_changes_its_address(
    receiver: Receiver, names: dict[str, list[list[str]]]
) -> None:
    """It is looked up once, and what was checked is what is connected to."""
    names["rebinding.example"] = [["127.0.0.1"], ["10.0.0.1"]]
    assert await post(f"http://rebinding.example:{receiver.port}/") == 204
    assert names["rebinding.example"] == [["10.0.0.1"]]
    assert receiver.received[0].headers["host"] == f"rebinding.example:{receiver.port}"


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "0177.0.0.1"])
async def test_odd_forms_of_an_address(receiver: Receiver, host: str) -> None:
    """A number that the system takes for an address is what it leads to."""
    try:
        socket.getaddrinfo(host, 80)
    except OSError:
        pytest.skip("this system takes it for a name")
    with pytest.raises(WebhookRefusedError, match="private address"):
        await post(f"http://{host}:{receiver.port}/", networks=[])
    assert receiver.received == []


async def test_the_next_address_is_tried(
    receiver: Receiver, names: dict[str, list[list[str]]]
) -> None:
    """Where one of several addresses does not answer, another one does."""
    names["two.example"] = [["127.0.0.2", "127.0.0.1"]]
    assert await post(f"http://two.example:{receiver.port}/") == 204


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
async def test_no_proxy_is_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """A proxy would look the name up again, so that of the environment has no say."""
    with receiving() as proxy:
        monkeypatch.setenv(variable, f"http://{proxy.host}")
        assert await post(receiver.url) == 204
        assert proxy.received == []


@pytest.mark.parametrize("status", [400, 404, 500, 503])
async def test_answers_that_are_failures(receiver: Receiver, status: int) -> None:
    """Every answer but a 2xx is one, and the error tells neither path nor query."""
    receiver.answers = [(status, {})]
    with pytest.raises(WebhookFailedError, match=f"answered {status}$") as raised:
        await post(receiver.url)
    assert "hooks" not in str(raised.value)


async def test_nobody_wants_it_any_more(receiver: Receiver) -> None:
    """After a 410 there is nothing to try again."""
    receiver.answers = [(410, {"retry-after": "1"})]
    with pytest.raises(WebhookRefusedError, match="answered 410"):
        await post(receiver.url)


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("7", 7.0, 7.0),
        ("0", 0.0, 0.0),
        ("9" * 4000, 86400.0, 86400.0),
        (timedelta(hours=1), 1.0, 3600.0),
        (timedelta(hours=-1), 0.0, 0.0),
    ],
)
async def test_an_answer_that_says_when(
    receiver: Receiver, retry_after: str | timedelta, least: float, most: float
) -> None:
    """A `Retry-After` in seconds or as a date is when the next attempt comes, within a day."""
    if isinstance(retry_after, timedelta):
        retry_after = format_datetime(datetime.now(UTC) + retry_after, usegmt=True)
    receiver.answers = [(429, {"Retry-After": retry_after})]
    with pytest.raises(RetryLater, match=r"answered 429$") as raised:
        await post(receiver.url)
    assert least <= raised.value.delay <= most


async def test_an_answer_that_says_nonsense(receiver: Receiver) -> None:
    """A `Retry-After` that says nothing leaves it to the backoff."""
    receiver.answers = [(503, {"Retry-After": "soon"})]
    with pytest.raises(WebhookFailedError, match="answered 503"):
        await post(receiver.url)


async def test_nobody_answers(receiver: Receiver) -> None:
    """After its time a webhook has failed, whoever holds the connection open."""
    receiver.may_answer.clear()
    with pytest.raises(WebhookFailedError, match=r"did not answer within 0\.05 s"):
        await post(receiver.url, timeout=0.05)


async def test_nobody_is_there(names: dict[str, list[list[str]]]) -> None:
    """A port at which nobody listens, and a name that does not exist, are failures."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(WebhookFailedError, match="cannot be reached"):
            await post(f"http://127.0.0.1:{port}/")
    names["nobody.example"] = [[]]
    with pytest.raises(WebhookFailedError, match="cannot be reached"):
        await post("https://nobody.example/")


async def test_the_certificate_is_that_of_the_name(
    tmp_path: Path, names: dict[str, list[list[str]]]
) -> None:
    """It is asked for the name of the host, not for its address, and must be of somebody trusted.

    So an address that somebody else has got is no way to read what was meant for the name.
    """
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate(tmp_path, "hooks.example"))
    trusting = ssl.create_default_context(cafile=str(tmp_path / "hooks.pem"))
    names["hooks.example"] = names["other.example"] = [["127.0.0.1"]]
    with receiving(server) as receiver:
        url = f"https://hooks.example:{receiver.port}/"
        assert await post(url, context=trusting) == 204
        with pytest.raises(WebhookFailedError, match="cannot be reached"):
            await post(url)
        with pytest.raises(WebhookFailedError, match="cannot be reached"):
            await post(url.replace("hooks", "other"), context=trusting)
        assert len(receiver.received) == 1


def certificate(folder: Path, host: str) -> Path:
    """Return a file with a key and a certificate of a name, which it has signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path = folder / "hooks.pem"
    path.write_bytes(private + made.public_bytes(pem))
    return path
