"""The move from the Node package to ours: what is there, what stands in the way, what changes.

Every step may be repeated, and nothing is changed before nothing stands in the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from job_processor.as_json import cron_json, to_json, worker_json
from job_processor.errors import InvalidArgumentError, MigrationError
from job_processor.models import Cron, Registrations, WorkerInfo, cron_id
from job_processor.node.rules import claims_everything, describe_untagged
from job_processor.schedule import next_occurrence
from job_processor.settings import NODE_TIMEZONE
from job_processor.store import Store
from job_processor.store.node import NodeSide, Survey
from job_processor.version import version


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The contents of a database of the Node package, and what a move changes in it."""

    address: str
    """The address of the database, without credentials."""
    survey: Survey
    problems: tuple[str, ...]
    """Problems to solve before the move; while there are any, nothing is changed."""
    warnings: tuple[str, ...]
    changes: tuple[str, ...]
    """The changes that `apply` would make or, if `applied` is True, has made."""
    left: tuple[str, ...]
    """Parts that stay as they are while a worker of the Node package runs."""
    applied: bool = False

    @property
    def can_be_undone(self) -> bool:
        """True while no job has a field that is unknown to the Node package."""
        return not self.survey.own_fields

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        survey = self.survey
        counts: dict[tuple[str, str], dict[str, int]] = {}
        for each in survey.jobs:
            counts.setdefault((each.name, each.type), {})[each.status.value] = each.count
        return {
            "database": self.address,
            "versions": {"mongodb": survey.server, "job_processor": version()},
            "validator": survey.validator,
            "workers": [_worker_json(each, survey) for each in survey.registrations.workers],
            "jobs": [
                {"name": name, "type": type, "counts": found}
                for (name, type), found in counts.items()
            ],
            "crons": [{**cron_json(cron), "made_by": made_by(cron)} for cron in survey.crons],
            "indexes": [
                {
                    "collection": each.collection,
                    "name": each.name,
                    "state": each.state,
                    "of_node": each.of_node,
                }
                for each in survey.indexes
            ],
            "killed_without_end": survey.killed_without_end,
            "own_fields": list(survey.own_fields),
            "problems": list(self.problems),
            "warnings": list(self.warnings),
            "changes": list(self.changes),
            "left": list(self.left),
            "applied": self.applied,
            "can_be_undone": self.can_be_undone,
        }


async def move(store: Store, *, apply: bool, undo: bool) -> MigrationReport:
    """Report what is there and would change; `apply` changes it, `undo` takes it back."""
    if apply and undo:
        raise InvalidArgumentError("undo", undo, "allowed is one of apply and undo")
    do = migrate if apply else take_back if undo else look
    return await do(store)


async def look(store: Store) -> MigrationReport:
    """Report what is there and what would change, without changing anything."""
    return _report(store.address, await _side(store).survey())


async def migrate(store: Store) -> MigrationReport:
    """Make the changes that a report tells of; return it, with what is there now.

    Raises MigrationError when something stands in the way, and nothing is changed then.
    """
    report = await look(store)
    if report.problems:
        raise MigrationError("; ".join(report.problems))
    node = _side(store)
    await store.setup()
    await node.end_killed()
    if not living_node_workers(report.survey.registrations):
        await node.take_validator()
        await node.take_crons()
        await node.look()
    return replace(report, survey=await node.survey(), applied=True)


async def take_back(store: Store) -> MigrationReport:
    """Put the Node package's validator back.

    Crons stay: a start of Node finds them by their names. Raises MigrationError when a job has a
    field that the validator would refuse, or when there is nothing to put back.
    """
    node = _side(store)
    survey = await node.survey()
    if survey.own_fields:
        raise MigrationError(
            f"jobs have fields that the Node package does not know: {', '.join(survey.own_fields)};"
            " it would refuse every change of them, so the move cannot be undone any more"
        )
    if not await node.give_validator_back():
        raise MigrationError(
            "there is nothing to undo: no validator of the Node package was kept; a start of Node "
            "puts it there as well"
        )
    await node.look()
    return _report(store.address, await node.survey())


