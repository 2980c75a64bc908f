"""Import a CSV file in a job that survives a shutdown in the middle.

    pip install job-processor
    # with uv: uv add job-processor
    python csv_import.py

The import keeps its position itself. The rows of a batch and the number of the last row are written
to the target in one transaction, so whatever happens, the position is that of the rows.

time_zones.csv lists the time zones of the world, from the tz database (public domain).
"""

import asyncio
import csv
import sqlite3
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

from job_processor import AbortController, AbortSignal, JobProcessor, SimpleJob

SOURCE = Path(__file__).with_name("time_zones.csv")
TARGET = "time_zones.db"
BATCH = 25  # rows
TARGET_DELAY = 0.1  # seconds that a batch takes; a real target would be as slow by itself

processor = JobProcessor("sqlite:///csv_import.db")
new_version = AbortController()  # stands for the SIGTERM of a deployment


@processor.job(resumable=True, exclusive=True)
def import_zones(job: SimpleJob, signal: AbortSignal, path: Path) -> dict:
    """Import what is not imported yet. A plain function: it runs in a thread."""
    with (
        closing(sqlite3.connect(TARGET)) as target,
        path.open(newline="", encoding="utf-8") as file,
    ):
        create_tables(target)
        imported = position(target, job)
        print(f"import_zones starts after row {imported}")
        rows = islice(csv.DictReader(file), imported, None)
        while batch := list(islice(rows, BATCH)):
            signal.raise_if_aborted()  # between two batches: nothing is half done
            imported += len(batch)
            write(target, job, batch, imported)
            time.sleep(TARGET_DELAY)
            if imported == 100:
                new_version.abort("a new version is deployed")
    return {"imported": imported}


def create_tables(target: sqlite3.Connection) -> None:
    target.execute(
        "CREATE TABLE IF NOT EXISTS zone"
        " (name TEXT PRIMARY KEY, country TEXT, latitude REAL, longitude REAL)"
    )
    target.execute("CREATE TABLE IF NOT EXISTS position (job TEXT PRIMARY KEY, row INTEGER)")


def position(target: sqlite3.Connection, job: SimpleJob) -> int:
    found = target.execute("SELECT row FROM position WHERE job = ?", (str(job.id),)).fetchone()
    return found[0] if found else 0


def write(target: sqlite3.Connection, job: SimpleJob, batch: list[dict], imported: int) -> None:
    with target:  # one transaction
        target.executemany(
            "INSERT OR REPLACE INTO zone VALUES (?, ?, ?, ?)",
            [(row["zone"], row["country"], *degrees(row["coordinates"])) for row in batch],
        )
        target.execute("INSERT OR REPLACE INTO position VALUES (?, ?)", (str(job.id), imported))


def degrees(coordinates: str) -> tuple[float, float]:
    """Return "+4230+00131" or "+404251-0740023" (degrees, minutes, seconds) as two numbers."""
    middle = max(coordinates.rfind("+"), coordinates.rfind("-"))
    return angle(coordinates[:middle], 2), angle(coordinates[middle:], 3)


def angle(text: str, width: int) -> float:
    sign, digits = -1 if text[0] == "-" else 1, text[1:]
    parts = [int(digits[:width]), int(digits[width : width + 2]), int(digits[width + 2 :] or 0)]
    return sign * round(parts[0] + parts[1] / 60 + parts[2] / 3600, 4)


async def main() -> None:
    async with processor:
        job = await import_zones.schedule(path=SOURCE)

        await processor.run_worker(new_version.signal)  # the worker that a deployment stops
        job = await processor.get_job(job.id)
        print(f"after the shutdown: {job.status}")

        await processor.run_worker(burst=True)  # the worker of the new version
        job = await processor.get_job(job.id)
        print(f"after the resume: {job.status}, {job.output.result}")

    with closing(sqlite3.connect(TARGET)) as target:
        query = "SELECT count(*), name, max(latitude) FROM zone"
        count, name, latitude = target.execute(query).fetchone()
        print(f"{count} zones; the northernmost is {name}, at {latitude}°")


if __name__ == "__main__":
    asyncio.run(main())
