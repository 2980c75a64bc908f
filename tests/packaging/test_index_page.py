"""What an index shows of the package, and what a repository shows to those who come to it."""

from __future__ import annotations

import re
import tomllib

import yaml
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager

from tests.docs.markdown import links
from tests.packaging.project import ROOT, project

SOURCE = project()["urls"]["Source"]


def shown() -> str:
    """Return the text that a release gives to an index."""
    return str(ProjectMetadata(str(ROOT), PluginManager()).core.readme)


def test_every_link_is_absolute() -> None:
    """Each link of the README leads to its file in this version, a picture to its bytes."""
    start = re.escape(f"{SOURCE}/") + r"(?:raw|blob)" + re.escape(f"/v{project()['version']}/")
    targets = re.findall(r"(!?)\[[^\]]*\]\(([^)\s]+)\)", shown())
    own = [(picture, re.match(start + r"(?P<path>[^#]*)", target)) for picture, target in targets]
    paths = [match["path"] for _, match in own if match]
    assert len(paths) == len([each for each in links("README.md") if not each.startswith("http")])
    assert [path for path in paths if not (ROOT / path).exists()] == []
    assert all(("/raw/" in match[0]) == bool(picture) for picture, match in own if match)
    assert [target for _, target in targets if not target.startswith("https://")] == []


def test_code_and_words_stay_as_they_are() -> None:
    """Nothing but links is changed."""
    address = re.escape(SOURCE) + r"/(?:raw|blob)/v[^/]*/(?:README\.md(?=#))?"
    assert re.sub(address, "", shown()) == (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_address_is_one() -> None:
    """All that points at the project in pyproject.toml begins with the address of its source."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    host = re.match(r"https://[^/]+", SOURCE)
    assert host is not None
    assert text.count(host[0]) == text.count(SOURCE)
    assert set(project()["urls"]) >= {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    assert all(url.startswith(SOURCE) for url in project()["urls"].values())
    for url in project()["urls"].values():
        _, found, path = url.partition("/blob/main/")
        assert not found or (ROOT / path).is_file(), url


def test_the_classifiers_are_what_ci_runs() -> None:
    """They name the versions of Python that the workflow tests, and extras that exist."""
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    versions = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    classifiers = project()["classifiers"]
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(classifiers), re.MULTILINE)
    assert named == versions
    assert classifiers == sorted(classifiers)
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert tomllib.load(file)["project"]["requires-python"] == f">={versions[0]}"


def test_an_issue_begins_with_a_form() -> None:
    """Each form has a name and a description, asks for something, and gives its fields a label."""
    folder = ROOT / ".github" / "ISSUE_TEMPLATE"
    assert yaml.safe_load((folder / "config.yml").read_text())["blank_issues_enabled"] is False
    forms = [path for path in folder.glob("*.yml") if path.name != "config.yml"]
    assert len(forms) >= 2
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert form["name"]
        assert form["description"]
        fields = [each for each in form["body"] if each["type"] != "markdown"]
        assert {each["type"] for each in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
        assert all(each["attributes"]["label"] for each in fields)
        assert len({each["id"] for each in fields}) == len(fields)
        assert any(each.get("validations", {}).get("required") for each in fields)


def test_the_program_of_the_form_for_bugs_runs() -> None:
    """What it shows as the smallest program is one that runs."""
    text = (ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text(encoding="utf-8")
    (program,) = [
        each["attributes"]["placeholder"]
        for each in yaml.safe_load(text)["body"]
        if each["attributes"].get("render") == "python"
    ]
    exec(compile(program, "bug.yml", "exec"), {"__name__": "page"})  # noqa: S102  # our own
