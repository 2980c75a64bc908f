"""What a store says of its database, for `check`."""

from __future__ import annotations

from job_processor.settings import Settings
from job_processor.store import Store
from job_processor.store.opening import open_store


async def test_a_new_database_is_described_and_not_made(db_url: str) -> None:
    """Before any `setup` something is missing, nothing is wrong, and a look makes nothing."""
    store = open_store(db_url, Settings())
    try:
        for _ in range(2):
            remarks = (await store.describe()).remarks
            assert "error" not in {remark.level for remark in remarks}
            missing = [remark.text for remark in remarks if remark.level == "warning"]
            assert len(missing) == 1
            assert "the first worker or client makes" in missing[0]
    finally:
        await store.close()


async def test_a_database_in_use_is_well(store: Store) -> None:
    """Once it is set up it is there, reached at its address, and all indexes are in it."""
    described = await store.describe()
    assert described.is_there
    assert [(each.subject, each.level) for each in described.remarks] == [
        ("connection", "ok"),
        ("indexes", "ok"),
    ]
    assert described.remarks[0].text.startswith(f"{store.address}, ")
