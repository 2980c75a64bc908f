"""Keys that the processes of one database share: random, kept in the settings, made once."""

from __future__ import annotations

import secrets

from job_processor.store import Store

KIND = "key"
_BYTES = 32


async def shared_key(store: Store, name: str) -> bytes:
    """Return the key of this name; whoever asks first makes it."""
    while True:
        kept = (await store.settings(KIND)).get(name)
        if kept is not None:
            return bytes.fromhex(kept["hex"])
        made = {"hex": secrets.token_hex(_BYTES)}
        if await store.put_setting(KIND, name, made, None):
            return bytes.fromhex(made["hex"])
