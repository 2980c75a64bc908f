"""The Node package job-processor on MongoDB."""

from __future__ import annotations

from benchmarks.systems.base import Variant
from benchmarks.systems.node import NodeSystem


class NodeJobProcessor(NodeSystem):
    """The package whose counterpart we are. It runs one job at a time.

    It looks for work every 50 ms when idle; by default, every 45 s.
    """

    key = "node-job-processor"
    title = "job-processor, MongoDB (Node)"
    rival = "mongodb"
    server = "mongodb"
    packages = ("job-processor", "mongodb")
    script = "job_processor.js"
    variants = (Variant("1 at a time", 1),)
    bulk = "100 calls at once"
    share = 0.01


SYSTEMS = (NodeJobProcessor(),)
