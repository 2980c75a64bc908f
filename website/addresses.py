"""Where the pages of a site are, for search engines: one setting, `$SITE_URL`, says its address.

With it, each page names its own address, an English page in the French site that of the English
one; `sitemap.xml` lists them, and `robots.txt` says where that is. Without it nothing of this is
there: an address that nobody has given would be wrong.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from website.moved import address
from website.sources import LANGUAGES, code_files, sources

SITEMAP: Final = "sitemap.xml"

_CANONICAL: Final = re.compile(r"\s*<link rel=\"?canonical\"? href=\"?[^\"> ]*\"?>")


def write_addresses(site: Path, site_url: str) -> None:
    """Write into all pages, and beside them, where they are; nothing where nobody has said."""
    for made in (site / SITEMAP, *(site / each / SITEMAP for each in LANGUAGES)):
        made.unlink(missing_ok=True)  # that of the generator, of one language
        made.with_name(f"{SITEMAP}.gz").unlink(missing_ok=True)
    base = f"{site_url.rstrip('/')}/" if site_url else ""
    own: list[str] = []
    for language in LANGUAGES:
        folder = "" if language == LANGUAGES[0] else f"{language}/"
        for page, is_own in _pages(language):
            file = site / folder / address(page) / "index.html"
            where = f"{base}{folder if is_own else ''}{address(page)}"
            _name(file, where if base else "")
            own += [where] if is_own else []
    if base:
        lines = [f"  <url><loc>{escape(each)}</loc></url>" for each in sorted(own)]
        head = '<?xml version="1.0" encoding="UTF-8"?>'
        space = "http://www.sitemaps.org/schemas/sitemap/0.9"
        text = "\n".join([head, f'<urlset xmlns="{space}">', *lines, "</urlset>", ""])
        (site / SITEMAP).write_text(text, encoding="utf-8")
        (site / "robots.txt").write_text(f"Sitemap: {base}{SITEMAP}\n", encoding="utf-8")


def _pages(language: str) -> list[tuple[str, bool]]:
    """Return the pages of a language, each with whether it is one of its own."""
    is_first = language == LANGUAGES[0]
    pages = [(source.page, source.language == language) for source in sources(language)]
    code = [page for _, page in code_files()]
    return [*pages, *((page, is_first) for page in (*code, "examples/index.md"))]


def _name(file: Path, where: str) -> None:
    """Let a page say where it is; take out what it says where that is empty."""
    text = _CANONICAL.sub("", file.read_text(encoding="utf-8"))
    if where:
        link = f'<link rel="canonical" href="{escape(where)}"></head>'
        text = text.replace("</head>", link, 1)
    file.write_text(text, encoding="utf-8")
