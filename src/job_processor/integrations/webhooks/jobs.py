"""The job `job_processor.webhook`: what asks for one, and the collection that sends it."""

from __future__ import annotations

import inspect
import json
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any, Final, TypeAlias, Unpack

from job_processor.as_json import to_json
from job_processor.clock import Clock
from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.handlers.definitions import JobOptions
from job_processor.handlers.retries import Retry, as_retry
from job_processor.integrations.webhooks.allowed import Allowed, target_of
from job_processor.integrations.webhooks.failures import WebhookRefusedError
from job_processor.integrations.webhooks.signatures import Secrets, keys_of, signed
from job_processor.jobs.collection import Jobs
from job_processor.jobs.handle import ScheduleOptions
from job_processor.jobs.request import JobRequest
from job_processor.models import SimpleJob
from job_processor.settings import Duration, check_name, duration
from job_processor.version import version

WEBHOOK: Final = "job_processor.webhook"
"""The name of the job."""

GivenSecrets: TypeAlias = (
    Secrets | Mapping[str, Secrets] | Callable[[str], Secrets | Awaitable[Secrets | None] | None]
)
"""One for all endpoints, one for each by name, or what finds those of a name."""

_RETRY = Retry(max_attempts=15, delay=5.0, max_delay=4 * 3600.0)
"""The last attempt is 7 to 14 hours after the first."""
_TIMEOUT = 20.0  # seconds, as the scheme advises
_KNOWN = frozenset(each.name for each in fields(JobRequest)) - {"name", "payload"}


def webhook(
    url: str,
    type: str,
    data: Mapping[str, Any] | None = None,
    *,
    endpoint: str | None = None,
    **options: Unpack[ScheduleOptions],
) -> JobRequest:
    """Return a `JobRequest` that sends a webhook, for `schedule_jobs` and `schedule_sync`.

    url: the address; the worker's `Webhooks(hosts=…)` has to allow its host.
    type: what has happened, such as "invoice.paid".
    data: details, sent as JSON; any values that a payload may have.
    endpoint: the name by which the worker finds the secret; None: the host of the address.
    options: those of `schedule_job`, except `session`.

    ```python
    await processor.schedule_jobs([webhook("https://example.com/hook", "invoice.paid", {"id": 7})])
    ```

    Raises InvalidArgumentError for an invalid address or name.
    """
    target_of(url)
    check_name("type", type)
    if endpoint is not None:
        check_name("endpoint", endpoint)
    if data is not None and not isinstance(data, Mapping):
        raise InvalidArgumentError("data", Unshown(data), "allowed is a mapping, or None")
    unknown = next((name for name in options if name not in _KNOWN), None)
    if unknown is not None:
        allowed = f"allowed are {', '.join(sorted(_KNOWN))}"
        raise InvalidArgumentError("options", unknown, allowed)
    payload: dict[str, Any] = {"url": url, "type": type, "data": dict(data or {})}
    if endpoint is not None:
        payload["endpoint"] = endpoint
    return JobRequest(WEBHOOK, payload, **options)  # type: ignore[misc]  # `session` is refused


class Webhooks(Jobs):
    """The job `job_processor.webhook` for workers that send: `JobProcessor(jobs=[Webhooks(…)])`.

    hosts: hosts that webhooks may go to: `hooks.example.com`, `*.example.com` for its subdomains,
        `example.com:8443`, or `*` for every public host.
    secrets: `whsec_…`, or a list while a secret is replaced: each signs. A mapping by endpoint, or
        an async or sync function of the endpoint, gives each endpoint its own. Secrets are never
        stored in jobs or logged.
    timeout: seconds, or a timedelta, to wait for an answer.
    networks: private networks that webhooks may go to, such as `10.2.0.0/16`; none by default.
    allow_http: also allow addresses without TLS.
    ssl_context: certificates to trust, for instance of a certificate authority of your own; None:
        those of the system.
    clock: replaces the system's clock; for tests.
    options: those of `JobDef`, such as `tag`, `rate` and `limit`. The default `retry` is 15
        attempts in less than a day.

    Raises MissingExtraError without `job-processor[webhooks]`, and InvalidArgumentError.
    """

    def __init__(
        self,
        hosts: Iterable[str],
        secrets: GivenSecrets,
        *,
        timeout: Duration = _TIMEOUT,
        networks: Iterable[str] = (),
        allow_http: bool = False,
        ssl_context: ssl.SSLContext | None = None,
        clock: Clock | None = None,
        **options: Unpack[JobOptions],
    ) -> None:
        from job_processor.integrations.webhooks.delivery import Delivery  # noqa: PLC0415  # extra

        super().__init__()
        self._allowed = Allowed(hosts, networks, allow_http)
        self._secrets = _checked(secrets)
        self._clock = clock or Clock()
        self._delivery = Delivery(self._allowed, duration("timeout", timeout), ssl_context)
        retry = as_retry(options.get("retry", _RETRY))
        if retry is not None:
            never = (WebhookRefusedError, InvalidArgumentError)
            options["retry"] = replace(retry, give_up_on=(*retry.give_up_on, *never))
        self.job(WEBHOOK, **options)(self._deliver)

    async def send(
        self,
        url: str,
        type: str,
        data: Mapping[str, Any] | None = None,
        *,
        endpoint: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> SimpleJob:
        """Store a webhook with the processor of this collection; arguments as for `webhook`.

        session: a transaction, as in `schedule_job`.

        Raises InvalidArgumentError, also for a host that is not allowed.
        """
        session = options.pop("session", None)
        request = webhook(url, type, data, endpoint=endpoint, **options)
        try:
            self._allowed.check(target_of(url))
        except WebhookRefusedError as error:
            raise InvalidArgumentError("url", Unshown(url), f"{error}") from None
        (job,) = await self._processor().schedule_jobs([request], session=session)
        return job  # type: ignore[no-any-return]  # of whatever processor it is

    async def _deliver(
        self,
        job: SimpleJob,
        url: str,
        type: str,
        data: dict[str, Any],
        endpoint: str | None = None,
    ) -> dict[str, int]:
        """Send the webhook; return the status of the answer."""
        target = target_of(url)
        self._allowed.check(target)
        message = {"type": type, "timestamp": to_json(job.created_at), "data": to_json(data)}
        body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        headers = {
            "content-type": "application/json",
            "user-agent": f"job-processor/{version()}",
            **await self._signed(job, endpoint or target.host, body),
        }
        return {"status": await self._delivery.post(target, body, headers)}

    async def _signed(self, job: SimpleJob, endpoint: str, body: bytes) -> dict[str, str]:
        """Return the headers that sign a body: of each attempt others, but for their id."""
        secrets: Any = self._secrets
        if isinstance(secrets, Mapping):
            secrets = secrets.get(endpoint)
        elif callable(secrets):
            secrets = secrets(endpoint)
            secrets = await secrets if inspect.isawaitable(secrets) else secrets
        if secrets is None:
            raise WebhookRefusedError(
                f"no secret is known for the endpoint {endpoint!r}: Webhooks(…, secrets=…)"
            )
        return signed(f"msg_{job.id}", int(self._clock.now().timestamp()), body, secrets)


def _checked(secrets: Any) -> Any:
    """Return secrets as they were given; raises InvalidArgumentError where one cannot be one."""
    if not callable(secrets):
        for each in secrets.values() if isinstance(secrets, Mapping) else [secrets]:
            keys_of(each)
    return secrets
