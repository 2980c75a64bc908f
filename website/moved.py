"""Old addresses of pages: each keeps a page that leads on to the new one."""

from __future__ import annotations

import posixpath
import tomllib
from html import escape
from pathlib import Path
from string import Template
from typing import Final

LIST: Final = Path(__file__).parent / "moved.toml"

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>This page has moved</title>
<meta name="robots" content="noindex">
<link rel="canonical" href="$canonical">
<meta http-equiv="refresh" content="0; url=$target">
<script>location.replace("$target" + location.hash)</script>
</head>
<body><p>This page has moved: <a href="$target">$target</a></p></body>
</html>
""")
"""A script keeps the heading that a link named; without one, the browser follows the refresh."""


def moved() -> dict[str, str]:
    """Return the pages that have moved, each with the page that has taken its place."""
    return dict(tomllib.loads(LIST.read_text(encoding="utf-8")))


def write_moved(site: Path, site_url: str) -> None:
    """Write a page at each old address of a language, in HTML and in Markdown."""
    for old, new in moved().items():
        folder = site / old.removesuffix(".md")
        folder.mkdir(parents=True)
        target = posixpath.relpath(address(new) or ".", address(old)) + "/"
        canonical = f"{site_url}{address(new)}" if site_url else target
        html = _PAGE.substitute(target=escape(target), canonical=escape(canonical))
        (folder / "index.html").write_text(html, encoding="utf-8")
        text = f"# This page has moved\n\nIt is [here]({new}) now.\n"
        (site / old).write_text(text, encoding="utf-8")


def address(page: str) -> str:
    """Return where the site has a page, such as `retries/`; the first page has an empty one."""
    return f"{page.removesuffix('index.md').removesuffix('.md').rstrip('/')}/".lstrip("/")
