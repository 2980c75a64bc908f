"""`shell`: a prompt that awaits, with a processor that is set up; and programs from a pipe."""

from __future__ import annotations

import asyncio
import signal
import stat
from pathlib import Path

import pytest

from job_processor.cli.repl.evaluation import FLAGS, Evaluation
from tests.cli import apps
from tests.cli.conftest import Cli, Shell, Start

APP = "tests.cli.apps:make"
IPYTHON = """
import asyncio, builtins

def start_ipython(argv, user_ns, config):
    async def cell():
        return await user_ns["processor"].get_vitals()
    shell = config.TerminalInteractiveShell
    print(shell.banner1)
    print("IPython was started with", shell.loop_runner(cell()).workers, "workers", argv)
"""
TRAITLETS = """
import types

class Config(types.SimpleNamespace):
    def __init__(self):
        self.TerminalInteractiveShell = types.SimpleNamespace()
"""


def test_a_program_from_a_pipe(shell: Shell, db_url: str) -> None:
    """It awaits at its top level, prints nothing of ours, and no worker runs."""
    program = (
        "import sys\n"
        "job = await processor.schedule_job('greet', {'name': 'Ada'})\n"
        "async def look():\n"
        "    return await processor.get_job(job.id)\n"
        "print((await look()).status, (await processor.get_vitals()).workers, greet.__name__)\n"
    )
    done = shell(f"$job_processor shell {APP} <<'EOF'\n{program}EOF", JOB_PROCESSOR_DB=db_url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "pending 0 greet\n", "")
    line = f"echo 'print(await processor.get_status())' | $job_processor shell {APP}"
    done = shell(line, JOB_PROCESSOR_DB=db_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert str(eval(done.stdout)["jobs"][0]["name"]) == "greet"  # noqa: S307  # of our own


@pytest.mark.parametrize(
    ("program", "code", "told"),
    [
        ("1/0", 1, ["<stdin>", "line 1, in <module>", "ZeroDivisionError"]),
        pytest.param("x = (", 1, ["SyntaxError"], marks=pytest.mark.slow),
        pytest.param("\0", 1, ["Error"], marks=pytest.mark.slow),
        pytest.param(
            "await processor.kill_job(7)",
            1,
            ["InvalidArgumentError: job_id: 7"],
            marks=pytest.mark.slow,
        ),
        ("import sys; sys.exit(7)", 7, []),
        pytest.param("raise SystemExit", 0, [], marks=pytest.mark.slow),
        pytest.param("", 0, [], marks=pytest.mark.slow),
    ],
)
def test_a_program_that_fails(
    shell: Shell, sqlite_db_url: str, tmp_path: Path, program: str, code: int, told: list[str]
) -> None:
    """Its traceback begins with its own lines, and the exit code is 1, or what it leaves with."""
    (tmp_path / "program").write_text(program)
    done = shell(f"$job_processor shell {APP} < program", JOB_PROCESSOR_DB=sqlite_db_url)
    assert (done.returncode, done.stdout) == (code, "")
    assert all(part in done.stderr for part in told)
    assert bool(done.stderr) == bool(told)
    assert "evaluation.py" not in done.stderr


@pytest.mark.slow
def test_code_of_an_option(shell: Shell, sqlite_db_url: str, tmp_path: Path) -> None:
    """`-c` runs code instead of asking for it; `--db` alone needs no application."""
    code = "print([each.name for each in (await processor.find_jobs()).jobs])"

    async def fill() -> None:
        async with apps.make(db=sqlite_db_url, collection_prefix="mine") as processor:
            await processor.schedule_job("greet")

    asyncio.run(fill())
    done = shell(f"$job_processor shell --db {sqlite_db_url} --prefix mine -c '{code}'")
    assert (done.returncode, done.stdout, done.stderr) == (0, "['greet']\n", "")
    done = shell(f"$job_processor shell {APP} -c '{code}'", JOB_PROCESSOR_DB="sqlite://")
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_at_a_prompt(start: Start, sqlite_db_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A banner says what is there; each line may await; errors and Ctrl-C end a line, not it."""
    monkeypatch.setenv("XDG_STATE_HOME", f"{Path.cwd()}/state")
    process = start("shell", APP, db=sqlite_db_url, terminal=True)
    for part in (APP, "greet", "new_year", "No worker runs here", "Ctrl-D leaves"):
        process.until(part)
    process.until(">>> ")
    for typed, shown in (
        ("(await processor.get_vitals()).workers + 6 * 7", "\n42"),
        (
            "job = await processor.schedule_job('greet', {'name': 'x'}); job.status",
            "\n<JobStatus.PENDING",
        ),
        ("task = asyncio.create_task(asyncio.sleep(0, 'slept'))", ">>> "),
        ("await task", "\n'slept'"),
        ("async def f():\n    return 'of a function'\n\nawait f()", "\n'of a function'"),
        ("1/0", "\nZeroDivisionError"),
        ("await asyncio.sleep(0) or x", "\nNameError"),
        ("proc\t.address", "jobs.db'\n"),
    ):
        process.type(f"{typed}\n")
        process.until(shown)
    process.until(">>> ")
    process.type("print('waits'); await asyncio.sleep(1000)\n")
    process.until("\nwaits")
    process.send(signal.SIGINT)
    process.until("KeyboardInterrupt")
    process.type("'goes' + ' on'\n")
    process.until("\n'goes on'\n>>> ")  # before it, the terminal would take the end for itself
    process.type("\x04")
    assert process.wait() == 0
    assert "evaluation.py" not in process.output
    history = Path("state/job-processor/shell-history")
    assert "job = await processor.schedule_job" in history.read_text()
    assert stat.S_IMODE(history.stat().st_mode) == 0o600


def test_ipython_is_used_where_it_is(
    start: Start, sqlite_db_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With our names, our banner, and the loop in which the processor lives."""
    (tmp_path / "traitlets").mkdir()
    (tmp_path / "traitlets" / "__init__.py").touch()
    (tmp_path / "traitlets" / "config.py").write_text(TRAITLETS)
    (tmp_path / "IPython.py").write_text(IPYTHON)
    monkeypatch.chdir(tmp_path)
    process = start("shell", APP, db=sqlite_db_url, terminal=True)
    process.until("No worker runs here")
    process.until("IPython was started with 0 workers []")
    assert process.wait() == 0


def test_what_it_cannot_start_with(cli: Cli) -> None:
    """An application that is none is bad input, as for all others."""
    cli("shell", "nothing_like_it:x").refused("APP: ", "no module 'nothing_like_it'")
    cli("shell", APP, "--prefix", "x").refused("--prefix: ", "of the application")


@pytest.mark.timeout(30)
def test_a_ctrl_c_that_wakes_nobody_is_heard() -> None:
    """One that another thread takes, or that comes just before the loop waits, ends the line."""
    source = (
        "import asyncio, signal, threading\n"
        "interrupt = lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)\n"
        "threading.Timer(0.5, interrupt).start()\n"  # the loop waits by then
        "await asyncio.sleep(1000)\n"
    )
    code = compile(source, "<console>", "exec", flags=FLAGS)
    with asyncio.Runner() as runner, pytest.raises(KeyboardInterrupt):
        Evaluation(runner, {}).run(code)
