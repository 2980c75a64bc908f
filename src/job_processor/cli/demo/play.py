"""Runs the demo from the first worker to the summary, and cleans up whatever happens."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM

from rich.console import Console

from job_processor.cli.app.extras import is_installed
from job_processor.cli.app.failing import DONE, FAILED
from job_processor.cli.app.output import console, print_json
from job_processor.cli.app.program import program
from job_processor.cli.demo.checks import check_all, summary_json
from job_processor.cli.demo.figures import figures_of
from job_processor.cli.demo.fleet import Fleet
from job_processor.cli.demo.jobs import PREFIX, make
from job_processor.cli.demo.keeping import DATABASE, leave, make_folder
from job_processor.cli.demo.story import Story
from job_processor.cli.demo.view import DemoView, show_next, show_summary
from job_processor.cli.demo.watcher import Watcher
from job_processor.clock import Clock
from job_processor.errors import InvalidArgumentError
from job_processor.settings import IN_MEMORY, file_address, without_credentials
from job_processor.tasks import cancel

_DEADLINE = 50.0  # seconds; it takes about fifteen
_KEPT = "The database stays until the next demo. --db sqlite:///demo.db keeps one of your own."
_PRIVATE = (IN_MEMORY.rstrip("/"), f"{IN_MEMORY}/:memory:")


def play(db: str | None, *, as_json: bool) -> int:
    """Run the demo on a database that is kept, or on a temporary one; return the exit code."""
    if db is not None and db.partition("?")[0].rstrip("/") in _PRIVATE:
        raise InvalidArgumentError("--db", db, "allowed is a database that processes can share")
    folder, code = make_folder(), FAILED
    try:
        code = asyncio.run(_play(db, folder, as_json=as_json))
        return code
    except asyncio.CancelledError:
        sys.stderr.write("Interrupted: the workers are stopped.\n")
        return FAILED
    finally:
        leave(folder, keep=db is None and code == DONE)


async def _play(db: str | None, folder: Path, *, as_json: bool) -> int:
    url = db or file_address(folder / DATABASE)
    out = Console(stderr=True) if as_json else console()
    async with make(url) as processor, Fleet(url, folder) as fleet:
        watcher = Watcher(processor, since=Clock().now())
        with _interruptible(fleet), DemoView(out, processor.address, fleet) as view:
            watcher.on_snapshot = view.show
            story = Story(processor, fleet, watcher, folder, view.tell)
            problem = await _until_played(story, watcher, fleet)
            await fleet.stop()
            seen = await watcher.look()
        checks = check_all(seen, story.cast) if story.cast is not None else []
        figures, steps = figures_of(seen, story), _next_steps(url)
        if as_json:
            told = {**summary_json(seen, checks), "figures": figures.as_json(), "next": list(steps)}
            print_json(told)
        else:
            show_summary(out, seen, checks, figures)
        if problem is None and all(check.met for check in checks):
            show_next(out, steps, "" if db else _KEPT)
            return DONE
        sys.stderr.write(f"{problem or 'Not all went as expected.'}\n{fleet.log_ends()}\n")
        return FAILED


async def _until_played(story: Story, watcher: Watcher, fleet: Fleet) -> str | None:
    """Return when the story has ended, or why it was cut off."""
    play = asyncio.create_task(story.play(), name="story")
    watch = asyncio.create_task(watcher.run(), name="watcher")
    death = asyncio.create_task(fleet.first_unexpected_end(), name="fleet")
    tasks = [play, watch, death]
    try:
        done, _ = await asyncio.wait(tasks, timeout=_DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return f"The demo gave up after {_DEADLINE:.0f} s."
        if play in done:
            play.result()
            return None
        if watch in done:
            watch.result()  # it only ends by an error
        worker = death.result()
        return f"{worker.name} {worker.fate}."
    finally:
        await cancel(tasks)


@contextmanager
def _interruptible(fleet: Fleet) -> Iterator[None]:
    """Let the first signal end the demo in good order, a second one its workers at once."""
    loop, main = asyncio.get_running_loop(), asyncio.current_task()
    assert main is not None  # noqa: S101  # called in a coroutine

    def on_signal() -> None:
        if main.cancelling():
            fleet.kill()
        else:
            main.cancel()

    for number in (SIGINT, SIGTERM, SIGHUP):
        loop.add_signal_handler(number, on_signal)
    yield  # the handlers stay until the loop ends: the workers have to be stopped first


def _next_steps(url: str) -> dict[str, str]:
    """Return three commands to try, each with what it is for."""
    this = program()
    where = f"--db {shlex.quote(without_credentials(url))} --prefix {PREFIX}"
    look = "web" if is_installed("web") else "top"
    return {
        f"{this} {look} {where}": "look at these jobs, until Ctrl-C",
        f"{this} jobs {where} --status errored": "failed jobs, and why",
        f"{this} init shop": "write a small project of your own",
    }
