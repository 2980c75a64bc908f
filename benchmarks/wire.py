"""What a worker under load sends to MongoDB and gets back for one job: round trips and bytes.

    python -m benchmarks.wire --db mongodb://127.0.0.1:27017/ --jobs 5000 --slots 500
    PYTHONPATH=../before/src python -m benchmarks.wire --db …       # the same of another checkout

A worker empties a queue of jobs that do nothing, through a relay that counts the bytes in both
directions, those of its change stream and its monitoring too. Round trips are the commands of its
clients, but for what they ask every few seconds whatever they do: a slow server would have most of
those. What is counted hardly depends on the server, so the one of the tests will do.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import socket
import threading
from collections import Counter
from contextlib import suppress
from typing import Any

from pymongo import MongoClient, monitoring
from pymongo.uri_parser import parse_uri

from benchmarks.external import add_db
from job_processor import AbortController, JobDef, JobProcessor

PERIODIC = {"hello", "getMore", "aggregate", "listIndexes", "listCollections", "delete"}
"""What a worker asks now and then: for the changes, the other workers, what it might sweep."""


class Relay:
    """Hands on what comes to a port of its own, and counts it."""

    def __init__(self, host: str, port: int) -> None:
        self.to_server = self.to_client = 0
        self._server = host, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            server = socket.create_connection(self._server)
            for pump in (self._send, self._receive):
                threading.Thread(target=pump, args=(client, server), daemon=True).start()

    def _send(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), client, server:
            while data := client.recv(1 << 16):
                self.to_server += len(data)
                server.sendall(data)

    def _receive(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), client, server:
            while data := server.recv(1 << 16):
                self.to_client += len(data)
                client.sendall(data)


class Commands(monitoring.CommandListener):
    """Counts the commands of every client that is made from now on."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Count one."""
        self.sent[event.command_name] += 1

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Count nothing."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Count nothing."""


async def _nothing(n: int, to: str) -> None:
    del n, to


async def _measure(url: str, jobs: int, slots: int) -> str:
    host, port = parse_uri(url)["nodelist"][0]
    server, _, options = url.partition("?")
    jobs_of = {"nothing": JobDef(_nothing)}
    async with JobProcessor(url, jobs=jobs_of) as caller:
        payload = {"n": 1, "to": "ada@example.com"}
        await caller.schedule_jobs([("nothing", payload)] * jobs, return_jobs=False)
    relay, commands = Relay(host, port or 27017), Commands()
    monitoring.register(commands)
    through = f"mongodb://127.0.0.1:{relay.port}/{server.rpartition('/')[2]}"
    direct = "&".join(["directConnection=true", *_kept(options)])
    with MongoClient[dict[str, Any]](url, event_listeners=[]) as client:
        collection = client.get_default_database()["job_processor.jobs"]
        async with JobProcessor(f"{through}?{direct}", jobs=jobs_of, concurrency=slots) as worker:
            stop = AbortController()
            commands.sent.clear()
            sent, received = relay.to_server, relay.to_client
            running = asyncio.create_task(worker.run_worker(stop.signal))
            while await asyncio.to_thread(collection.count_documents, {"ended_at": None}):  # noqa: ASYNC110  # another thread asks
                await asyncio.sleep(0.2)
            sent, received = relay.to_server - sent, relay.to_client - received
            # The look whether all has ended is of a client that hears of itself, too.
            trips = sum(n for name, n in commands.sent.items() if name not in PERIODIC)
            stop.abort()
            await running
        client.drop_database(client.get_default_database().name)
    return (
        f"{slots} slots, {jobs:,} jobs: {trips / jobs:.4f} round trips, {sent / jobs:.0f} bytes "
        f"sent and {received / jobs:.0f} received for a job"
    )


def _kept(options: str) -> list[str]:
    """Return the options of a URL but for those that name a whole replica set."""
    named = [each for each in options.split("&") if each]
    return [each for each in named if each.partition("=")[0].lower() != "replicaset"]


def main() -> None:
    """Measure and print, on a database of its own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add_db(parser)
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--slots", type=int, default=500)
    options = parser.parse_args()
    server, mark, query = options.db.partition("?")
    url = f"{server}_{secrets.token_hex(4)}{mark}{query}"
    print(asyncio.run(_measure(url, options.jobs, options.slots)))


if __name__ == "__main__":
    main()
