"""A dashboard without the key: it says that a job is encrypted, and shows nothing of it."""

from __future__ import annotations

import base64

from job_processor import JobProcessor
from job_processor.integrations.encryption import Encryption
from job_processor.web import create_app
from tests.insides import store_of
from tests.processors import Processors
from tests.web.conftest import JOBS, client_of
from tests.web.forms import csrf_of

SECRET = "kept to oneself"  # noqa: S105  # what is not to be shown


async def test_nothing_is_shown_without_the_key(processors: Processors, db_url: str) -> None:
    """Lists, the page of a job and the JSON interface; with it, the page shows the payload."""
    codec = Encryption({"k": bytes(32)})
    processor = await processors.make(jobs=JOBS, codec=codec)
    job = await processor.schedule_job("echo", {"text": SECRET})
    await processor.run_worker(burst=True)
    prefix = processor.settings.collection_prefix
    async with JobProcessor(db_url, jobs=JOBS, collection_prefix=prefix) as without:
        raw = await store_of(without).history.get(job.id)
        assert raw is not None
        (sealed,) = raw.payload.values()  # type: ignore[union-attr]
        ciphertext = base64.b64encode(sealed).decode()
        async with client_of(create_app(without)) as client:
            paths = (f"/jobs/{job.id}", "/jobs", f"/api/jobs/{job.id}", "/api/jobs", "/api/status")
            for path in paths:
                text = (await client.get(path)).text
                assert "[encrypted]" in text, path
                assert SECRET not in text
                assert ciphertext[:40] not in text
            page = (await client.get(f"/jobs/{job.id}")).text
            again = {"csrf": csrf_of(page), "do": "schedule", "name": "echo", "of": str(job.id)}
            payload = '{"[encrypted]": "99 bytes"}'
            answer = await client.post("/act", data={**again, "payload": payload})
            assert "encrypted" in answer.text
            assert await without.count_jobs() == 1
    async with client_of(create_app(processor)) as client:
        assert SECRET in (await client.get(f"/jobs/{job.id}")).text
