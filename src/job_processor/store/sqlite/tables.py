"""The names of our tables and indexes, which a prefix keeps apart from an application's own."""

from __future__ import annotations

from dataclasses import dataclass

from job_processor.errors import InvalidArgumentError
from job_processor.store.lanes import KEYED, KEYLESS

WAITING = "status IN ('pending','paused')"
RUNNING = "status='running'"
AT_REST = "status<>'running'"
SETTLED = "status IN ('finished','errored','killed','skipped')"
ACTIVE = "status IN ('pending','running','paused')"
UNHELD = f"({WAITING} OR {RUNNING} AND worker_id IS NULL)"
HOLDING = f"unique_key IS NOT NULL AND (unique_until IS NOT NULL OR {ACTIVE})"
HAS_LINE = "line IS NOT NULL"
HAS_PLACE = "lane IS NOT NULL AND due IS NOT NULL"
IS_PARKED = "parked IS NOT NULL"
MAY_EXPIRE = "due IS NOT NULL AND instr(extra,'expires_at')"
HAS_TOPICS = "topics IS NOT NULL"
OF_LANE = "lane IS NOT NULL"
HAS_RATE_PLACE = "rate_lane IS NOT NULL AND due IS NOT NULL"
OF_GROUP = "group_id IS NOT NULL"
IS_OPEN = "open_in IS NOT NULL"
HAS_FAILED = "failed_in IS NOT NULL"
IS_UNFINISHED = "unfinished=1"
OF_FLOW = "flow IS NOT NULL"
_STANDS = f"({ACTIVE} OR ordered='stop' AND status='errored')"
SLOTTED = f"slot IS NOT NULL AND {_STANDS}"
IS_SLOTTED = f"slot IS NOT NULL AND ({RUNNING} OR {_STANDS})"
"""Conditions of partial indexes. SQLite uses such an index only for a statement that says the very
same, so they are written once, here. `IS_SLOTTED` is that of the index which statements use that
say `SLOTTED`: it means the same, and is told by less work for each run that begins or ends."""

IN_LINE = f"{HAS_LINE} AND {WAITING}"
IN_LANE = f"{HAS_PLACE} AND {WAITING}"
IN_RATE_LANE = f"{HAS_RATE_PLACE} AND {WAITING}"
PARKED = f"{IS_PARKED} AND {WAITING}"
UNBEGUN = "status='pending' AND attempt=1 AND started_at IS NULL"
"""What statements say that use those of lanes. The indexes themselves do not name the state: each
change of it would have to look at them, of whatever job."""

AMONG_SEVERAL = "topics>='[' AND topics<'\\'"
"""What a job has that waits for any of several messages: a list, as JSON. A single one has its name
behind an `=`."""

AHEAD = 200_000_000_000_000
"""Milliseconds by which a free job of a lane without a key is put off: see `keyless`."""

FREE = f"lane IS NOT NULL AND due IS NULL AND scheduled_for>={AHEAD} AND {WAITING}"
TRUE_TIME = f"CASE WHEN {FREE} THEN scheduled_for-{AHEAD} ELSE coalesce(due,scheduled_for) END"
"""Which jobs are put off like that, and when any job is to begin."""

OUT_OF_PLACE = f"scheduled_for={TRUE_TIME},due=NULL,parked=NULL,topics=NULL,line=NULL,ready=NULL"
OUT_OF_LANE = f"{OUT_OF_PLACE},waiting_for=NULL"
"""What a job becomes that waits no more: its true time is where it belongs again."""

HAS_LANE = "(lane IS NOT NULL OR rate_lane IS NOT NULL)"
LINE = (
    f"CASE WHEN NOT {HAS_LANE} THEN NULL WHEN lane IS NULL OR instr(lane,':') "
    f"THEN '{KEYED}'||name ELSE '{KEYLESS}'||name END"
)
"""The line in which a job of a lane waits."""

EXPIRY = """CASE WHEN json_valid(extra) THEN json_extract(extra,'$.expires_at."$date"') END"""
"""When a job expires, in milliseconds."""

OUT_OF_GROUP = "open_in=NULL,failed_in=group_id"
"""What becomes of a member that ends otherwise than finished; nothing, of any other job."""

NOW_MS = "CAST((julianday('now')-2440587.5)*86400000.0+0.5 AS INTEGER)"
"""The database's own clock in milliseconds; 2440587.5 is the Julian day of the Unix epoch."""


