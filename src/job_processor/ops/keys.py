"""Keys that the processes of one database share: random, kept in the settings, made once."""

from __future__ import annotations

import secrets

from job_processor.parts import Parts

KIND = "key"
_BYTES = 32


async def shared_key(parts: Parts, name: str) -> bytes:
    """Return the 32 bytes of this name; whoever asks first makes them."""
    store = parts.store
    while True:
        kept = (await store.settings.all(KIND)).get(name)
        if kept is not None:
            return bytes.fromhex(kept["hex"])
        made = {"hex": secrets.token_hex(_BYTES)}
        if await store.settings.put(KIND, name, made, None):
            return bytes.fromhex(made["hex"])
