"""The names of lanes: what jobs share that share a limit."""

from __future__ import annotations

from hashlib import sha256

KEY_LIMIT = 200
"""Characters of a key up to which it stands in the name of its lane; a longer one is hashed."""


def lane_name(group: str, key: str | None = None) -> str:
    """Return the lane of a group, a job's name where nothing else is said, and a key."""
    escaped = group.replace("%", "%25").replace(":", "%3A")
    if key is None:
        return escaped
    if len(key) > KEY_LIMIT:
        key = "sha256-" + sha256(key.encode()).hexdigest()
    return f"{escaped}:{key}"


def group_of(lane: str) -> str:
    """Return the group of a lane."""
    return lane.partition(":")[0].replace("%3A", ":").replace("%25", "%")


def has_key(lane: str) -> bool:
    """True for a lane of one key among several: what finds it full is parked."""
    return ":" in lane