@dataclass(frozen=True, slots=True, init=False)
class Tables:
    """Quoted names, ready to be put into statements."""

    jobs: str
    crons: str
    workers: str
    signals: str
    settings: str
    rollups: str
    name_rollups: str
    errors: str
    lanes: str
    waits: str
    schedules: str
    messages: str
    groups: str
    labels: str
    meta: str
    due: str
    """Index: the waiting jobs of a name in the order in which they are claimed."""
    history: str
    """Index: the jobs of a type, name and state by id; all but the running ones."""
    running: str
    """Index: the running jobs by worker."""
    ended: str
    """Index: the settled jobs by their end."""
    exclusive: str
    """Unique index: at most one active job of a type and name where those are exclusive."""
    unique_key: str
    """Unique index: at most one holder of a name and unique key."""
    open_kills: str
    """Unique index: the kill requests that are not acknowledged, by job."""
    slots: str
    """Unique index: at most one job has a slot of a lane. It is the whole of a limit."""
    line: str
    """Index: what waits in line for a slot, in the order in which it is claimed."""
    lane: str
    """Index: what waits in a lane, the parked ones apart, in the order in which it is its turn."""
    parked: str
    """Index: what is parked, by name."""
    expiring: str
    """Index: what is in a lane or parked by when it expires."""
    lane_history: str
    """Index: the jobs of a lane by id."""
    flow_history: str
    """Index: the jobs of a flow by id."""
    open_waits: str
    """Index: what is waited for, and by whom."""
    waits_of: str
    """Index: what a job comes after."""
    schedules_due: str
    """Index: the schedules of a job that go on, by their next moment."""
    schedules_moved: str
    """Index: the schedules by when that was computed."""
    schedules_ended: str
    """Index: the schedules that have ended, by when."""
    topics: str
    """Index: what waits for a message, by its name."""
    timeouts: str
    """Index: what waits for a message, by the time until when."""
    kept_messages: str
    """Index: the messages by the time until when they are kept."""
    rate_lane: str
    """Index: what waits in a lane of a rate, in the order in which it is its turn."""
    members: str
    """Index: the members of a group by id."""
    open_members: str
    """Index: the members that their group waits for."""
    failed_members: str
    """Index: the members that ended otherwise than finished."""
    unfinished: str
    """Index: the groups that have not ended, or whose end nothing has followed yet."""
    ended_groups: str
    """Index: the groups by their end."""
    labels_of: str
    """Index: the labels of a job."""

    def __init__(self, prefix: str) -> None:
        if prefix.lower().startswith("sqlite_") or '"' in prefix:
            raise InvalidArgumentError(
                "collection_prefix", prefix, "allowed is a name without '\"' and 'sqlite_' in front"
            )
        for field, name in _NAMES.items():
            object.__setattr__(self, field, f'"{prefix}_{name}"')


_NAMES = {
    "jobs": "jobs",
    "crons": "crons",
    "workers": "workers",
    "signals": "signals",
    "settings": "settings",
    "rollups": "rollups",
    "name_rollups": "name_rollups",
    "errors": "errors",
    "lanes": "lanes",
    "waits": "waits",
    "schedules": "schedules",
    "messages": "messages",
    "groups": "groups",
    "labels": "labels",
    "meta": "meta",
    "due": "jobs_due",
    "history": "jobs_history",
    "running": "jobs_running",
    "ended": "jobs_ended",
    "exclusive": "jobs_exclusive",
    "unique_key": "jobs_unique_key",
    "open_kills": "signals_open",
    "slots": "jobs_slots",
    "line": "jobs_line",
    "lane": "jobs_lane",
    "parked": "jobs_parked",
    "expiring": "jobs_expiring",
    "schedules_due": "schedules_due",
    "schedules_moved": "schedules_moved",
    "schedules_ended": "schedules_ended",
    "lane_history": "jobs_lane_history",
    "flow_history": "jobs_flow_history",
    "open_waits": "waits_open",
    "waits_of": "waits_job",
    "topics": "jobs_topics",
    "timeouts": "jobs_timeouts",
    "kept_messages": "messages_kept",
    "rate_lane": "jobs_rate_lane",
    "members": "jobs_members",
    "open_members": "jobs_open_members",
    "failed_members": "jobs_failed_members",
    "unfinished": "groups_unfinished",
    "ended_groups": "groups_ended",
    "labels_of": "labels_job",
}
