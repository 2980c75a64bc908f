"""What no index tells of a selection, as a condition that looks at each job."""

from __future__ import annotations

import re
from typing import Any

from job_processor.store.requests import JobQuery

_PLAIN = re.compile(r"[\w .,:;()=-]*", re.ASCII)  # stands in JSON as it is


def condition_of(query: JobQuery) -> tuple[str, list[Any]]:
    """Return what no index tells as a condition, with its values."""
    terms: list[str] = []
    values: list[Any] = []
    if query.worker_id is not None:
        terms.append("job.worker_id=?")
        values.append(query.worker_id.binary)
    if query.id_end is not None:
        terms.append("lower(hex(job.id)) LIKE ?")
        values.append(f"%{query.id_end}")
    if query.error is not None:
        # Most jobs are passed over by the first test, which does not have to read the JSON.
        if _PLAIN.fullmatch(query.error):
            terms.append("instr(lower(output), lower(?))>0")
            values.append(query.error)
        terms.append(
            "instr(output, '\"error\":')>0 AND json_valid(output) "
            "AND instr(lower(json_extract(output, '$.error')), lower(?))>0"
        )
        values.append(query.error)
    if query.payload is not None:
        path, value = query.payload
        names = "".join(f'."{name}"' for name in path)
        if any('"' in name for name in path):  # SQLite has no way to say that
            return "0", []
        # SQLite's true is 1.
        terms.append(
            "json_valid(payload) AND CASE json_type(payload, ?) "
            "WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' "
            "ELSE CAST(json_extract(payload, ?) AS TEXT) END=?"
        )
        values += [f"${names}", f"${names}", value]
    return " AND ".join(terms), values
