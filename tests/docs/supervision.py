"""What pages show supervisors: files of Docker, Compose, Kubernetes, systemd; what these run."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

import yaml

from tests.docs.markdown import Block, blocks

_INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "USER", "ENV", "CMD"}
"""Those of a Dockerfile that the pages use."""


def documents(block: Block) -> list[Any]:
    """Return what a block of YAML says."""
    return list(yaml.safe_load_all(block.text))


def unit(block: Block) -> configparser.ConfigParser:
    """Return what a unit file says; a key or section that comes twice is an error."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as systemd, which knows case
    parser.read_string(block.text)
    return parser


def instructions(block: Block) -> dict[str, list[str]]:
    """Return the arguments of each instruction of a Dockerfile."""
    found: dict[str, list[str]] = {}
    for line in block.text.splitlines():
        if line and not line.startswith("#"):
            name, _, rest = line.partition(" ")
            assert name in _INSTRUCTIONS, f"{block.where}: {line}"
            found.setdefault(name, []).append(rest)
    return found


def commands(page: str) -> list[tuple[str, list[str]]]:
    """Return what the files of a page make run, each with where it stands, after the program."""
    return [
        (block.where, words[1:])
        for block in blocks(page)
        for words in _run_by(block)
        if words[0].rpartition("/")[2] == "job-processor"
    ]


def _run_by(block: Block) -> Iterator[list[str]]:
    if block.language == "yaml":
        yield from (words for each in documents(block) for words in _lists(each))
    elif block.language == "dockerfile":
        yield from map(json.loads, instructions(block).get("CMD", []))
    elif block.language == "ini" and "ExecStart=" in block.text:
        yield shlex.split(unit(block)["Service"]["ExecStart"])


def _lists(value: Any) -> Iterator[list[str]]:
    """Return each list of words in a document, however deep."""
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _lists(each)


def seconds(text: str | int) -> int:
    """Return a time as supervisors write it: `60`, `60s`."""
    match = re.fullmatch(r"(\d+)s?", str(text))
    assert match, text
    return int(match[1])
