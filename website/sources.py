"""Which file of the project becomes which page, in which language."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
LANGUAGES: Final = ("en", "fr")
"""The first has all pages; where another lacks one, it shows that of the first."""

OUTSIDE_DOCS: Final = {
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CODE_OF_CONDUCT.md": "conduct.md",
    "SECURITY.md": "security-policy.md",
    "CHANGELOG.md": "changes.md",
    "benchmarks/README.md": "benchmarks.md",
    "examples/newsletter/README.md": "examples/newsletter/index.md",
}
"""Pages that have their place elsewhere, where a reader of the code looks for them."""

AS_CODE: Final = ("examples", "LICENSE")
"""Files, and files of folders, that are shown as they are."""


_DESCRIPTION: Final = re.compile(r"<!-- description: (?P<text>.+) -->\n")


@dataclass(frozen=True, slots=True)
class Source:
    """A file of the project and the page that it becomes."""

    file: Path
    page: str
    """Where it stands in the site, such as `reference/errors.md`."""
    language: str
    """That of its text, which may not be that of the site."""
    twin: Path | None = None
    """The English file of which it is the translation."""


def sources(language: str) -> list[Source]:
    """Return all pages of a language; of two languages of one page, the wanted one."""
    english = {
        **OUTSIDE_DOCS,
        **{
            f"docs/{name}": name
            for name in sorted(
                path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")
            )
            if not _is_translation(name)
        },
    }
    return [_choose(ROOT / name, page, language) for name, page in english.items()]


def description(source: Source) -> str:
    """Return what a page tells search engines: the comment that its file begins with."""
    match = _DESCRIPTION.match(source.file.read_text(encoding="utf-8"))
    if match is None:
        name = source.file.relative_to(ROOT)
        raise SystemExit(f"make docs: {name} has to begin with <!-- description: … -->")
    return match["text"]


def code_files() -> list[tuple[Path, str]]:
    """Return the files that are shown as code, each with its page."""
    found = []
    for name in AS_CODE:
        path = ROOT / name
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [(file, f"{file.relative_to(ROOT).as_posix()}.md") for file in files]
    return [
        (file, page)
        for file, page in found
        if file.is_file()
        and file.stat().st_size
        and "__pycache__" not in file.parts
        and file.suffix not in {".md", ".db"}  # pages, and what a program left there
    ]


def assets() -> list[Path]:
    """Return what the pages show or offer besides text."""
    return [
        path
        for path in sorted((ROOT / "docs").rglob("*"))
        if path.is_file() and path.suffix in {".svg", ".png", ".json", ".yaml"}
    ]


def translation(file: Path, language: str) -> Path:
    """Return where the translation of an English page stands, whether it is there or not."""
    return file.with_suffix(f".{language}.md")


def _choose(file: Path, page: str, language: str) -> Source:
    translated = translation(file, language)
    if language != LANGUAGES[0] and translated.exists():
        return Source(translated, page, language, twin=file)
    return Source(file, page, LANGUAGES[0])


def _is_translation(name: str) -> bool:
    return any(name.endswith(f".{language}.md") for language in LANGUAGES[1:])
