"""`python -m website` builds the site into build/site; a warning or a broken link fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from string import Template
from typing import Any, Final

from website.addresses import write_addresses
from website.checking import faults
from website.moved import write_moved
from website.names import described
from website.plain import missing, write_list, write_plain
from website.searching import missed
from website.sources import LANGUAGES, ROOT
from website.staging import stage, texts

HERE: Final = Path(__file__).parent
STAGE: Final = ROOT / "build" / "stage"
SITE: Final = ROOT / "build" / "site"


def main() -> None:
    """Build every language, then look at all that was made."""
    shutil.rmtree(SITE, ignore_errors=True)
    builds = {language: start(language) for language in LANGUAGES}
    failed = [language for language, build in builds.items() if build.wait()]
    if failed:
        sys.exit(f"make docs: warnings in {', '.join(failed)}; a strict build has none.")
    for language in LANGUAGES:
        target = SITE if language == LANGUAGES[0] else SITE / language
        shutil.copytree(STAGE / language / "site", target, dirs_exist_ok=True)
        write_plain(STAGE / language / "docs", target, described)
        write_moved(target, address_of(language))
    write_addresses(SITE, os.environ.get("SITE_URL", ""))
    write_list(SITE)
    found = [*faults(SITE), *missing(SITE), *missed(SITE)]
    if found:
        sys.exit("\n".join(["make docs: the site has faults:", *found]))
    print(f"{sum(1 for _ in SITE.rglob('*.html'))} pages in {SITE.relative_to(ROOT)}/")  # noqa: T201


def start(language: str) -> subprocess.Popen[bytes]:
    """Write the pages of a language as the generator wants them, and start it on these."""
    folder = STAGE / language
    shutil.rmtree(folder, ignore_errors=True)
    stage(language, folder / "docs")
    (folder / "zensical.toml").write_text(configuration(language), encoding="utf-8")
    shutil.copyfile(HERE / "extra.css", folder / "docs" / "extra.css")
    shutil.copytree(HERE / "overrides", folder / "overrides")
    program = Path(sys.executable).with_name("zensical")
    return subprocess.Popen(  # noqa: S603  # our own tool
        [program, "build", "--strict", "--clean"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def configuration(language: str) -> str:
    """Return zensical.toml with what differs between languages and between hosts filled in."""
    template = Template((HERE / "zensical.toml").read_text(encoding="utf-8"))
    is_first = language == LANGUAGES[0]
    return template.substitute(
        {name: json.dumps(text, ensure_ascii=False) for name, text in texts(language).items()},
        language=json.dumps(language),
        nav=navigation(language),
        home="./" if is_first else "../",
        site_url=json.dumps(address_of(language)),
        repo_url=json.dumps(os.environ.get("REPO_URL", "")),
        source=json.dumps(str(ROOT / "src")),
    )


def address_of(language: str) -> str:
    """Return where the pages of a language will be, by $SITE_URL; empty where nobody has said."""
    site_url = os.environ.get("SITE_URL", "").rstrip("/")
    folder = "" if language == LANGUAGES[0] else f"{language}/"
    return f"{site_url}/{folder}" if site_url else ""


def navigation(language: str) -> str:
    """Return the navigation as a TOML array; pages that are not there yet are left out."""
    staged = STAGE / language / "docs"

    def entry(page: str | dict[str, Any]) -> str | None:
        if isinstance(page, str):
            return json.dumps(page) if (staged / page).exists() else None
        inner = entry(page["page"]) if "page" in page else entries(page["pages"])
        if inner is None or language not in page:
            return inner
        return f"{{ {json.dumps(page[language], ensure_ascii=False)} = {inner} }}"

    def entries(pages: list[str | dict[str, Any]]) -> str:
        return f"[{', '.join(filter(None, map(entry, pages)))}]"

    return entries(tomllib.loads((HERE / "nav.toml").read_text(encoding="utf-8"))["section"])


if __name__ == "__main__":
    main()
