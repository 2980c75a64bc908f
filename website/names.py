"""What there is to say of a public name in plain Markdown: how it is called, and its docstring."""

from __future__ import annotations

from functools import cache
from typing import Any

import griffe

from website.arguments import with_lists
from website.sources import ROOT


def described(name: str) -> str:
    """Return the signature and the docstring of a name, and of its public members."""
    found = _package()[name.removeprefix("job_processor.")]
    found = found.final_target if found.is_alias else found
    parts = [f"### `{name}`", *_of(found, name.rpartition(".")[2])]
    if found.is_class:
        for member in _members(found):
            parts += [f"#### `{name}.{member.name}`", *_of(member, member.name)]
    return "\n\n".join(parts)


def _of(thing: Any, name: str) -> list[str]:
    signature = thing.signature(name=name) if thing.is_function or thing.is_class else None
    called = [f"```python\n{signature}\n```"] if signature else []
    return [*called, with_lists(thing.docstring.value)] if thing.docstring else called


def _members(kind: Any) -> list[Any]:
    """Return what a class has that is public and says something of itself."""
    own = [each for each in kind.members.values() if not each.is_alias]
    return [each for each in own if not each.name.startswith("_") and each.docstring]


@cache
def _package() -> Any:
    """Return the package as it is read, not run."""
    return griffe.load("job_processor", search_paths=[str(ROOT / "src")])
