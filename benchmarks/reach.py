"""The bars that we set ourselves, and whether they were held in the last run of each scenario."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.results import Result
from benchmarks.tables import NOTHING, Cells

Results = Mapping[str, Result]
Value = float | None


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar, and the figure that it is compared with."""

    text: str
    value: Callable[[Results], Value]
    limit: float
    at_least: bool = False
    unit: str = ""
    note: Callable[[Results], str] = lambda _: ""
    """What has to be said beside the figure."""

    def line(self, results: Results) -> list[str]:
        """Return the bar, what was measured, and whether it was held."""
        value = self.value(results)
        if value is None:
            return [self.text, NOTHING, NOTHING]
        held = value >= self.limit if self.at_least else value <= self.limit
        measured = f"{value:,.3g}{self.unit}{self.note(results)}"
        return [self.text, measured, "yes" if held else "no"]


def table(results: Results, wanted: Callable[[Bar], bool] = lambda _: True) -> Cells:
    """Return these bars."""
    lines = [bar.line(results) for bar in BARS if wanted(bar)]
    return [["goal", "measured", "reached"], *lines]


def of_sqlite(bar: Bar) -> bool:
    """Tell of a bar whether it is none of MongoDB's, which want a real one."""
    return not bar.text.startswith("MongoDB")


def figure(scenario: str, system: str, column: str) -> Callable[[Results], Value]:
    """Return what looks a median up."""

    def look_up(results: Results) -> Value:
        result = results.get(scenario)
        return result.median(system, column) if result else None

    return look_up


def ratio(scenario: str, system: str, other: str, column: str) -> Callable[[Results], Value]:
    """Return what divides one system's median by another's."""

    def divide(results: Results) -> Value:
        above = figure(scenario, system, column)(results)
        below = figure(scenario, other, column)(results)
        return above / below if above is not None and below else None

    return divide


def _of_fastest_peer(results: Results) -> Value:
    result = results.get("drain")
    ours = result.median("sqlite", "settled_rate") if result else None
    if result is None or ours is None:
        return None
    peers = [row for row in result.rows if not row.key.startswith("raw-")]
    rates = [row.median("rate") for row in peers if row.key not in ("sqlite", "mongodb")]
    fastest = max((rate for rate in rates if rate is not None), default=None)
    return ours / fastest if fastest else None


def _largest(scenario: str, system: str, *columns: str) -> Callable[[Results], Value]:
    def look_up(results: Results) -> Value:
        values = [figure(scenario, system, column)(results) for column in columns]
        known = [value for value in values if value is not None]
        return max(known) if known else None

    return look_up


def _processes(system: str, task: str, number: int) -> Callable[[Results], Value]:
    """Return the rate of several processes in times that of one."""

    def divide(results: Results) -> Value:
        one = figure("processes", system, f"{task}_1")(results)
        many = figure("processes", system, f"{task}_{number}")(results)
        return many / one if many is not None and one else None

    return divide


_SHAPES = ("waiting", "later", "tag", "finished")
_CLAIMS = [f"{shape}_{limit}" for shape in _SHAPES for limit in (1, 10)]


def _backlog_note(system: str) -> Callable[[Results], str]:
    """Return what says with how many more jobs it was, where they are not the million."""

    def note(results: Results) -> str:
        more = figure("backlog", system, "more")(results)
        return f" ({more:,.0f} more)" if more and more < 1_000_000 else ""

    return note


