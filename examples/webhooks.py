"""A webhook that is signed, sent, refused once and sent again; and the receiver that verifies it.

pip install 'job-processor[webhooks]'
# with uv: uv add 'job-processor[webhooks]'
python webhooks.py
"""

import asyncio
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

from job_processor import JobProcessor, Retry
from job_processor.integrations.webhooks import (
    Webhooks,
    WebhookVerificationError,
    new_secret,
    verify,
)

secret = new_secret()  # known to both sides; keep it where you keep your other secrets
busy = iter([True, False])


class Receiver(BaseHTTPRequestHandler):
    """What your customer runs."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))  # as it came, unparsed
        if next(busy):
            print("the receiver is busy")
            return self.answer(503, retry_after="0")
        event = verify(body, dict(self.headers), secret)
        print(f"received {event['type']}: {event['data']}")
        return self.answer(204)

    def answer(self, status: int, retry_after: str = "") -> None:
        self.send_response(status)
        if retry_after:
            self.send_header("retry-after", retry_after)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


async def main() -> None:
    server = HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{server.server_port}"

    webhooks = Webhooks(
        [host],
        secret,
        networks=["127.0.0.0/8"],  # for this program alone: private addresses are refused
        allow_http=True,
        retry=Retry(max_attempts=3, delay=0.1),
    )
    async with JobProcessor("sqlite://", jobs=[webhooks]) as processor:
        job = await webhooks.send(f"http://{host}/hooks", "invoice.paid", {"number": 42})
        await processor.run_worker(burst=True)
        job = await processor.wait_for_job(job.id)
        print(f"{job.status} at attempt {job.attempt}: {job.output.result}")
    server.shutdown()
    server.server_close()

    forged = {"webhook-id": "1", "webhook-timestamp": str(int(job.ended_at.timestamp()))}
    try:
        verify(b"{}", forged | {"webhook-signature": "v1,forged"}, secret)
    except WebhookVerificationError as error:
        print(f"forged: {error}")


if __name__ == "__main__":
    asyncio.run(main())
