"""Labels: what a job is given to be found by, such as `tenant:42`."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

from job_processor.errors import InvalidArgumentError, Unshown
from job_processor.settings import LABEL_LENGTH, LABELS, check_text

Labels: TypeAlias = Sequence[str] | AbstractSet[str] | None
"""Labels as they are given; a text is none, though it is a sequence of texts."""

_LIST = 'a list such as ["tenant:42", "nightly"]'


def as_labels(given: object, argument: str = "labels") -> tuple[str, ...]:
    """Return labels without doubles, in order; raises InvalidArgumentError."""
    if given is None:
        return ()
    if isinstance(given, str):
        raise InvalidArgumentError(argument, given, f"allowed is {_LIST}: write [{given!r}]")
    if not isinstance(given, list | tuple | set | frozenset):
        shown = Unshown(given) if hasattr(given, "__iter__") else given
        raise InvalidArgumentError(argument, shown, f"allowed is {_LIST}")
    in_order = sorted(given, key=str) if isinstance(given, set | frozenset) else given
    for label in in_order:
        check_label(label, argument)
    return _few(tuple(dict.fromkeys(in_order)), argument)


def check_label(label: object, argument: str = "label") -> None:
    """Raise InvalidArgumentError unless this can be a label."""
    allowed = f"allowed is a str of 1 to {LABEL_LENGTH} characters"
    if not isinstance(label, str) or not 0 < len(label) <= LABEL_LENGTH:
        raise InvalidArgumentError(argument, label, f"{allowed}, such as 'tenant:42'")
    if label != label.strip() or any(_is_control(each) for each in label):
        told = f"{allowed}, without blanks at its ends and without control characters"
        raise InvalidArgumentError(argument, label, told)
    check_text(argument, label)


def joined(defined: tuple[str, ...], given: object) -> tuple[str, ...]:
    """Return the labels of a definition with those of one job; raises InvalidArgumentError."""
    if given is None:
        return defined
    return _few(tuple(dict.fromkeys((*defined, *as_labels(given)))), "labels")


def wanted_labels(label: object, labels: object) -> tuple[str, ...]:
    """Return the labels that a selection is of, all of which a job has to have."""
    found = () if labels is None else as_labels(labels)
    if label is None:
        return found
    check_label(label)
    return joined(found, [label])


def _few(labels: tuple[str, ...], argument: str) -> tuple[str, ...]:
    if len(labels) > LABELS:
        allowed = f"a job has at most {LABELS} labels, those of its definition included"
        raise InvalidArgumentError(argument, len(labels), allowed)
    return labels


def _is_control(character: str) -> bool:
    return character < " " or "\x7f" <= character < "\xa0"
