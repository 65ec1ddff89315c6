"""The streaming bench's figures as text: a table for each scenario, and the targets."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from tests.bench.processes import Cores
from tests.bench.results import Results
from tests.bench.scenarios import Plan

# From here on a side's cores are taken to be full.
_FULL = 0.9
_BURST = (
    ("errors", "errors", 1.0),
    ("chunks_s", "chunks/s", 1.0),
    ("added_first_p50", "+first p50 ms", 1.0),
    ("added_first_p99", "+first p99 ms", 1.0),
    ("added_delay_p50", "+delay p50 us", 1.0),
    ("added_delay_p99", "+delay p99 us", 1.0),
    ("cpu_us", "CPU/chunk us", 1.0),
)
_BUSY = (
    ("server_busy", "server busy %", 100.0),
    ("load_busy", "load busy %", 100.0),
    ("others_busy", "others %", 100.0),
)
# What the kernel does for the network outside of any process stays below.
_DISTURBED = 0.2
_COLUMNS = {
    "idle": (
        ("opened", "open", 1.0),
        ("errors", "errors", 1.0),
        ("kb_each", "KB each", 1.0),
        ("open_s", "opening s", 1.0),
    ),
    "first-byte": (
        ("first_p50", "first p50 ms", 1.0),
        ("first_p99", "first p99 ms", 1.0),
        ("added_first_p50", "+first p50 ms", 1.0),
        ("added_first_p99", "+first p99 ms", 1.0),
        ("cpu_ms", "CPU/stream ms", 1.0),
    ),
    "paced": _BURST,
    "saturation": (
        ("errors", "errors", 1.0),
        ("chunks_s", "chunks/s", 1.0),
        ("cpu_us", "CPU/chunk us", 1.0),
    ),
    "plain": (
        ("errors", "errors", 1.0),
        ("requests_s", "requests/s", 1.0),
        ("cpu_ms", "CPU/request ms", 1.0),
    ),
    "early": _BURST,
    "late": _BURST,
}


@dataclass(frozen=True, slots=True)
class Row:
    """A target: our value beside its bound; None where something is missing."""

    what: str
    value: str
    target: str
    is_reached: bool | None


def to_text(results: Results, plan: Plan, cores: Cores, rounds: int) -> str:
    """All tables."""
    lines = [
        f"{processor()}; server on core {_listed(cores.server)}, client, upstream and database on "
        f"{_listed(cores.load)}; medians of {rounds} rounds",
        "+ is what the way through a server adds to the direct way in the same round.",
    ]
    if not cores.are_apart:
        lines.append("Only one core: the load takes time from the servers, so nothing here counts.")
    for scenario in results.scenarios():
        lines += ["", _title(scenario, plan), *_to_table(results, scenario)]
    if _is_disturbed(results):
        lines += ["", "Other programs took part of the cores (others %): take no figure from here."]
    rows = to_rows(results, plan)
    if rows:
        lines += ["", "Targets"]
        lines += [f"  {row.what:58}{row.value:>30}   {row.target:32}{verdict(row)}" for row in rows]
    return "\n".join(lines)


def to_markdown(results: Results, plan: Plan) -> str:
    """The rows as the table of backend/README.md."""
    lines = ["| what | measured | target | reached |", "|---|---|---|---|"]
    lines += [
        f"| {row.what} | {row.value} | {row.target} | {verdict(row)} |"
        for row in to_rows(results, plan)
    ]
    return "\n".join(lines)


def _title(scenario: str, plan: Plan) -> str:
    def burst(name: str) -> str:
        found = getattr(plan, name)
        start = f" started within {found.within_s:g} s" if found.within_s else ""
        return f"{found.streams} streams{start}, {found.deltas} deltas each {found.pace_ms} ms"

    return {
        "idle": f"{plan.idle} idle streams: the first delta, then one each 10 s",
        "first-byte": f"1 stream: time to the first delta, {plan.singles} of each in turn",
        "paced": burst("paced"),
        "saturation": f"saturation: {plan.saturating} streams, no pause, a write for each delta",
        "plain": f"plain JSON answers, {plan.asking} at once",
        "early": burst("early"),
        "late": burst("late"),
    }[scenario]


def _to_table(results: Results, scenario: str) -> list[str]:
    columns = (*_COLUMNS[scenario], *_BUSY)
    lines = ["  " + f"{'':12}" + "".join(f"{title:>15}" for _, title, _ in columns)]
    is_bound = False
    for target in results.targets(scenario):
        cells: list[str] = []
        for name, _, scale in columns:
            value = results.figure(scenario, target, name)
            cells.append("-" if value is None else show(value * scale))
        note = results.note(scenario, target)
        row = f"{target:12}" + "".join(f"{cell:>15}" for cell in cells)
        if all(cell == "-" for cell in cells):
            if not note:
                continue
            row = f"{target:12}   {note}"
        elif note:
            row += f"   {note}"
        if is_load_bound(results, scenario, target):
            row += "  *"
            is_bound = True
        lines.append("  " + row.rstrip())
    if is_bound:
        lines.append("  * bound by the load generator: the server could do more")
    return lines


def _is_disturbed(results: Results) -> bool:
    shares = [
        results.figure(scenario, target, "others_busy") or 0
        for scenario in results.scenarios()
        for target in results.targets(scenario)
    ]
    return max(shares, default=0) > _DISTURBED


def is_load_bound(results: Results, scenario: str, target: str) -> bool:
    """Whether the client and the upstream were full while the server was not."""
    if scenario == "first-byte":  # one after the other, so somebody always works
        return False
    load = results.figure(scenario, target, "load_busy")
    server = results.figure(scenario, target, "server_busy")
    return load is not None and load >= _FULL and (server or 0) < _FULL


def to_rows(results: Results, plan: Plan) -> list[Row]:
    """The targets that this run has figures for."""
    own, nginx, lite, direct = "sitebrook", "nginx", "litellm", "direct"
    figure = results.figure
    rows: list[Row] = []

    def add(what: str, place: tuple[str, str], unit: str, bounds: list[tuple[str, str, float]]):
        scenario, name = place
        value = figure(scenario, own, name)
        for sign, other, factor in bounds if value is not None else []:
            base = figure(scenario, other, name)
            shown = f"{show(value)} {unit}"
            if not base or base <= 0:
                why = "not finished" if results.note(scenario, other) else "no figure"
                rows.append(Row(what, shown, f"{other}: {why}", None))
                continue
            ratio = value / base
            mark = "*" if is_load_bound(results, scenario, other) else ""
            times = f"{shown}, {show(ratio, 3)} x {show(base)}{mark}"
            reached = ratio <= factor if sign == "<=" else ratio >= factor
            rows.append(Row(what, times, f"{sign} {factor:g} x {other}", reached))

    add(
        "added time to the first delta p50, 1 stream",
        ("first-byte", "added_first_p50"),
        "ms",
        [("<=", nginx, 7), ("<=", lite, 0.05)],
    )
    add(
        f"added delay of a chunk p50, {plan.paced.streams} streams",
        ("paced", "added_delay_p50"),
        "us",
        [("<=", nginx, 2)],
    )
    add(
        f"CPU of a chunk, {plan.paced.streams} streams",
        ("paced", "cpu_us"),
        "us",
        [("<=", nginx, 3), ("<=", lite, 0.125)],
    )
    add(
        "chunks/s at saturation, one core",
        ("saturation", "chunks_s"),
        "chunks/s",
        [(">=", nginx, 0.8), (">=", lite, 50)],
    )
    for scenario, burst, share in (("early", plan.early, 0.9), ("late", plan.late, 0.8)):
        what = f"{burst.streams} streams started within {burst.within_s:g} s"
        rows += _most(f"{what}: errors", figure(scenario, own, "errors"), 0, "errors")
        add(what, (scenario, "chunks_s"), "chunks/s", [(">=", direct, share)])
    rows += _most(
        f"memory of an open stream, {plan.idle} idle", figure("idle", own, "kb_each"), 40, "KB"
    )
    rows += _most(f"{plan.idle} idle streams: errors", figure("idle", own, "errors"), 0, "errors")
    add(
        f"plain requests/s, {plan.asking} at once",
        ("plain", "requests_s"),
        "requests/s",
        [(">=", nginx, 0.08), (">=", lite, 25)],
    )
    own_us, logged_us = (figure("paced", name, "cpu_us") for name in (own, "log-on"))
    if own_us is not None and logged_us is not None:
        what = f"CPU of a chunk that the log adds, {plan.paced.streams} streams"
        rows += _most(what, logged_us - own_us, 20, "us")
    rows += _most("the same: errors", figure("paced", "log-on", "errors"), 0, "errors")
    return rows


def _most(what: str, value: float | None, bound: float, unit: str) -> list[Row]:
    if value is None:
        return []
    return [Row(what, f"{show(value)} {unit}", f"<= {bound:g} {unit}", value <= bound)]


def verdict(row: Row) -> str:
    return {True: "yes", False: "NO", None: "-"}[row.is_reached]


def show(value: float, digits: int = 2) -> str:
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.{digits}f}"


def _listed(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return f"{next(names, platform.machine())}, Python {platform.python_version()}"
