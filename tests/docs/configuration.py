"""The tables of docs/configuration.md, made of signatures and docstrings by `make api`.

A table stands below a comment that names what it is of: `<!-- options of JobDef -->`.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from job_processor import CronDef, JobDef, JobProcessor, Limit, Rate, Retry
from tests.docs.markdown import ROOT

PAGE: Final = "docs/configuration.md"
SUBJECTS: Final[dict[str, Callable[..., Any]]] = {
    "JobProcessor": JobProcessor,
    "JobDef": JobDef,
    "CronDef": CronDef,
    "schedule_job": JobProcessor.schedule_job,
    "Retry": Retry,
    "Rate": Rate,
    "Limit": Limit,
}
"""What has options, in the order of the page."""
PAGES: Final = {
    "after": "dependencies.md",
    "ageing": "priorities.md",
    "anchor": "crons.md#intervals",
    "around": "defaults.md",
    "batch": "batches.md",
    "checkin_margin": "crons.md",
    "codec": "encryption.md",
    "concurrency": "workers.md",
    "crons": "crons.md",
    "db": "mongodb.md",
    "defaults": "defaults.md",
    "every": "crons.md#intervals",
    "exclusive": "concepts.md#exclusive-jobs",
    "executor": "timeouts.md",
    "expires_at": "priorities.md#expiry",
    "integrations": "events.md#custom-integrations",
    "jobs": "payloads.md",
    "keep_errored_days": "dead-letters.md",
    "labels": "labels.md",
    "lifespan": "resources.md",
    "limit": "limits.md",
    "logger": "logs.md",
    "max_runtime": "timeouts.md",
    "misfire": "crons.md",
    "priority": "priorities.md",
    "rate": "rates.md",
    "resumable": "progress.md",
    "retry": "retries.md",
    "scheduled_for": "scheduling.md",
    "service": "crons.md#owners",
    "session": "transactions.md",
    "shutdown_grace": "deployment.md#how-long-a-stop-takes",
    "tag": "workers.md",
    "unique_key": "unique-jobs.md",
    "worker_tags": "workers.md",
}
"""Where more stands about an option."""

_FIRST: Final = re.compile(r"(?P<names>\w+(?:, \w+)*): (?P<meaning>.*)")
_ALIASES: Final = {
    "Around": "Callable",
    "Backoff": "str",
    "Duration": "float | timedelta",
    "Errors": "tuple",
    "Executor": "str",
    "ExitHook": "Callable",
    "Given": "Mapping | Jobs | list",
    "Handler": "Callable",
    "Iterable[Integration]": "Iterable",
    "Iterable[str]": "Iterable",
    "Key": "str | Callable",
    "Labels": "Iterable | str",
    "Lifespan": "Callable",
    "Literal['worker']": "str",
    "Literal[True]": "True",
    "Mapping[str, CronDef]": "Mapping",
    "Misfire": "str",
    "OnConflict": "str",
    "OnFailure": "str",
    "OnFull": "str",
    "OnParentFailure": "str",
    "Parents": "Job | Group | id | list",
    "Payload": "Mapping",
    "When": "datetime | timedelta",
}
"""Types as a reader knows them."""
_ANY: Final = {"db": "str | AsyncDatabase", "logger": "Logger", "session": "session | connection"}
"""What is no more than `Any` to a type checker, since its package may not be there."""


def table_of(subject: str) -> str:
    """Return the table of the options of a subject, in Markdown."""
    lines = ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
    meanings = meanings_of(subject)
    for name, parameter in inspect.signature(SUBJECTS[subject]).parameters.items():
        if name in {"self", "_"}:
            continue
        more = f" → [more]({PAGES[name]})" if name in PAGES else ""
        cells = (f"`{name}`", _type(parameter), _default(parameter), meanings[name] + more)
        assert not any("|" in cell for cell in cells), f"{subject}: {name}"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def meanings_of(subject: str) -> dict[str, str]:
    """Return what the docstring says of each option; a cron has those of a job, too."""
    meanings: dict[str, str] = {}
    for names, meaning in _explained(inspect.getdoc(SUBJECTS[subject]) or ""):
        for name in names:
            meanings[name] = _capital(meaning)
    return meanings_of("JobDef") | meanings if subject == "CronDef" else meanings


def page_with_tables(text: str) -> str:
    """Return the page with each of its tables as it is to be."""
    for subject in SUBJECTS:
        marker = f"<!-- options of {subject} -->\n"
        before, found, after = text.partition(marker)
        assert found, f"{PAGE} lacks {marker}"
        rest = re.sub(r"\A(?:\|.*\n)*", "", after)
        text = f"{before}{marker}{table_of(subject)}{rest}"
    return text


def variables() -> set[str]:
    """Return the environment variables of the package: each has our name in front."""
    found: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        found |= set(re.findall(r"\bJOB_PROCESSOR_[A-Z_]+\b", path.read_text(encoding="utf-8")))
    return found


def _explained(text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the names and the meaning of each entry; a longer one goes on in indented lines."""
    entry: tuple[list[str], str] | None = None
    for line in text.splitlines():
        match = _FIRST.fullmatch(line)
        if entry and line.startswith(" "):
            entry = entry[0], f"{entry[1]} {line.strip()}"
            continue
        if entry:
            yield entry
        entry = (match["names"].split(", "), match["meaning"]) if match else None
    if entry:
        yield entry


def _capital(meaning: str) -> str:
    return meaning[:1].upper() + meaning[1:]


def _type(parameter: inspect.Parameter) -> str:
    parts = _ANY.get(parameter.name, str(parameter.annotation)).split(" | ")
    named = [_ALIASES.get(part, part) for part in parts if part != "None"]
    shown = dict.fromkeys(each for part in named for each in part.split(" | "))
    return " or ".join(f"`{each}`" for each in shown)


def _default(parameter: inspect.Parameter) -> str:
    default = parameter.default
    if default is parameter.empty:
        return "required"
    if isinstance(default, tuple) and default:
        return f"`({', '.join(each.__name__ for each in default)},)`"  # classes
    return f'`"{default}"`' if isinstance(default, str) else f"`{default!r}`"


def write() -> None:
    """Write the tables again."""
    path = ROOT / PAGE
    path.write_text(page_with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
