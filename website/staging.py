"""Writes the pages as the generator wants them: links within the site, headings that links find.

The files of the project stay as a code host shows them: links from file to file, no markup of any
generator.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from website.sources import (
    LANGUAGES,
    ROOT,
    Source,
    assets,
    code_files,
    description,
    sources,
    translation,
)

_FENCE: Final = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_MERMAID: Final = re.compile(r"^```mermaid\nstateDiagram.*?^```$", re.DOTALL | re.MULTILINE)
_LINK: Final = re.compile(r"(?<=\]\()(?P<target>[^)\s]+)(?=\))")
_HEADING: Final = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
_COMMENT: Final = re.compile(r"\A<!--.*?-->\n+|^<!--.*?-->\n", re.MULTILINE)
_FRENCH_SPACE: Final = re.compile(
    r"(?P<code>`[^`\n]*`)|(?<=«) | (?=[:;?!»](?:[\s)*]|$))", re.MULTILINE
)
"""A space that must not break, as French has before some signs; or code, between backticks."""
_SWITCH: Final = re.compile(r"^\[(?:En français|In English)\]\([^)]*\)\n+", re.MULTILINE)
_STATES: Final = ROOT / "docs" / "states.svg"
"""What is shown for the diagram of states, which only code hosts draw."""
_ONLY_ENGLISH: Final = "!!! note \"Cette page n'existe qu'en anglais.\"\n\n"


def stage(language: str, folder: Path) -> None:
    """Write the pages of a language, and what they show, into an empty folder."""
    pages, words = sources(language), texts(language)
    site = _site(pages)
    for source in pages:
        text = _page(source, site)
        about = {"description": description(source)}
        if source.language == "fr":
            about["description"] = _with_french_spaces(about["description"])
        if source.language != language:  # it says so, to the browser too
            about["lang"] = source.language
            text = _with_note(text)
        _write(folder / source.page, _front_matter(about) + text)
    for file, page in code_files():
        shown = words["code"].format(name=_name(file))
        code: dict[str, Any] = {"description": shown, "search": {"exclude": True}}
        _write(folder / page, _front_matter(code) + _code_page(file))
    about = {"description": words["examples"]}
    _write(folder / "examples" / "index.md", _front_matter(about) + _examples())
    for file in assets():
        target = folder / file.relative_to(ROOT / "docs")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)


def texts(language: str) -> dict[str, str]:
    """Return the words of the frame, and of pages that are made of code."""
    told = tomllib.loads((Path(__file__).parent / "texts.toml").read_text(encoding="utf-8"))
    return dict(told[language])


def slug(title: str) -> str:
    """Return the name by which links find a heading, as code hosts make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _site(pages: Sequence[Source]) -> dict[str, str]:
    """Return what links may lead to: files and folders of the project, with their places."""
    site = {_name(file): page for file, page in code_files()}
    site |= {_name(file): file.relative_to(ROOT / "docs").as_posix() for file in assets()}
    site["examples"] = "examples/index.md"
    site["README.md"] = site["README.fr.md"] = "index.md"  # the home page says the same
    for source in pages:
        english = source.twin or source.file
        for file in (english, *(translation(english, other) for other in LANGUAGES[1:])):
            site[_name(file)] = source.page
    return site


def _page(source: Source, site: dict[str, str]) -> str:
    text = source.file.read_text(encoding="utf-8")
    text = _MERMAID.sub(f"![States]({_beside(source.file, _STATES)})", text)
    text = _SWITCH.sub("", _COMMENT.sub("", text))
    text = _outside_code(text, lambda prose: _LINK.sub(_rewriter(source, site), prose))
    if source.language == "fr":
        text = _outside_code(text, _with_french_spaces)
    return _with_english_anchors(text, source)


def _with_french_spaces(prose: str) -> str:
    return _FRENCH_SPACE.sub(lambda match: match["code"] or "\N{NO-BREAK SPACE}", prose)


def _rewriter(source: Source, site: dict[str, str]) -> Callable[[re.Match[str]], str]:
    """Return what turns a link between files into one between pages."""

    def rewrite(match: re.Match[str]) -> str:
        target, hash_sign, anchor = match["target"].partition("#")
        if re.match(r"[a-z]+:", target) or not target:
            return target + hash_sign + _english_anchor(source.file, anchor)
        file = (source.file.parent / target).resolve()
        page = site.get(_name(file))
        if page is None:
            raise SystemExit(f"make docs: {_name(source.file)} links to {target}: no page has that")
        here = posixpath.dirname(source.page)
        return posixpath.relpath(page, here or ".") + hash_sign + _english_anchor(file, anchor)

    return rewrite


def _with_english_anchors(text: str, source: Source) -> str:
    """Give the headings of a translation the names of the English ones, in the same order."""
    if source.twin is None:
        return text
    names = iter(_slugs(source.twin))

    def named(prose: str) -> str:
        return _HEADING.sub(lambda match: f"{match[0]} {{ #{next(names)} }}", prose)

    return _outside_code(text, named)


def _english_anchor(file: Path, anchor: str) -> str:
    """Return the English name of a heading of a translation."""
    for language in LANGUAGES[1:]:
        if anchor and file.name.endswith(f".{language}.md"):
            english = file.with_name(file.name.removesuffix(f".{language}.md") + ".md")
            return dict(zip(_slugs(file), _slugs(english), strict=True)).get(anchor, anchor)
    return anchor


def _slugs(file: Path) -> list[str]:
    prose = _FENCE.sub("", file.read_text(encoding="utf-8"))
    return [slug(match["title"]) for match in _HEADING.finditer(prose)]


def _outside_code(text: str, change: Callable[[str], str]) -> str:
    """Return the text with its prose changed and its blocks of code as they are."""
    parts, end = [], 0
    for match in _FENCE.finditer(text):
        parts += [change(text[end : match.start()]), match[0]]
        end = match.end()
    return "".join([*parts, change(text[end:])])


def _with_note(text: str) -> str:
    """Return an English page that says below its title that there is no other."""
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{_ONLY_ENGLISH}{rest}"


def _front_matter(about: Mapping[str, Any]) -> str:
    """Return what the generator is told of a page."""
    lines = [f"{name}: {json.dumps(text, ensure_ascii=False)}" for name, text in about.items()]
    return "\n".join(["---", *lines, "---", "", ""])


def _code_page(file: Path) -> str:
    languages = {".py": "python", ".yaml": "yaml", ".csv": "text"}
    default = "dockerfile" if file.name == "Dockerfile" else "text"
    language = languages.get(file.suffix, default)
    return f"# {file.name}\n\n```{language}\n{file.read_text(encoding='utf-8')}```\n"


def _examples() -> str:
    folder = ROOT / "examples"
    lines = ["# Examples\n", "Whole programs; each runs as it stands.\n"]
    for file, _ in code_files():
        if file.is_relative_to(folder):
            says = ""
            if file.suffix == ".py":
                says = (ast.get_docstring(ast.parse(file.read_text())) or "").partition("\n\n")[0]
                says = f": {' '.join(says.split())}" if says else ""
            name = file.relative_to(folder).as_posix()
            lines.append(f"- [{name}]({name}.md){says}")
    return "\n".join(lines) + "\n"


def _beside(file: Path, other: Path) -> str:
    """Return the link from one file of the project to another."""
    return posixpath.relpath(_name(other), posixpath.dirname(_name(file)) or ".")


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