def problems_of(survey: Survey) -> list[str]:
    """Return what must not be while both packages work on one database; empty: all is well."""
    problems = [
        describe_untagged(worker)
        for worker in living_node_workers(survey.registrations)
        if claims_everything(worker)
    ]
    problems += [
        f"the index {index.name!r} of {index.collection} differs from what is needed; drop it, and "
        "it is made as it should be"
        for index in survey.indexes
        if index.state == "differs" and index.critical
    ]
    return problems


def living_node_workers(registrations: Registrations) -> list[WorkerInfo]:
    """Return the workers of the Node package that are alive by its own window of 300 s."""
    return [
        worker
        for worker in registrations.workers
        if worker.timeout_s is None and not worker.is_dead(registrations.now)
    ]


def made_by(cron: Cron) -> str:
    """Return which package made a cron: `node` or `python`."""
    return "python" if cron.id == cron_id(cron.name) else "node"


def _side(store: Store) -> NodeSide:
    node = store.node_side()
    if node is None:
        allowed = "allowed is MongoDB, the only database of the Node package"
        raise InvalidArgumentError("db", store.address, allowed)
    return node


def _report(address: str, survey: Survey) -> MigrationReport:
    return MigrationReport(
        address=address,
        survey=survey,
        problems=tuple(problems_of(survey)),
        warnings=tuple(_warnings(survey)),
        changes=tuple(_changes(survey)),
        left=tuple(_left(survey)),
    )


def _warnings(survey: Survey) -> Iterator[str]:
    if survey.validator == "foreign":
        yield "the jobs have a validator of another program, which is left alone"
    for cron in survey.crons:
        try:
            next_occurrence(cron.cron_string, NODE_TIMEZONE, survey.registrations.now)
        except InvalidArgumentError as error:
            yield f"cron {cron.name!r}: {error}"
        else:
            if made_by(cron) == "node":
                yield (
                    f"cron {cron.name!r}: Node reads {cron.cron_string!r} in {NODE_TIMEZONE}; "
                    f"define it with timezone={NODE_TIMEZONE!r}"
                )
    theirs = [each.name for each in survey.indexes if each.of_node and each.state == "there"]
    if theirs and not living_node_workers(survey.registrations):
        yield (
            f"the indexes {', '.join(theirs)} are of use to the Node package alone, and each write "
            "pays for them; drop them once no Node process starts any more"
        )


def _changes(survey: Survey) -> Iterator[str]:
    missing = [index.name for index in survey.indexes if index.state == "missing"]
    if missing:
        yield f"make the indexes {', '.join(missing)}"
    if survey.validator in {"none", "older"}:
        yield "put a validator on the jobs that is open to unknown fields"
    if survey.killed_without_end:
        yield f"give an end to {survey.killed_without_end} killed jobs, so that they leave"
    if living_node_workers(survey.registrations):
        return
    crons = [cron.name for cron in survey.crons if made_by(cron) == "node"]
    if crons:
        yield f"take over the crons {', '.join(map(repr, crons))}, at the same times"
    if survey.validator == "node":
        yield "replace the validator of Node with that of this package; --undo restores it"


def _left(survey: Survey) -> Iterator[str]:
    living = living_node_workers(survey.registrations)
    if not living:
        return
    crons = [cron.name for cron in survey.crons if made_by(cron) == "node"]
    if survey.validator == "node":
        yield "the validator of the Node package: fields beyond its own are refused"
    if crons:
        yield f"the crons {', '.join(map(repr, crons))}"
    yield f"when the last of {len(living)} living Node workers has stopped, do this again"


def _worker_json(worker: WorkerInfo, survey: Survey) -> dict[str, Any]:
    return {
        **worker_json(worker),
        "kind": "node" if worker.timeout_s is None else "python",
        "names": list(worker.names),
        "alive": not worker.is_dead(survey.registrations.now),
        "lastSeen": to_json(worker.last_seen),
    }
