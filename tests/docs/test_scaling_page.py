"""Manifests and alert rules: they parse, their commands exist, what they ask for is there."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import typer
import yaml

from job_processor.cli.app.main import app
from job_processor.ops.scaling import Scaling, scope_of_query
from tests.docs.markdown import ROOT, blocks, codes, table

FOLDER = ROOT / "examples" / "kubernetes"


def manifests() -> list[dict[str, Any]]:
    """Return all objects of the example."""
    return [
        each
        for file in sorted(FOLDER.glob("*.yaml"))
        for each in yaml.safe_load_all(file.read_text(encoding="utf-8"))
    ]


def one(kind: str, name: str) -> dict[str, Any]:
    """Return the object of a kind with a name."""
    (found,) = (
        each for each in manifests() if (each["kind"], each["metadata"]["name"]) == (kind, name)
    )
    return found


def container(name: str) -> dict[str, Any]:
    """Return the only container of a deployment."""
    (found,) = one("Deployment", name)["spec"]["template"]["spec"]["containers"]
    made: dict[str, Any] = found
    return made


def rules() -> list[dict[str, Any]]:
    """Return the alert rules."""
    text = (ROOT / "docs" / "prometheus-alerts.yaml").read_text(encoding="utf-8")
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("name", ["shop-worker", "shop-dashboard"])
def test_commands_are_taken_by_the_program(name: str) -> None:
    """The command line itself reads what a container runs, and refuses none of it."""
    program, *words = container(name)["args"]
    assert program == "job-processor"
    root = typer.main.get_command(app)
    with root.make_context("job-processor", list(words)) as context:
        named, command, rest = root.resolve_command(context, words)  # type: ignore[attr-defined]
        assert command.make_context(named, rest, parent=context).params


def test_the_objects_fit_together() -> None:
    """What scales, authenticates and serves names what is there; ports and keys, too."""
    scaled = one("ScaledObject", "shop-worker")["spec"]
    assert one("Deployment", scaled["scaleTargetRef"]["name"])["spec"].get("replicas") is None
    (trigger,) = scaled["triggers"]
    authentication = one("TriggerAuthentication", trigger["authenticationRef"]["name"])
    (secret,) = authentication["spec"]["secretTargetRef"]
    variables = {each["name"]: each for each in container("shop-dashboard")["env"]}
    reference = variables["JOB_PROCESSOR_WEB_SCRAPE_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert (secret["name"], secret["key"]) == (reference["name"], reference["key"])
    assert secret["parameter"] == "token"
    service = one("Service", urlsplit(trigger["metadata"]["url"]).hostname or "")["spec"]
    pod = one("Deployment", "shop-dashboard")["spec"]["template"]
    assert service["selector"] == pod["metadata"]["labels"]
    ports = {each["name"]: each["containerPort"] for each in container("shop-dashboard")["ports"]}
    assert service["ports"][0]["targetPort"] in ports


def test_what_keda_asks_for_is_told() -> None:
    """Its address is read by the dashboard, and where the value is there is one."""
    trigger = one("ScaledObject", "shop-worker")["spec"]["triggers"][0]["metadata"]
    address = urlsplit(trigger["url"])
    assert address.path == "/scaling"
    scope = scope_of_query(parse_qsl(address.query))
    assert (scope.concurrency, scope.most) == (10, 20)
    assert trigger["valueLocation"] in Scaling.__dataclass_fields__
    assert all(isinstance(value, str) for value in trigger.values())  # as KEDA takes them


def test_the_page_shows_the_object() -> None:
    """As it stands in the example, without its comments."""
    (shown,) = blocks("docs/scaling.md", "yaml")
    assert yaml.safe_load(shown.text) == one("ScaledObject", "shop-worker")


def expressions(expression: Any) -> Iterator[Any]:
    """Give an expression of PromQL and all that it is made of."""
    yield expression
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        below = getattr(expression, name, None)
        if below is not None:
            yield from expressions(below)
    for below in getattr(expression, "args", None) or ():
        yield from expressions(below)


def test_alert_rules_are_promql_about_our_metrics() -> None:
    """Each expression parses, and every metric in it is one that is told."""
    promql: Any = importlib.import_module("promql_parser")  # it has no types
    rows = table("docs/prometheus.md", ("metric", "labels", "what it is"))
    known = {name for row in rows for name in codes(row[0])}
    for rule in rules():
        parts = list(expressions(promql.parse(rule["expr"])))
        named = set(re.findall(r"job_processor_\w+", rule["expr"]))
        selected = {part.name for part in parts if hasattr(part, "matchers")}
        assert selected, rule["alert"]
        assert named <= known, rule["alert"]


def test_alert_rules_say_what_to_do() -> None:
    """Each has a name of its own, a severity, a summary and a description."""
    names = [rule["alert"] for rule in rules()]
    assert len(set(names)) == len(names) > 5
    for rule in rules():
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"].keys() == {"summary", "description"}
