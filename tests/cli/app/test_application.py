"""Where a command gets its application from, and which database it then looks at."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Shell

VARIABLE = "JOB_PROCESSOR_APP"
SHOP = """
from job_processor import JobProcessor

processor = JobProcessor("sqlite:///NAME.db")


@processor.job(tag="money")
def charge(euros: int = 1) -> int:
    return euros


@processor.job
def mail(to: str = "ada") -> str:
    return to
"""


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three applications, each with a database of its own."""
    for name in ("shop_a", "shop_b", "shop_c"):
        (tmp_path / f"{name}.py").write_text(SHOP.replace("NAME", name))
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def project(folder: Path, text: str = 'app = "shop_c:processor"') -> None:
    """Write a pyproject.toml with our table."""
    (folder / "pyproject.toml").write_text(f"[project]\nname = 'x'\n[tool.job-processor]\n{text}\n")


def test_the_order(cli: Cli, monkeypatch: pytest.MonkeyPatch, shop: Path) -> None:
    """An argument is before the variable, and the variable before pyproject.toml."""
    project(shop)
    assert cli("schedule", "mail").code == 0
    assert (shop / "shop_c.db").exists()
    monkeypatch.setenv(VARIABLE, "shop_b:processor")
    assert cli("schedule", "mail").code == 0
    assert (shop / "shop_b.db").exists()
    assert not (shop / "shop_a.db").exists()
    assert cli("schedule", "shop_a:processor", "mail").code == 0
    assert (shop / "shop_a.db").exists()
    monkeypatch.setenv(VARIABLE, "")  # as one that is not set
    assert "shop_c.db" in cli("status").text


def test_commands_that_look_use_its_database(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, shop: Path
) -> None:
    """`--db` wins, and imports nothing; then `--app`, the variable, and pyproject.toml."""
    monkeypatch.setenv("JOB_PROCESSOR_DB", "sqlite:///elsewhere.db")
    project(shop)
    for name in ("shop_a", "shop_b", "shop_c"):
        assert cli("schedule", f"{name}:processor", "mail").code == 0
    assert "shop_c.db" in cli("status").text
    monkeypatch.setenv(VARIABLE, "shop_b:processor")
    assert "shop_b.db" in cli("status").text
    assert "shop_a.db" in cli("status", "--app", "shop_a:processor").text
    monkeypatch.setenv(VARIABLE, "nothing_like_it:processor")
    assert "shop_c.db" in cli("status", "--db", "sqlite:///shop_c.db").text
    cli("status").refused(f"${VARIABLE}: ", "no module 'nothing_like_it'", "without it: --db URL")
    for command in (["jobs"], ["crons"], ["top", "--once"], ["pause", "mail"], ["resume", "mail"]):
        assert cli(*command, "--app", "shop_a:processor").code == 0
    assert not (shop / "elsewhere.db").exists()


