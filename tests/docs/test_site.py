"""The pages of the site: each has its place, and the reference has every public name."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from website.arguments import with_lists
from website.checking import LONGEST, SHORTEST, faults
from website.moved import moved, write_moved
from website.sources import LANGUAGES, code_files, description, sources
from website.staging import slug, stage, texts

import job_processor
from job_processor import testing
from job_processor.integrations import base
from tests.docs.markdown import ROOT, section

NAVIGATION = tomllib.loads((ROOT / "website" / "nav.toml").read_text(encoding="utf-8"))["section"]


def placed(entries: list[Any]) -> Iterator[tuple[str, Any]]:
    """Return each page of the navigation with its entry."""
    for entry in entries:
        if isinstance(entry, str):
            yield entry, {}
        elif "page" in entry:
            yield entry["page"], entry
        else:
            yield from placed(entry["pages"])


def test_each_page_has_its_place() -> None:
    """The navigation has every page once, and none that does not exist."""
    pages = [page for page, _ in placed(NAVIGATION)]
    made = {source.page for source in sources("en")} | {"examples/index.md", "LICENSE.md"}
    assert sorted(pages) == sorted(made)


def test_each_place_has_a_french_title() -> None:
    """A page has a title in French in the navigation, or is in French itself."""
    in_french = {source.page for source in sources("fr") if source.language == "fr"}
    untitled = [page for page, entry in placed(NAVIGATION) if "fr" not in entry]
    assert set(untitled) - in_french == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_home_page_lists_every_page(language: str) -> None:
    """By the sections of the navigation, in its order, in the language that a page has."""
    home, title = {
        "en": ("docs/index.md", "All pages"),
        "fr": ("docs/index.fr.md", "Toutes les pages"),
    }[language]
    files = {source.page: source.file for source in sources(language)}
    files |= {"examples/index.md": ROOT / "examples", "LICENSE.md": ROOT / "LICENSE"}
    listed = [
        (each.split("|")[1].strip(), re.findall(r"\]\(([^)]+)\)", each))
        for each in section(home, title).splitlines()
        if "](" in each
    ]
    assert listed == [
        (
            each[language],
            [
                posixpath.relpath(files[page], ROOT / "docs") + "/" * files[page].is_dir()
                for page, _ in placed(each["pages"])
                if page != "index.md"
            ],
        )
        for each in NAVIGATION
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_titles_are_unique(language: str) -> None:
    """No two pages of a language begin with the same heading."""
    titles = Counter(
        title
        for source in sources(language)
        for title in re.findall(r"\A(?:<!--.*-->\n)?# (.+)$", source.file.read_text(), re.MULTILINE)
    )
    assert len(titles) > 50
    assert [title for title, count in titles.items() if count > 1] == []


def test_what_has_moved_leads_on() -> None:
    """An old address is no page any more, and leads to one that is there."""
    pages = {source.page for source in sources("en")}
    assert moved().keys() & pages == set()
    assert set(moved().values()) - pages == set()


def test_an_old_address_keeps_the_heading_and_says_where_the_page_is(tmp_path: Path) -> None:
    """Its page names the new address, as search engines and browsers without scripts need it."""
    for page in moved().values():
        folder = tmp_path / page.removesuffix("index.md").removesuffix(".md")
        folder.mkdir(exist_ok=True)
        (folder / "index.html").write_text(about(page))
    write_moved(tmp_path, "https://jobs.example/")
    text = (tmp_path / "operating" / "index.html").read_text(encoding="utf-8")
    assert '<link rel="canonical" href="https://jobs.example/operations/">' in text
    assert '<meta http-equiv="refresh" content="0; url=../operations/">' in text
    assert 'location.replace("../operations/" + location.hash)' in text
    assert "(operations.md)" in (tmp_path / "operating.md").read_text(encoding="utf-8")
    assert faults(tmp_path) == []


def test_the_reference_has_every_public_name() -> None:
    """What the pages of the reference show exists, once, and has all that is public."""
    shown = [
        name
        for page in sorted((ROOT / "docs" / "reference").glob("*.md"))
        for name in re.findall(r"^::: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    public = {f"job_processor.{name}" for name in job_processor.__all__}
    public |= {f"job_processor.testing.{name}" for name in testing.__all__}
    public |= {f"job_processor.integrations.base.{name}" for name in base.__all__}
    assert len(shown) == len(set(shown))
    own = {name.rpartition(".")[2] for name in shown}
    assert [name for name in public if name.rpartition(".")[2] not in own] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_links_become_links_between_pages(language: str, tmp_path: Path) -> None:
    """Staged, no page links to a file of the project any more, nor outside of the site."""
    stage(language, tmp_path)
    for page in tmp_path.rglob("*.md"):
        text = re.sub(
            r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
        )
        for target in re.findall(r"\]\(([^)\s#]+)", text):
            if not re.match(r"[a-z]+:", target):
                assert (page.parent / target).is_file(), f"{page.relative_to(tmp_path)}: {target}"
                assert (page.parent / target).resolve().is_relative_to(tmp_path.resolve())


def test_a_translation_has_the_anchors_of_its_page(tmp_path: Path) -> None:
    """A French heading has the name of the English one, so that links stay right in each."""
    stage("fr", tmp_path)
    text = (tmp_path / "dashboard.md").read_text(encoding="utf-8")
    assert "## L'API JSON { #json-api }" in text
    assert "dashboard.md#json-api" in (tmp_path / "tutorial.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<img src="https://example.org/a.png">', "loads https://example.org/a.png"),
        ('<script src="//example.org/a.js"></script>', "loads //example.org/a.js"),
        ('<link rel="stylesheet" href="https://example.org/a.css">', "from another host"),
        ('<a href="gone/">', "nothing at gone/"),
        ('<a href="#gone">', "no heading at #gone"),
        ('<a href="https://example.org/"><h2 id="a"></h2><a href="#a">', None),
    ],
)
def test_faults_of_a_site_are_found(page: str, fault: str | None, tmp_path: Path) -> None:
    """What is loaded from elsewhere, and what leads nowhere, is a fault; a link away is none."""
    (tmp_path / "index.html").write_text(about("a page") + page, encoding="utf-8")
    found = faults(tmp_path)
    assert (found == []) if fault is None else (len(found) == 1 and fault in found[0])


def about(subject: str) -> str:
    """Return the element that describes a page, at some length."""
    return (
        f'<meta name="description" content="{f"All that one may want to know of {subject}":.<99}">'
    )


def test_a_page_without_a_description_is_a_fault(tmp_path: Path) -> None:
    """Each page has one, none is too short or too long, and no two of a language have the same."""
    (tmp_path / "fr").mkdir()
    for name, head in {
        "a.html": about("jobs"),
        "b.html": about("jobs"),
        "c.html": "",
        "d.html": '<meta name="description" content="Jobs">',
        "e.html": about("crons"),
        "fr/a.html": about("jobs"),
        "404.html": "",
    }.items():
        (tmp_path / name).write_text(head, encoding="utf-8")
    assert faults(tmp_path) == [
        "c.html: a description of 0 characters; allowed are 50 to 160",
        "d.html: a description of 4 characters; allowed are 50 to 160",
        "a.html, b.html: the same description",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_says_what_it_is_about(language: str) -> None:
    """In its own language, in a sentence of its own that search engines show whole."""
    words = texts(language)
    told = [description(source) for source in sources(language)]
    told += [words["code"].format(name=file.relative_to(ROOT)) for file, _ in code_files()]
    told += [words["description"], words["examples"]]
    assert [each for each in told if not SHORTEST <= len(each) <= LONGEST] == []
    assert [each for each in told if not each.endswith(".") and each != words["description"]] == []
    assert len(set(told)) == len(told)


def test_arguments_become_a_list() -> None:
    """Lines of arguments become a list with their longer meanings, and prose stays as it is."""
    text = "Does it.\n\na: one\n  thing.\nb, c: two.\n\nRaises Error: never.\nAnd so on."
    assert with_lists(text) == (
        "Does it.\n\n- `a`: one thing.\n- `b`, `c`: two.\n\nRaises Error: never.\nAnd so on."
    )


def test_a_staged_page_tells_its_description_and_language(tmp_path: Path) -> None:
    """It stands where the generator looks; an English page of the French site says that it is."""
    stage("fr", tmp_path)
    tutorial = (tmp_path / "tutorial.md").read_text(encoding="utf-8")
    assert re.match(r'---\ndescription: "D\'un dossier vide .*"\n---\n\n# Tutoriel', tutorial)
    english = (tmp_path / "logs.md").read_text(encoding="utf-8")
    assert re.match(
        r'---\ndescription: "Put the id.*"\nlang: "en"\n---\n\n# Logs\n\n!!! note', english
    )


def test_headings_are_named_as_code_hosts_name_them() -> None:
    """Lower case, hyphens for spaces, no other signs."""
    assert slug("What a `Retry` is, and isn't") == "what-a-retry-is-and-isnt"


def test_french_signs_stay_with_their_words(tmp_path: Path) -> None:
    """In French the space before `:` and within « » does not break; code keeps what it has."""
    stage("fr", tmp_path)
    text = (tmp_path / "concepts.md").read_text(encoding="utf-8")
    assert "«\N{NO-BREAK SPACE}Worker crashed unexpectedly\N{NO-BREAK SPACE}»" in text
    prose = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r" [:;?!](?:\s|$)|« | »", prose) == []
    assert re.search(r"\N{NO-BREAK SPACE}", (tmp_path / "logs.md").read_text()) is None
