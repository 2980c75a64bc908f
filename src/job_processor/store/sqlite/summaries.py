"""Extracts of jobs, made by SQLite: what a row of a list shows, whatever the job holds.

SQLite reads the JSON of a payload or a result where it lies; only a bounded part of it comes out.
What it cannot read as JSON is shown as the text that it is.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId

from job_processor.clock import EPOCH
from job_processor.models import Progress, SkipMetadata
from job_processor.redaction import Redaction
from job_processor.store.lenient import moment, status_of, texts_of
from job_processor.store.plain import crash_of, progress_of, skip_of
from job_processor.store.sqlite.reading import decode_topics, decoded, time_of_free
from job_processor.store.sqlite.rows import Row
from job_processor.store.sqlite.selections import Source
from job_processor.store.sqlite.tables import RUNNING, Tables
from job_processor.store.summaries import (
    BEHIND,
    BETWEEN,
    FIELDS,
    NAME,
    READ,
    READ_OF_VALUE,
    SEARCHED,
    SECRET,
    SECRETS,
    VALUE,
    WHOLE,
    Extract,
    JobSummary,
    Part,
    summary_of,
)

HIDES = "job_processor_hides"
"""The function of a connection that tells whether a name hides its value."""

_PLAIN = (
    "id,type,name,status,scheduled_for,created_at,updated_at,started_at,ended_at,worker_id,"
    "exclusive,attempt,priority,sync,sentry_id,lane,parked,rate_lane,due,topics,labels"
)
_NAMING = "('name','key','header','field')"  # fields that name the `value` beside them


_AT_ONCE = 64
"""Jobs that one statement reads."""


class Summaries:
    """The statements that read jobs for a list."""

    def __init__(self, tables: Tables) -> None:
        columns = ",".join(f"job.{name}" for name in _PLAIN.split(","))
        parts = ",".join(
            [
                _whole("job.payload"),
                _cut("job.payload", _part("job.payload", "$")),
                _whole("job.output"),
                _cut("job.output", _output("job.output")),
                _progress("job.notes"),
                _expiry("job.extra"),
                _crash("job.extra"),
            ]
        )
        self._runs_of = f"""
            SELECT rowid FROM {tables.jobs} INDEXED BY {tables.running}
            WHERE {RUNNING} AND worker_id=? LIMIT ?"""
        self._open = f"SELECT {columns},{parts},NULL,job.{{key}} FROM {tables.jobs} AS job"
        self._hiding = f"SELECT {columns},{parts},{_SECRETS},job.{{key}} FROM {tables.jobs} AS job"

    def by_id(
        self, connection: sqlite3.Connection, ids: Iterable[bytes], redaction: Redaction | None
    ) -> list[JobSummary]:
        """Return what is shown of jobs, in the order of these ids."""
        return self._read(connection, "id", ids, redaction)

    def by_row(
        self, connection: sqlite3.Connection, rows: Iterable[int], redaction: Redaction | None
    ) -> list[JobSummary]:
        """Return what is shown of jobs, in the order of these rows."""
        return self._read(connection, "rowid", rows, redaction)

    def of(
        self, connection: sqlite3.Connection, source: Source, redaction: Redaction | None
    ) -> list[JobSummary]:
        """Return what is shown of the rows that a statement selects as its `place`, in no order."""
        selecting, values = source
        asked = self._asked(connection, redaction).format(key="rowid")
        rows = connection.execute(
            f"{asked} WHERE job.rowid IN (SELECT place FROM ({selecting}))", values
        )
        return [summary_of(_extract(row[:-1]), redaction) for row in rows]

    def of_worker(
        self,
        connection: sqlite3.Connection,
        worker_id: ObjectId,
        limit: int,
        redaction: Redaction | None,
    ) -> list[JobSummary]:
        """Return what is shown of what runs under a worker's id."""
        rows = connection.execute(self._runs_of, (worker_id.binary, limit)).fetchall()
        return self.by_row(connection, [row for (row,) in rows], redaction)

    def _read(
        self,
        connection: sqlite3.Connection,
        key: str,
        keys: Iterable[Any],
        redaction: Redaction | None,
    ) -> list[JobSummary]:
        statement = self._asked(connection, redaction)
        wanted, found = list(keys), {}
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            size = 1 << (len(some) - 1).bit_length()  # few sizes, so few statements
            marks = ",".join("?" * size)
            asked = f"{statement.format(key=key)} WHERE job.{key} IN ({marks})"
            for row in connection.execute(asked, some + some[-1:] * (size - len(some))):
                found[row[-1]] = summary_of(_extract(row[:-1]), redaction)
        return [found[each] for each in wanted if each in found]

    def _asked(self, connection: sqlite3.Connection, redaction: Redaction | None) -> str:
        """Return the statement that reads, which knows by then what is hidden."""
        if redaction is None:
            return self._open
        connection.create_function(_HIDES, 1, redaction.hides, deterministic=True)
        return self._hiding


