"""Both packages on one database: Node in processes of its own, Python in the test's event loop."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import ObjectId
from bson.codec_options import CodecOptions
from pymongo import AsyncMongoClient

from job_processor import Job, JobProcessor
from tests.acceptance.node.node_process import NodeProcess, NodeWorker
from tests.processors import Processors, eventually

Document = dict[str, Any]


class Both:
    """Starts workers of both kinds on one database, and looks at its documents."""

    def __init__(
        self, db_url: str, folder: Path, processors: Processors, process: NodeProcess
    ) -> None:
        self.db_url = db_url
        self.processors = processors
        self._folder = folder
        self._log = folder / "node.log"
        self._log.touch()
        self._count = itertools.count()
        self._client: AsyncMongoClient[Document] = AsyncMongoClient(db_url, tz_aware=True)
        self._process = process
        self._own: list[NodeProcess] = []
        self._nodes: list[NodeWorker] = []

    async def close(self) -> None:
        """End what was started."""
        try:
            for node in self._nodes:
                await node.close()
        finally:
            for process in self._own:
                process.kill()
            await self._client.close()

    async def node(
        self, *, work: bool = True, process: NodeProcess | None = None, **options: Any
    ) -> NodeWorker:
        """Return a Node worker; `work` False: it only prepares the database and schedules.

        process: one of its own; None: the one that all share.
        """
        errors = self._folder / f"node-{next(self._count)}.log"
        settings = {"tags": ["node"], **options}
        node = NodeWorker(process or self._process, self.db_url, self._log, errors, **settings)
        await node.open()
        if process is None:
            self._nodes.append(node)
        if work:
            await node.start()
        return node

    def process(self) -> NodeProcess:
        """Start a Node process for itself, which may be killed; it ends with the test."""
        process = NodeProcess(self._folder / f"process-{next(self._count)}.log")
        self._own.append(process)
        return process

    async def python(self, *, work: bool = True, **options: Any) -> JobProcessor:
        """Return a processor of ours; `work` False: it only schedules."""
        processor = await self.processors.make(**{"db": self.db_url, **options})
        if work:
            await self.processors.worker(processor)
        return processor

    async def register_node_worker(self) -> None:
        """Write what a Node worker writes first when it begins."""
        seen = datetime.now(UTC)
        document = {"_id": ObjectId(), "hostname": "node", "lastSeen": seen, "tags": ["node"]}
        await self.collection("workers").insert_one(document)

    def collection(self, name: str) -> Any:
        """Return a collection as it is: `jobs`, `workers`, `signals` or `settings`."""
        database = self._client.get_default_database()
        return database.get_collection(f"job_processor.{name}", CodecOptions(tz_aware=True))

    async def validator(self) -> Any:
        """Return the validator of the jobs."""
        database = self._client.get_default_database()
        async for info in await database.list_collections(filter={"name": "job_processor.jobs"}):
            return info["options"].get("validator")
        return None

    async def job(self, job_id: ObjectId) -> Document:
        """Return the document of a job."""
        document: Document | None = await self.collection("jobs").find_one({"_id": job_id})
        assert document is not None, f"job {job_id} is lost"
        return document

    async def until(self, what: str, count: int = 1, **selection: Any) -> list[Document]:
        """Return documents of a collection once at least so many match."""

        async def look() -> list[Document]:
            found: list[Document] = await self.collection(what).find(selection).to_list()
            return found if len(found) >= count else []

        found: list[Document] = await eventually(look, f"{count} of {what} {selection}")
        return found

    async def ended(self, job_id: ObjectId) -> Document:
        """Return the document of a job once it is settled."""
        settled = {"$in": ["finished", "errored", "killed", "skipped"]}
        (document,) = await self.until("jobs", _id=job_id, status=settled)
        return document

    async def only(self, name: str) -> Document:
        """Return the one job of this name."""
        (document,) = await self.until("jobs", name=name, type="simple")
        return document

    async def only_cron(self, name: str) -> Document:
        """Return the one cron of this name."""
        (document,) = await self.until("jobs", name=name, type="cron")
        return document

    def lines(self, what: str, name: str | None = None) -> list[Document]:
        """Return what Node's handlers wrote down, in their order."""
        lines = [json.loads(line) for line in self._log.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line["what"] == what and name in (None, line["name"])]

    async def until_began(self, name: str, count: int = 1) -> list[Document]:
        """Return what Node's handlers of a name wrote once so many have begun."""

        async def look() -> list[Document]:
            lines = self.lines("start", name)
            return lines if len(lines) >= count else []

        lines: list[Document] = await eventually(look, f"{count} runs of {name} in Node")
        return lines

    def errors(self) -> str:
        """Return what all Node workers wrote of errors."""
        return "".join(node.errors for node in self._nodes)


def results(jobs: Iterable[Job]) -> list[Any]:
    """Return what jobs left."""
    return [job.output.result if job.output is not None else None for job in jobs]
