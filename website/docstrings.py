"""What the generator of the reference does with each docstring; it is named in zensical.toml."""

from __future__ import annotations

from typing import Any

from griffe import Extension, Object

from website.arguments import with_lists


class Arguments(Extension):  # type: ignore[misc]  # griffe is only where the site is built
    """Turns lines of arguments, and members of enumerations, into lists of Markdown."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Look at the docstring of whatever has one."""
        if obj.docstring is not None:
            obj.docstring.value = with_lists(obj.docstring.value) + _members(obj)


def _members(obj: Object) -> str:
    """Return the members of an enumeration as a list; they have no docstrings of their own."""
    if not obj.is_class or "StrEnum" not in map(str, obj.bases):
        return ""
    members = [each for each in obj.members.values() if each.is_attribute]
    return "\n\n" + "\n".join(f"- `{each.name}`: `{each.value}`" for each in members)