def _for_each_store() -> list[Bar]:
    bars = []
    for system, store, idle in (("sqlite", "SQLite", 1.5), ("mongodb", "MongoDB", 3.0)):
        raw = "raw-sqlite-hundred" if system == "sqlite" else "raw-mongodb"
        asked = "statements" if system == "sqlite" else "commands"
        bars += [
            Bar(
                f"{store}: at most 0.1 calls of the database for a job under load",
                figure("roundtrips", system, "calls"),
                0.1,
            ),
            Bar(
                f"{store}: single enqueue at least 30% of the bare insert",
                ratio("enqueue", system, raw, "single"),
                0.3,
                at_least=True,
            ),
            Bar(
                f"{store}: bulk enqueue at least 50% of the bare bulk insert",
                ratio("enqueue", system, raw, "bulk"),
                0.5,
                at_least=True,
            ),
            Bar(
                f"{store}: pickup p50 at most 5 ms", figure("pickup", system, "p50"), 5, unit=" ms"
            ),
            Bar(
                f"{store}: pickup p95 at most 15 ms",
                figure("pickup", system, "p95"),
                15,
                unit=" ms",
            ),
            Bar(
                f"{store}: pickup in the same process p50 at most 1 ms",
                figure("pickup", system, "same_p50"),
                1,
                unit=" ms",
            ),
            Bar(
                f"{store}: a claim with 1,000,000 more jobs at most 1.2 × "
                "(the slowest that finds jobs)",
                _largest("backlog", system, *_CLAIMS),
                1.2,
                unit=" ×",
                note=_backlog_note(system),
            ),
            Bar(
                f"{store}: an idle worker sends at most {idle:g} {asked} a second",
                figure("idle", system, asked),
                idle,
            ),
            Bar(
                f"{store}: an idle worker takes under 0.5% of a core",
                figure("idle", system, "cpu"),
                0.5,
                unit="%",
            ),
        ]
    return bars


def _for_processes() -> list[Bar]:
    bars = []
    for system, store, numbers in (("sqlite", "SQLite", (2,)), ("mongodb", "MongoDB", (2, 4))):
        for number in numbers:
            bars += [
                Bar(
                    f"{store}: {number} processes no slower in total than one, no-op jobs",
                    _processes(system, "noop", number),
                    1.0,
                    at_least=True,
                    unit=" ×",
                ),
                Bar(
                    f"{store}: {number} processes near linear with 10 ms jobs (at least 90%)",
                    _processes(system, "work", number),
                    0.9 * number,
                    at_least=True,
                    unit=" ×",
                ),
            ]
    return bars


def _drain(text: str, system: str, other: str, limit: float) -> Bar:
    """Return a bar of drains: ours until all is settled, the other's to its last handler call."""

    def divide(results: Results) -> Value:
        ours = figure("drain", system, "settled_rate")(results)
        its = figure("drain", other, "rate")(results)
        return ours / its if ours is not None and its else None

    return Bar(text, divide, limit, at_least=True, unit=" ×")


BARS: list[Bar] = [
    Bar("SQLite: drain faster than every peer", _of_fastest_peer, 1, at_least=True, unit=" ×"),
    _drain("SQLite: drain at least 4 × Huey on SQLite", "sqlite", "huey-sqlite", 4),
    _drain("SQLite: drain at least 25 × Procrastinate", "sqlite", "procrastinate", 25),
    _drain("SQLite: drain at least 20% of bare SQL", "sqlite", "raw-sqlite-hundred", 0.2),
    _drain("MongoDB: drain at least 30 × the Node package", "mongodb", "node-job-processor", 30),
    _drain("MongoDB: drain at least 5 × Agenda", "mongodb", "agenda", 5),
    _drain("MongoDB: drain at least half of bare pymongo", "mongodb", "raw-mongodb", 0.5),
    *_for_each_store(),
    Bar(
        "SQLite: at most 0.1 statements for a job under load, one counted for each row",
        figure("roundtrips", "sqlite", "statements"),
        0.1,
    ),
    *_for_processes(),
    Bar(
        "SQLite: an idle worker takes at most 45 MB",
        figure("memory", "sqlite", "idle"),
        45,
        unit=" MB",
    ),
    Bar("SQLite: pymongo is not imported", figure("memory", "sqlite", "pymongo"), 0),
    Bar("import at most 100 ms", figure("startup", "sqlite", "import"), 100, unit=" ms"),
    Bar("--help at most 200 ms", figure("startup", "sqlite", "help"), 200, unit=" ms"),
]
