"""What the generator of the reference does with each docstring; it is named in zensical.toml."""

from __future__ import annotations

from typing import Any

from griffe import Extension, Object

from website.arguments import with_lists


class Arguments(Extension):  # type: ignore[misc]  # griffe is only where the site is built
    """Turns lines of arguments into lists of Markdown."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Look at the docstring of whatever has one."""
        if obj.docstring is not None:
            obj.docstring.value = with_lists(obj.docstring.value)