def _whole(document: str) -> str:
    """Return a JSON text that is short, else NULL."""
    return f"CASE WHEN length({document})<={WHOLE} THEN {document} END"


def _cut(document: str, extract: str) -> str:
    """Return the extract of a JSON text that is long, the beginning of one that is no JSON."""
    return f"""
        CASE WHEN length({document})>{WHOLE} THEN
            CASE WHEN json_valid({document}) THEN {extract}
                ELSE json_array('broken',substr({document},1,{READ})) END END"""


def _part(document: str, path: str) -> str:
    """Return the type of a value, the value where it is short, else its beginning.

    Of a mapping that is its first fields: name, type, and the same of the value. What is JSON
    within is a text of it, since SQLite does not always know the one from the other. It makes that
    text to measure it: not of what is very large.
    """
    value, measured = f"json_extract({document},'{path}')", f"length({document})<={SEARCHED}"
    fields = f"""
        (SELECT json_group_array(json_array(substr(key,1,{NAME + 1}),type,CASE
            WHEN type='text' THEN substr(atom,1,{READ_OF_VALUE})
            WHEN type IN ('object','array')
                THEN CASE WHEN length(value)<={VALUE} THEN value||'' END
            ELSE atom END))
         FROM (SELECT key,type,atom,CASE WHEN {measured} THEN value END AS value
            FROM json_each({document},'{path}') LIMIT {FIELDS}))"""
    short = f"{measured} AND length({value})<={WHOLE}"
    # Its type is asked for once: each question reads the whole document.
    return f"""
        (SELECT json_array(kind,CASE
            WHEN kind='text' THEN substr({value},1,{READ})
            WHEN kind IN ('object','array') THEN CASE WHEN {short} THEN {value}||'' END
            ELSE {value} END,
            CASE WHEN kind='object' AND NOT ({short}) THEN {fields}||'' END)
         FROM (SELECT json_type({document},'{path}') AS kind LIMIT 1))"""


def _output(document: str) -> str:
    """Return duration, beginning of the error, skip, and the part of the result."""
    skip = f"json_extract({document},'$.skip_metadata')"
    return f"""
        json_array('output',substr(json_extract({document},'$.duration'),1,{NAME}),
            substr(ltrim(json_extract({document},'$.error'),char(9,10,13,32)),1,{READ}),
            CASE WHEN length({skip})<={WHOLE} THEN {skip}||'' END,
            {_part(document, "$.result")}||'')"""


def _progress(notes: str) -> str:
    return f"""
        CASE WHEN json_valid({notes}) THEN
            json_array(json_extract({notes},'$.progress.fraction'),
                substr(json_extract({notes},'$.progress.message'),1,{READ}),
                json_extract({notes},'$.progress.at."$date"')) END"""


def _crash(extra: str) -> str:
    found = f"json_extract({extra},'$.crash')"
    return f"CASE WHEN json_valid({extra}) AND length({found})<={WHOLE} THEN {found}||'' END"


def _expiry(extra: str) -> str:
    return f"""
        CASE WHEN json_valid({extra}) THEN json_extract({extra},'$.expires_at."$date"') END"""


_HIDES = "job_processor_hides"
"""The function of a connection that tells whether a name hides its value."""

_NAMING = "('name','key','header','field')"
"""Fields that name the `value` beside them."""

_PAIRS = 64
"""Hidden values of a payload up to which they are read; of more nothing is known."""

_BY_KEY = f"typeof(node.key)='text' AND {_HIDES}(node.key)"
_BY_NAME = f"""
    node.type='text' AND (node.key=0 OR node.key IN {_NAMING})
    AND {_HIDES}(substr(node.atom,1,{READ}))"""
_BESIDE = """
    (SELECT coalesce(other.atom,other.value) FROM json_tree(job.payload) AS other
     WHERE other.parent=node.parent AND other.key=CASE node.key WHEN 0 THEN 1 ELSE 'value' END)"""