def test_its_prefix_is_the_one(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An application has its tables under its own prefix, unless another is asked for."""
    monkeypatch.delitem(sys.modules, "shop_p", raising=False)
    text = SHOP.replace('"sqlite:///NAME.db"', '"sqlite:///p.db", collection_prefix="mine"')
    (tmp_path / "shop_p.py").write_text(text)
    monkeypatch.setenv(VARIABLE, "shop_p:processor")
    assert cli("schedule", "mail").code == 0
    assert len(cli("jobs", "--json").json["jobs"]) == 1
    assert cli("jobs", "--prefix", "other", "--json").json["jobs"] == []
    same = ("--db", "sqlite:///p.db", "--prefix", "mine")
    assert len(cli("jobs", *same, "--json").json["jobs"]) == 1


def test_found_upward(cli: Cli, monkeypatch: pytest.MonkeyPatch, shop: Path) -> None:
    """The nearest file with our table counts, and the application runs in its folder."""
    project(shop)
    below = shop / "docs" / "deep"
    below.mkdir(parents=True)
    (below / "pyproject.toml").write_text("[tool.other]\nname = 'no table of ours'\n")
    monkeypatch.chdir(below)
    assert cli("schedule", "mail").code == 0
    assert (shop / "shop_c.db").exists()
    monkeypatch.chdir(below)
    assert "mail" in cli("jobs").text
    project(below, 'app = "shop_b:processor"')
    monkeypatch.chdir(below)
    cli("jobs").refused(f"app in {below}/pyproject.toml", "shop_b.db")


@pytest.mark.slow
def test_a_worker_needs_no_app(shell: Shell, shop: Path) -> None:
    """Nor do those of several processes, whichever way it is named."""
    project(shop)
    (shop / "below").mkdir()
    done = shell("$job_processor schedule charge && cd below && $job_processor worker --burst")
    assert done.returncode == 0, done.stderr
    assert "finished job 'charge'" in done.stderr
    done = shell("$job_processor schedule charge; $job_processor worker --burst --processes 2")
    assert (done.returncode, "finished job 'charge'" in done.stderr) == (0, True), done.stderr
    done = shell("$job_processor check", JOB_PROCESSOR_APP="shop_b:processor")
    assert (done.returncode, "job 'charge'" in done.stdout) == (0, True), done.stderr


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("app = 7", "has app = 7"),
        ("", "has no app"),
        ("apps = 'x'", "has 'apps'"),
        ("app = 'x", "is no TOML"),
        ("app = 'shop'", "'shop' is not allowed; allowed is module:attribute"),
        ("app = 'shop'", "did you mean shop:processor?"),
        ("app = 'shop_c:nothing'", "'shop_c' has no 'nothing'"),
        ("app = 'shop_c.py:processor'", "did you mean shop_c:processor?"),
    ],
)
@pytest.mark.parametrize("command", [["jobs"], ["worker"], ["schedule", "x"]], ids=" ".join)
def test_what_a_file_says_wrongly(
    cli: Cli, shop: Path, command: list[str], text: str, problem: str
) -> None:
    """Is told with the path of the file; `--db` goes without."""
    project(shop, text)
    cli(*command).refused(f"{shop}/pyproject.toml", problem)
    cli("jobs", "--db", "sqlite:///x.db").refused("--db: there is no file")


def test_files_that_are_not_ours(cli: Cli, tmp_path: Path) -> None:
    """A pyproject.toml without our table may hold anything."""
    (tmp_path / "pyproject.toml").write_bytes(b"\xff = not [TOML")
    cli("jobs").refused("there is no file", "job_processor.db")
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'x'\ndependencies=['job-processor']"
    )
    cli("jobs").refused("there is no file", "job_processor.db")


def test_nothing_names_one(cli: Cli) -> None:
    """The three ways are told, and that a name alone is no application."""
    for command in (["worker"], ["check"]):
        cli(*command).refused("which application?", f"${VARIABLE}", "[tool.job-processor]", "APP")
    cli("schedule", "mail").refused("NAME: 'mail'", f"${VARIABLE}", "[tool.job-processor]")
    cli("schedule").refused("NAME")


def test_one_in_memory(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever looks from another process would see nothing: that is told."""
    monkeypatch.delitem(sys.modules, "shop_m", raising=False)
    (tmp_path / "shop_m.py").write_text(SHOP.replace("sqlite:///NAME.db", "sqlite://"))
    monkeypatch.setenv(VARIABLE, "shop_m:processor")
    cli("jobs").refused(f"${VARIABLE}: ", "in memory", "'shop_m:processor'", "--db")
    for command in (["jobs"], ["shell"], ["web", "--no-login"]):
        cli(*command, "--db", "sqlite://").refused("--db: a database in memory")


def test_looking_counts_as_no_program(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, shop: Path
) -> None:
    """A command that looks lists no name of the application: nobody waits for its worker."""
    monkeypatch.setenv(VARIABLE, "shop_a:processor")
    (shop / "shop_a.db").touch()
    assert cli("status").code == 0
    other = SHOP.replace("shop_a", "x").replace("NAME", "shop_a").replace("charge", "refund")
    (shop / "shop_o.py").write_text(other)
    monkeypatch.delitem(sys.modules, "shop_o", raising=False)
    assert cli("schedule", "shop_o:processor", "refund").code == 0
    told = cli("pause", "--db", "sqlite:///shop_a.db", "charge")
    told.refused("nobody defines 'charge'", "--force")


@pytest.mark.parametrize(
    ("mode", "is_ours", "is_run"),
    [(0o1777, False, False), (0o755, False, True), (0o1777, True, True)],
)
def test_a_file_that_anybody_may_have_put_there(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, shop: Path, mode: int, is_ours: bool, is_run: bool
) -> None:
    """Above the working directory, where all may write, only what is ours or root's is run."""
    project(shop)
    (shop / "below").mkdir()
    monkeypatch.chdir(shop / "below")
    shop.chmod(mode)
    if not is_ours and os.getuid() == 0:
        os.chown(shop / "pyproject.toml", 7, 7)
    elif not is_ours:
        monkeypatch.setattr(os, "getuid", lambda: 7)
    cli("jobs").refused("there is no file", "shop_c.db" if is_run else "job_processor.db")
