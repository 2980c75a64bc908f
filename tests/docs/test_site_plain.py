"""Beside the site: each page in plain Markdown, and llms.txt, which lists them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from website.plain import LIST, list_of, missing, write_list, write_plain
from website.sources import LANGUAGES, description, sources
from website.staging import stage

from tests.docs.markdown import ROOT
from tests.docs.test_site import placed


def made(language: str, folder: Path) -> Path:
    """Return a folder with the plain pages of a language."""
    stage(language, folder / "stage")
    (folder / "site").mkdir()
    write_plain(folder / "stage", folder / "site", lambda name: f"what {name} is")
    return folder / "site"


@pytest.mark.parametrize("language", LANGUAGES)
def test_pages_are_plain(language: str, tmp_path: Path) -> None:
    """Nothing is left of what only the generator reads, and links lead from page to page."""
    site = made(language, tmp_path)
    for source in sources(language):
        text = (site / source.page).read_text(encoding="utf-8")
        assert text.startswith("# "), source.page
        prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
        assert not re.search(r"^::: |^#.*\{ #", prose, re.MULTILINE), source.page
        for target in re.findall(r"\]\(([^)\s#]+)", prose):
            page = (site / source.page).parent / target
            leads_out = re.match(r"[a-z]+:", target) or not target.endswith(".md")
            assert leads_out or page.is_file(), f"{source.page}: {target}"
    reference = (site / "reference" / "errors.md").read_text(encoding="utf-8")
    assert "what job_processor.JobProcessorError is" in reference


def test_the_list_has_every_page(tmp_path: Path) -> None:
    """In the order and under the titles of the navigation, with what each page is about."""
    site = made("en", tmp_path)
    text = list_of(site, "")
    nav = tomllib.loads((ROOT / "website" / "nav.toml").read_text(encoding="utf-8"))["section"]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [section["en"] for section in nav]
    listed = re.findall(r"^- \[[^\]]+\]\(([^)]+)\)", text, re.MULTILINE)
    assert listed == [page for page, _ in placed(nav) if (site / page).exists()]
    assert len(listed) > 50
    for source in sources("en"):
        if source.page in listed:
            assert f"({source.page}): {description(source)}" in text
    assert "- [Retry failed jobs](https://jobs.example/docs/retries.md)" in list_of(
        site, "https://jobs.example/docs/"
    )


@pytest.mark.parametrize("url", ["", "https://jobs.example"])
def test_what_is_missing_is_found(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line of the list that leads nowhere, and a page of which there is no Markdown."""
    monkeypatch.setenv("SITE_URL", url)
    site = made("en", tmp_path)
    write_list(site)
    assert missing(site) == []
    for name in ("retries", "new"):
        (site / name).mkdir()
        (site / name / "index.html").write_text("")
    (site / "crons.md").unlink()
    assert missing(site) == [
        f"{LIST}: nothing at crons.md",
        "new/index.html: there is no Markdown of it",
    ]