_SECRETS = f"""
    CASE WHEN length(job.payload)>{WHOLE}
        AND (job.notes IS NOT NULL OR instr(job.output,'"error":') OR instr(job.output,'"result":'))
    THEN CASE WHEN length(job.payload)<={SEARCHED} AND json_valid(job.payload) THEN
        (SELECT CASE WHEN count(*)<{_PAIRS} THEN coalesce(substr(group_concat(
            substr(name,1,{READ})||char({ord(BETWEEN)})||substr(value,1,{SECRET}),
            char({ord(BEHIND)})),1,{SECRETS + 1}),'') END
         FROM (SELECT
            CASE WHEN {_BY_KEY} THEN node.key ELSE node.atom END AS name,
            CASE WHEN {_BY_KEY} THEN coalesce(node.atom,node.value) ELSE {_BESIDE} END AS value
            FROM json_tree(job.payload) AS node
            WHERE node.type NOT IN ('null','true','false') AND ({_BY_KEY} OR {_BY_NAME})
            LIMIT {_PAIRS})) END
    ELSE '' END"""
"""Names that hide, with the beginnings of what they hide; '' where nothing that is shown could
repeat it, NULL where it is not looked for."""


def _extract(row: Row) -> Extract:
    *plain, payload, cut_payload, output, cut_output, notes, expires_at, crash, secrets = row
    fields = dict(zip(_PLAIN.split(","), plain, strict=True))
    created = moment(fields["created_at"]) or EPOCH
    due = moment(fields.pop("due"))
    if due is None and fields["lane"] is not None:
        due = moment(time_of_free(fields["scheduled_for"], fields["status"]))
    fields |= {
        "id": ObjectId(fields["id"]),
        "status": status_of(fields["status"]),
        "exclusive": fields["exclusive"] == 1,
        "sync": fields["sync"] == 1,
        "worker_id": None if fields["worker_id"] is None else ObjectId(fields["worker_id"]),
        "scheduled_for": due or moment(fields["scheduled_for"]) or created,
        "topics": () if fields["topics"] is None else decode_topics(fields["topics"]),
        "labels": () if fields["labels"] is None else texts_of(decoded(fields["labels"])),
        "created_at": created,
        "updated_at": moment(fields["updated_at"]) or created,
        "started_at": moment(fields["started_at"]),
        "ended_at": moment(fields["ended_at"]),
        "expires_at": moment(expires_at),
        "crash": None if crash is None else crash_of(decoded(crash)),
    }
    duration, error, skip, result = _output_of(output, cut_output)
    return Extract(
        plain=fields,
        progress=_progress_of(notes),
        payload=_payload_of(payload, cut_payload),
        duration=duration,
        error=error,
        result=result,
        skip=skip,
        secrets=secrets,
    )


def _payload_of(whole: str | None, cut: str | None) -> Part | None:
    if whole is not None:
        return _decoded(whole)
    return None if cut is None else _part_of(*json.loads(cut))


def _output_of(
    whole: str | None, cut: str | None
) -> tuple[str | None, str | None, SkipMetadata | None, Part | None]:
    if whole is not None:
        fields = _decoded(whole).value
        if not isinstance(fields, Mapping):
            return "--", None, None, Part("whole", fields)
        result = None if fields.get("result") is None else Part("whole", fields["result"])
        error = fields.get("error")
        return (
            str(fields.get("duration") or "--"),
            None if error is None else str(error),
            skip_of(fields.get("skip_metadata")),
            result,
        )
    if cut is None:
        return None, None, None, None
    kind, *rest = json.loads(cut)
    if kind == "broken":
        return "--", None, None, Part("text", rest[0])
    duration, error, skip, result_text = rest
    part = _part_of(*json.loads(result_text))
    return (
        str(duration or "--"),
        None if error is None else str(error),
        None if skip is None else skip_of(decoded(skip)),
        None if part == _NULL else part,
    )


def _part_of(kind: str, value: Any = None, fields: str | None = None) -> Part:
    if fields is not None:
        return Part("fields", [(name, _part_of(*rest)) for name, *rest in json.loads(fields)])
    match kind:
        case "text":
            return Part("text" if len(value) >= READ_OF_VALUE else "whole", value)
        case "broken":
            return Part("text", value)
        case "object" | "array":
            return Part("other", kind) if value is None else _decoded(value)
        case "true" | "false":
            return Part("whole", kind == "true")
        case _:
            return Part("whole", value)


_NULL = Part("whole", None)


def _decoded(text: str) -> Part:
    return Part("whole", decoded(text))


def _progress_of(notes: str | None) -> Progress | None:
    if notes is None:
        return None
    fraction, message, at = json.loads(notes)
    return progress_of(fraction, message, at)
