"""What the pages say about each other and about the tree: links, translations, rooms, states."""

from __future__ import annotations

import re
import tomllib

import pytest

from job_processor import JobStatus
from job_processor.models import TRANSITIONS
from tests.docs.markdown import PAGES, ROOT, anchors, blocks, code, links, read, section, table

PACKAGE = ROOT / "src" / "job_processor"
Transition = tuple[JobStatus | None, JobStatus]


IN_FRENCH = sorted(page.removesuffix(".fr.md") for page in PAGES if page.endswith(".fr.md"))
TWINS = [(f"{page}.md", f"{page}.fr.md") for page in IN_FRENCH]
"""Pages in English, each with its French one."""

NO_QUESTION = {"README.md", "README.fr.md", "docs/index.md", "docs/index.fr.md"}
"""Those that say what all of this is."""

FRENCH_SECTIONS = ("Start", "Jobs", "Production")


def test_what_is_in_french() -> None:
    """Every page that somebody reads who begins, writes jobs, runs them, or comes from Node."""
    nav = tomllib.loads((ROOT / "website" / "nav.toml").read_text(encoding="utf-8"))["section"]
    listed = [
        page if isinstance(page, str) else page["page"]
        for section in nav
        if section["en"] in FRENCH_SECTIONS
        for page in section["pages"]
    ]
    wanted = {
        f"docs/{page.removesuffix('.md')}" for page in listed if (ROOT / "docs" / page).exists()
    }
    assert wanted | {"README", "docs/dashboard", "docs/from-node"} <= set(IN_FRENCH)


@pytest.mark.parametrize(("english", "french"), TWINS)
def test_twins_have_the_same_code(english: str, french: str) -> None:
    """A page and its translation show the same blocks, in the same order."""

    def essence(page: str) -> list[tuple[str, str, str]]:
        return [(block.marker, block.language, block.text) for block in blocks(page)]

    assert essence(english) == essence(french)


@pytest.mark.parametrize(("english", "french"), TWINS)
def test_twins_have_the_same_sections(english: str, french: str) -> None:
    """A translation has a heading for each of its page, at the same level."""

    def levels(page: str) -> list[str]:
        prose = re.sub(
            r"^```.*?^```$", "", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE
        )
        return re.findall(r"^#+(?= )", prose, re.MULTILINE)

    assert levels(english) == levels(french)


@pytest.mark.parametrize(("english", "french"), TWINS)
def test_twins_have_the_same_tables_lists_and_images(english: str, french: str) -> None:
    """A translation has as many rows of tables, items of lists and images as its page."""

    def counts(page: str) -> list[int]:
        return [
            len(re.findall(sign, read(page), re.MULTILINE))
            for sign in (r"^\|", r"^ *(?:-|\d\.) ", r"!\[")
        ]

    assert counts(english) == counts(french)


@pytest.mark.parametrize("page", sorted(set(PAGES) - NO_QUESTION))
def test_a_page_begins_with_its_question(page: str) -> None:
    """The first paragraph below the title, or below the first heading, asks what is answered."""
    prose = re.sub(r"^```.*?^```$|<!--.*?-->", "", read(page), flags=re.DOTALL | re.MULTILINE)
    below = prose.partition("\n# ")[2].split("\n\n")[1:]
    first = next(each for each in below if not re.match(r"\[(?:En|In) |!\[|#", each))
    assert "?" in first


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """A link within the project leads to a file or folder, and to a heading that exists."""
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = ((ROOT / page).parent / path).resolve() if path else ROOT / page
        assert file.exists(), f"{page}: {target}"
        if anchor:
            assert anchor in anchors(file.relative_to(ROOT).as_posix()), f"{page}: {target}"


def test_the_folders_are_those_of_the_package() -> None:
    """The table of folders in ARCHITECTURE.md has every folder of the package, and no other."""
    rooms = [code(row[0]) for row in table("ARCHITECTURE.md", ("folder", "contents"))]
    assert sorted(rooms) == sorted(
        f"{path.name}/"
        for path in PACKAGE.iterdir()
        if path.is_dir() and path.name != "__pycache__"
    )


def test_transition_table_is_that_of_the_code() -> None:
    """The table in ARCHITECTURE.md is `models.TRANSITIONS`, and says who makes each."""
    rows = table("ARCHITECTURE.md", ("from", "to", "who", "when"))
    listed = [(_state(row[0]), JobStatus(code(row[1]))) for row in rows]
    assert len(listed) == len(set(listed))
    assert set(listed) == TRANSITIONS
    assert all(row[2] and row[3] for row in rows)


def test_state_diagram_is_that_of_the_code() -> None:
    """The diagram of states in ARCHITECTURE.md has an arrow for each transition, and no other."""
    (diagram,) = blocks("ARCHITECTURE.md", "mermaid")
    arrows = re.findall(r"^\s*(\S+) --> (\w+)", diagram.text, re.MULTILINE)
    drawn: list[Transition] = [
        (None if start == "[*]" else JobStatus(start), JobStatus(end)) for start, end in arrows
    ]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == TRANSITIONS


def test_picture_of_states_is_that_of_the_code() -> None:
    """docs/states.svg has an arrow for each transition, and no other."""
    svg = (ROOT / "docs" / "states.svg").read_text()
    arrows = re.findall(r'data-from="([^"]*)" data-to="(\w+)"', svg)
    drawn: list[Transition] = [
        (JobStatus(start) if start else None, JobStatus(end))
        for starts, end in arrows
        for start in starts.split() or [""]
    ]
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == TRANSITIONS


def _state(cell: str) -> JobStatus | None:
    return JobStatus(code(cell)) if "`" in cell else None


def test_architecture_has_its_sections() -> None:
    """ARCHITECTURE.md has the folders, the path of a job, and the states."""
    for title in ("The folders", "The path of a job", "States"):
        assert section("ARCHITECTURE.md", title).strip()
