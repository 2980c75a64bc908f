"""Every Python block of the pages runs, and prints what the page says it prints."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.docs.markdown import PAGES, ROOT, Block, blocks

COMPILE_ONLY = re.compile(r"compile only: (?P<reason>.+)")
FOLLOWED = re.compile(r"file: \S+|run|run until|start|start again|prints")
"""The markers of a tutorial, see tests/docs/tutorial.py."""
PROGRAMS = ("python", "text", "console", "javascript", "mermaid")
FILES = ("yaml", "dockerfile", "ini", "nginx", "toml")
LANGUAGES = PROGRAMS + FILES
ENGLISH = [page for page in PAGES if not page.endswith(".fr.md")]
TUTORIALS = ("docs/tutorial.md", "docs/tutorial.fr.md")


class Session:
    """Runs the blocks of one page in order, in one namespace, as somebody would who reads it.

    A block may await at its top level, as a piece of an `async def` that the page does not repeat.
    """

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        module = ModuleType("page")
        sys.modules["page"] = module  # a dataclass looks for the module that it is in
        self._namespace: dict[str, Any] = vars(module)
        self._output = io.StringIO()

    def run(self, block: Block) -> None:
        """Run a Python block, or compare a printed one."""
        if block.language == "python":
            with contextlib.redirect_stdout(self._output):
                self._execute(block)
        elif block.marker == "prints":
            printed = self._output.getvalue()
            assert printed == block.text, f"{block.where}: it prints\n{printed}"
            self._output = io.StringIO()

    def _execute(self, block: Block) -> None:
        program = compile_block(block)
        if COMPILE_ONLY.fullmatch(block.marker):
            return
        if program.co_flags & inspect.CO_COROUTINE:
            self._runner.run(eval(program, self._namespace))  # noqa: S307  # our own pages
        else:
            exec(program, self._namespace)  # noqa: S102  # our own pages


def compile_block(block: Block) -> Any:
    """Return the block as code whose line numbers are those of its page."""
    source = "\n" * (block.line - 1) + block.text
    return compile(
        source, block.page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )


def _parameters() -> list[Any]:
    """Return the pages with Python in them; one that speaks of MongoDB's address needs a server.

    A French page has the blocks of its English one (tests/docs/test_pages.py): they run once.
    """
    parameters = []
    for page in ENGLISH:
        python = blocks(page, "python")
        needs_mongo = any("MONGODB_URL" in block.text for block in python)
        if python and page not in TUTORIALS:
            marks = [pytest.mark.mongo] if needs_mongo else []
            parameters.append(pytest.param(page, needs_mongo, id=page, marks=marks))
    return parameters


@pytest.mark.parametrize(("page", "needs_mongo"), _parameters())
def test_blocks_run_and_print(
    page: str,
    needs_mongo: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    """The Python blocks of a page run in order in an empty folder, and print what it shows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("JOB_PROCESSOR_DB", raising=False)
    monkeypatch.delenv("WORKER_TAGS", raising=False)
    if needs_mongo:
        monkeypatch.setenv("MONGODB_URL", request.getfixturevalue("mongo_db_url"))
    with asyncio.Runner() as runner:
        session = Session(runner)
        for block in blocks(page):
            session.run(block)


@pytest.mark.parametrize("page", PAGES)
def test_only_known_markers(page: str) -> None:
    """A block that is not executed says why, and a marker that means nothing is a slip."""
    for block in blocks(page):
        known = block.marker in ("", "prints") or COMPILE_ONLY.fullmatch(block.marker)
        if page in TUTORIALS:
            known = not block.marker or FOLLOWED.fullmatch(block.marker)
        assert known, f"{block.where}: unknown marker {block.marker!r}"


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_language(page: str) -> None:
    """Every block names its language, so that none escapes the tests unseen."""
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block.where}: {block.language!r}"


def handlers(source: str) -> Iterator[tuple[ast.expr, list[ast.arg]]]:
    """Return what defines a job or a cron, each with the parameters of its handler."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            for decorator in node.decorator_list:
                named = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(named, ast.Attribute) and named.attr in {"job", "cron"}:
                    yield decorator, parameters


@pytest.mark.parametrize(
    ("where", "source"),
    [
        *((block.where, block.text) for page in ENGLISH for block in blocks(page, "python")),
        *((path.name, path.read_text("utf-8")) for path in (ROOT / "examples").rglob("*.py")),
    ],
)
def test_handlers_take_fields(where: str, source: str) -> None:
    """What readers copy takes its payload apart by parameters, and has no empty parentheses."""
    for decorator, parameters in handlers(source):
        mappings = [
            parameter.arg
            for parameter in parameters
            if parameter.arg == "payload"
            and ast.unparse(parameter.annotation or decorator) == "dict"
        ]
        assert mappings == [], f"{where}: name the fields instead of payload: dict"
        empty = isinstance(decorator, ast.Call) and not decorator.args and not decorator.keywords
        assert not empty, f"{where}: @{ast.unparse(decorator)} goes without parentheses"
