"""Agenda on MongoDB (Node)."""

from __future__ import annotations

from benchmarks.systems.base import concurrencies
from benchmarks.systems.node import NodeSystem


class AgendaOnMongo(NodeSystem):
    """Agenda with its change stream, so that an idle worker is told of a job."""

    key = "agenda"
    title = "Agenda, MongoDB (Node)"
    rival = "mongodb"
    server = "mongodb"
    packages = ("agenda", "@agendajs/mongo-backend", "mongodb")
    script = "agenda.js"
    variants = concurrencies(100, 10, 500)
    bulk = "100 calls at once"
    share = 0.02


SYSTEMS = (AgendaOnMongo(),)
