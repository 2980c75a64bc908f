"""Looks at a built site: what its pages point at is there, and nothing comes from another host.

Each page has a description of its own, of a length that search engines show.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urldefrag

from website.sources import LANGUAGES

SHORTEST: Final = 50
LONGEST: Final = 160
"""Characters of a description: fewer say too little, more are cut."""

_LOADED: Final = {"script": "src", "img": "src", "source": "src", "iframe": "src"}


class Pointers(HTMLParser):
    """What a page loads and links to, which names links into it end with, what it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: set[str] = set()
        self.links: set[str] = set()
        self.names: set[str] = set()
        self.description = ""
        self.leads_on = False
        """Whether it stands at the old address of a page that has moved."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag points at."""
        values = {name: value for name, value in attrs if value}
        if "id" in values:
            self.names.add(values["id"])
        if tag in _LOADED and _LOADED[tag] in values:
            self.loads.add(values[_LOADED[tag]])
        elif tag == "link" and "href" in values:
            rel = values.get("rel", "")
            if rel in {"stylesheet", "icon", "preload", "manifest"}:
                self.loads.add(values["href"])
        elif tag == "a" and "href" in values:
            self.links.add(values["href"])
        elif tag == "meta" and values.get("name") == "description":
            self.description = values.get("content", "")
        elif tag == "meta" and values.get("http-equiv") == "refresh":
            self.leads_on = True


def faults(site: Path) -> list[str]:
    """Return what is wrong, a line each; an empty list when all is well."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    found = [
        f"{path.relative_to(site)}: {fault}"
        for path, pointers in pages.items()
        if path.name != "404.html"  # its links are absolute: it is served anywhere
        for fault in _faults(path, pointers, pages)
    ]
    return found + _repeated(site, pages)


def _faults(path: Path, pointers: Pointers, pages: dict[Path, Pointers]) -> Iterator[str]:
    if not (pointers.leads_on or SHORTEST <= len(pointers.description) <= LONGEST):
        length = len(pointers.description)
        yield f"a description of {length} characters; allowed are {SHORTEST} to {LONGEST}"
    for target in sorted(pointers.loads):
        if re.match(r"(https?:)?//", target):
            yield f"loads {target} from another host"
    for target in sorted(pointers.loads | pointers.links):
        if re.match(r"[a-z]+:|//", target):
            continue
        address, anchor = urldefrag(target)
        file = (path.parent / unquote(address)).resolve() if address else path
        file = file / "index.html" if file.is_dir() else file
        if not file.exists():
            yield f"nothing at {target}"
        elif anchor and file in pages and unquote(anchor) not in pages[file].names:
            yield f"no heading at {target}"


def _repeated(site: Path, pages: dict[Path, Pointers]) -> list[str]:
    """Return a line for each description that two pages of a language have."""
    told: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for path, pointers in pages.items():
        name = path.relative_to(site).as_posix()
        folder = name.partition("/")[0]
        language = folder if folder in LANGUAGES else LANGUAGES[0]
        if path.name != "404.html" and not pointers.leads_on:
            told[language, pointers.description].append(name)
    return [f"{', '.join(names)}: the same description" for names in told.values() if names[1:]]


def _read(path: Path) -> Pointers:
    pointers = Pointers()
    pointers.feed(path.read_text(encoding="utf-8"))
    return pointers
