"""The pages as plain Markdown beside the site, and `llms.txt`, which lists them for programs.

`retries/` is a page for people, `retries.md` the same for what reads Markdown. See
https://llmstxt.org.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from website.sources import LANGUAGES, description, sources
from website.staging import texts

LIST: Final = "llms.txt"

_FRONT_MATTER: Final = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
_DOCSTRING: Final = re.compile(r"^::: (?P<name>\S+)$", re.MULTILINE)
_TITLE: Final = re.compile(r"^# (?P<title>.+)$", re.MULTILINE)
_ATTRIBUTES: Final = re.compile(r" \{ #[^}]* \}$", re.MULTILINE)
_LINK: Final = re.compile(r"^- \[[^\]]*\]\((?P<target>[^)\s]+)\)", re.MULTILINE)


def write_plain(staged: Path, site: Path, described: Callable[[str], str]) -> None:
    """Write the staged pages of a language into its site, without what only a generator reads.

    described: returns what there is to say of a public name.
    """
    for page in sorted(staged.rglob("*.md")):
        text = _FRONT_MATTER.sub("", page.read_text(encoding="utf-8"))
        text = _DOCSTRING.sub(lambda match: described(match["name"]), _ATTRIBUTES.sub("", text))
        target = site / page.relative_to(staged)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def write_list(site: Path) -> None:
    """Write `llms.txt`: each page of the navigation with its description, links to Markdown."""
    (site / LIST).write_text(list_of(site, os.environ.get("SITE_URL", "")), encoding="utf-8")


def list_of(site: Path, url: str) -> str:
    """Return the text of `llms.txt`; with an address of the site, its links are absolute."""
    language = LANGUAGES[0]
    told = {source.page: description(source) for source in sources(language)}
    base = f"{url.rstrip('/')}/" if url else ""
    lines = ["# job-processor", "", f"> {texts(language)['description']}.", ""]
    lines += ["Each page is there in Markdown, at its address with .md in place of the last /."]
    for title, pages in _sections():
        lines += ["", f"## {title}", ""]
        for page, named in pages:
            if (site / page).exists():
                about = f": {told[page]}" if page in told else ""
                lines.append(f"- [{named or _title(site / page)}]({base}{page}){about}")
    return "\n".join([*lines, ""])


def missing(site: Path) -> list[str]:
    """Return what is wrong with the plain pages of a built site, a line each."""
    text = (site / LIST).read_text(encoding="utf-8")
    base = os.environ.get("SITE_URL", "").rstrip("/")
    targets = [match["target"].removeprefix(f"{base}/") for match in _LINK.finditer(text)]
    found = [f"{LIST}: nothing at {each}" for each in targets if not (site / each).is_file()]
    for page in sorted(site.rglob("index.html")):
        folder = page.parent
        plain = folder / "index.md", folder.with_name(f"{folder.name}.md")
        if not any(each.is_file() for each in plain):
            found.append(f"{page.relative_to(site)}: there is no Markdown of it")
    return found


def _sections() -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """Yield the sections of the navigation, each with its pages and the titles they are given."""
    nav = tomllib.loads((Path(__file__).parent / "nav.toml").read_text(encoding="utf-8"))
    for section in nav["section"]:
        yield section["en"], list(_pages(section["pages"]))


def _pages(entries: list[Any]) -> Iterator[tuple[str, str | None]]:
    for entry in entries:
        if isinstance(entry, str):
            yield entry, None
        elif "page" in entry:
            yield entry["page"], entry.get(LANGUAGES[0])
        else:
            yield from _pages(entry["pages"])


def _title(page: Path) -> str:
    match = _TITLE.search(page.read_text(encoding="utf-8"))
    return page.stem if match is None else match["title"]
