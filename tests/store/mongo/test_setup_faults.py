"""What `setup()` does where the server refuses something."""

from __future__ import annotations

import pytest
from bson import ObjectId

from job_processor.errors import StoreError, StoreSetupError
from job_processor.store.mongo import MongoStore
from tests.samples import simple
from tests.store.mongo.faults import Faults

pytestmark = pytest.mark.mongo


async def test_without_the_privilege_there_is_no_validator_but_a_warning(
    faulty_store: MongoStore, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """The right to change a collection is not needed to work."""
    await faults.fail("collMod", 13)
    await faulty_store.setup()
    assert "gets no validator" in caplog.text
    assert await faulty_store.intake.insert([simple()]) == []


async def test_without_the_privilege_for_indexes_setup_says_how_to_make_them(
    faulty_store: MongoStore, faults: Faults, caplog: pytest.LogCaptureFixture
) -> None:
    """A critical index that we may not make is an error with the command that makes it."""
    await faults.fail("createIndexes", 13, times=None)
    with pytest.raises(StoreSetupError, match=r"could not be made; .*createIndex\("):
        await faulty_store.setup()
    assert "no privilege to make the indexes" in caplog.text
    await faults.stop()
    await faulty_store.setup()
    await faults.fail("createIndexes", 13, times=None)
    await faulty_store.setup()  # they are there, so nothing needs the privilege


@pytest.mark.parametrize("command", ["createIndexes", "collMod"])
@pytest.mark.parametrize("code", [85, 117, 12587])
async def test_a_race_with_another_setup_is_tried_again(
    faulty_store: MongoStore, faults: Faults, command: str, code: int
) -> None:
    """A conflict with another process that does the same at this moment is no failure."""
    await faults.fail(command, code, times=2)
    await faulty_store.setup()


async def test_a_refusal_is_a_setup_error(faulty_store: MongoStore, faults: Faults) -> None:
    """Whatever the server refuses for good ends the setup, with its address and its reason."""
    await faults.fail("listIndexes", 8000, times=None)
    with pytest.raises(StoreSetupError, match=r"mongodb://127\.0\.0\.1:\d+/faults_\w+ failed"):
        await faulty_store.setup()


async def test_an_error_while_running_is_no_setup_error(
    faulty_store: MongoStore, faults: Faults
) -> None:
    """A verb that is refused raises a StoreError."""
    await faulty_store.setup()
    await faults.fail("find", 8000)
    with pytest.raises(StoreError) as caught:
        await faulty_store.history.get(ObjectId())
    assert type(caught.value) is StoreError
