"""What reaches many jobs is done to those that were shown, once, and by whom it was shown to."""

from __future__ import annotations

from typing import Any

import pytest

from job_processor import JobProcessor
from job_processor.web import create_app
from tests.web.conftest import client_of
from tests.web.forms import Forms, sure_of


async def test_what_came_later_is_left_alone(forms: Forms, processor: JobProcessor) -> None:
    """Jobs that were made after the confirmation was shown stay, however many match by then."""
    await processor.schedule_jobs(["echo"] * 2)
    sure = sure_of(await forms.send(do="delete", all="1", filter_name="echo"))
    later = await processor.schedule_jobs(["echo"] * 60)
    assert "2 jobs deleted." in await forms.send(sure=sure)
    assert await processor.count_jobs() == 60
    assert await processor.get_job(later[0].id) is not None


async def test_what_matches_by_now_is_shown_again(forms: Forms, processor: JobProcessor) -> None:
    """When older jobs have come to match meanwhile, nothing is done and the question is new."""
    old = await processor.schedule_jobs(["fail"] * 3)
    (shown,) = await processor.schedule_jobs(["fail"])
    await processor.kill_job(shown.id)
    sure = sure_of(await forms.send(do="delete", all="1", filter_status="killed"))
    for job in old:
        await processor.kill_job(job.id)
    again = await forms.send(sure=sure)
    assert "There are more of them now" in again
    assert "Delete 4 jobs?" in again
    assert await processor.count_jobs() == 4
    assert "4 jobs deleted." in await forms.send(sure=sure_of(again))


async def test_a_confirmation_that_is_sent_twice(forms: Forms, processor: JobProcessor) -> None:
    """Does nothing more: neither to what is left, nor to what has come to match since."""
    jobs = await processor.schedule_jobs(["echo"] * 3)
    for job in jobs:
        await processor.kill_job(job.id)
    sure = sure_of(await forms.send(do="retry", all="1", filter_name="echo"))
    assert "3 jobs run again." in await forms.send(sure=sure)
    for job in jobs:
        await processor.kill_job(job.id)
    assert "has been done already" in await forms.send(sure=sure)
    assert await processor.count_jobs(status="killed") == 3
    assert len(await processor.get_audit()) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"all": "1", "sure": "1"},
        {"all": "1", "sure": ""},
        {"sure": "x.y"},
        {"sure": "é.ü"},
        {"all": "0"},
        {"all": ""},
        {"all": "1", "filter_nmae": "echo"},
        {"all": "1", "filter_": "x"},
        {"ids": ["0123456789abcdef01234567"] * 1001},
    ],
)
async def test_what_was_not_shown_is_not_done(
    forms: Forms, processor: JobProcessor, fields: dict[str, Any]
) -> None:
    """No word of somebody's own, no misspelt filter and no other value of a field does anything."""
    await processor.schedule_jobs(["echo"] * 2)
    for do in ("delete", "kill"):
        assert 'role="alert"' in await forms.send(do=do, **fields)
    assert await processor.count_jobs(status="pending") == 2
    assert await processor.get_audit() == []


async def test_a_confirmation_of_somebody_else(processor: JobProcessor) -> None:
    """Is good for whom it was shown to, and not after its action was changed."""
    await processor.schedule_jobs(["echo"] * 2)

    def access(request: Any) -> Any:
        request.scope["job_processor.login"] = request.headers["x-user"]
        return "all"

    app = create_app(processor, access)
    async with client_of(app, headers={"x-user": "ada"}) as ada:
        sure = sure_of(await Forms(ada).send(do="kill", all="1"))
    async with client_of(app, headers={"x-user": "bob"}) as bob:
        assert "was not shown to you" in await Forms(bob).send(sure=sure)
    assert await processor.count_jobs(status="pending") == 2
    async with client_of(app, headers={"x-user": "ada"}) as ada:
        assert "2 jobs killed." in await Forms(ada).send(
            sure=sure, do="delete"
        )  # the button says nothing
    assert await processor.count_jobs(status="killed") == 2
