"""Time to first byte, delay and processor time of each delta, beside nginx in the same run."""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass, field

import uvloop
from tests.bench.client import StreamFailed, StreamFigures, read_streams
from tests.bench.processes import cpu_time_s
from tests.bench.targets import Target, Workload, started_targets

SUMMARY = "time to first byte and CPU per delta: the mock, relayed streams, nginx as the baseline"
_TIMEOUT_S = 120
_MOST_STREAMS = 2000
_MOST_DELTAS = 5000
_MOST_ROUNDS = 50


@dataclass(slots=True)
class Samples:
    """One target's figures; a value for each round, in milliseconds and microseconds."""

    single_p50_ms: list[float] = field(default_factory=list)
    single_p95_ms: list[float] = field(default_factory=list)
    crowd_p50_ms: list[float] = field(default_factory=list)
    crowd_p95_ms: list[float] = field(default_factory=list)
    delay_p50_us: list[float] = field(default_factory=list)
    request_cpu_ms: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench, each with its bounds."""
    add = parser.add_argument
    add("--streams", type=_within(1, _MOST_STREAMS), default=50, help="streams at once (50)")
    add("--deltas", type=_within(10, _MOST_DELTAS), default=150, help="deltas of each (150)")
    add("--pace-ms", type=_within(0, 1000), default=20, help="pause between deltas (20); 0: none")
    add("--rounds", type=_within(1, _MOST_ROUNDS), default=5, help="interleaved rounds (5)")
    add("--singles", type=_within(1, 500), default=40, help="lone streams in each round (40)")


def _within(least: int, most: int):
    def to_number(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be {least} to {most}")
        return number

    return to_number


def run(options: argparse.Namespace) -> None:
    """Measures and prints the table."""
    load = Workload(
        options.streams, options.deltas, options.pace_ms, options.rounds, options.singles
    )
    with started_targets(load) as targets:
        samples = uvloop.run(_measure(targets, load))
    print(_to_table(samples, load))


async def _measure(targets: list[Target], load: Workload) -> dict[str, Samples]:
    samples = {target.name: Samples() for target in targets}
    for target in targets:  # imports, caches and connections are not what is measured
        await _read(target, load, Samples(), singles=5)
    for number in range(load.rounds):
        print(f"round {number + 1} of {load.rounds}", file=sys.stderr)
        for target in targets:
            await _read(target, load, samples[target.name], singles=load.singles)
    return samples


async def _read(target: Target, load: Workload, samples: Samples, *, singles: int) -> None:
    lone: list[float] = []
    began_s = _cpu_time_s(target)
    for _ in range(singles):
        (figures,) = await read_streams(target.short, 1, timeout_s=_TIMEOUT_S)
        lone.append(figures.first_byte_s)
    between_s = _cpu_time_s(target)
    crowd = await read_streams(target.long, load.streams, timeout_s=_TIMEOUT_S)
    used_s = _cpu_time_s(target) - between_s
    deltas = _count_deltas(target, crowd)
    _note(samples.single_p50_ms, samples.single_p95_ms, lone)
    _note(samples.crowd_p50_ms, samples.crowd_p95_ms, [one.first_byte_s for one in crowd])
    delays = [delay for one in crowd for delay in one.delays_s]
    if delays:
        samples.delay_p50_us.append(statistics.median(delays) * 1e6)
    if target.pid:
        samples.request_cpu_ms.append((between_s - began_s) / singles * 1e3)
        samples.cpu_us.append(used_s / deltas * 1e6)


def _cpu_time_s(target: Target) -> float:
    return cpu_time_s(target.pid) if target.pid else 0.0


def _count_deltas(target: Target, crowd: list[StreamFigures]) -> int:
    found = {one.deltas for one in crowd}
    if found != {target.deltas}:
        raise StreamFailed(f"{target.name}: {target.deltas} deltas were sent, {found} came.")
    return target.deltas * len(crowd)


def _note(medians: list[float], high: list[float], times_s: list[float]) -> None:
    times = sorted(time_s * 1000 for time_s in times_s)
    medians.append(statistics.median(times))
    high.append(times[min(len(times) - 1, int(len(times) * 0.95))])


_COLUMNS = (
    ("single_p50_ms", "p50 ms"),
    ("single_p95_ms", "p95 ms"),
    ("crowd_p50_ms", "p50 ms"),
    ("crowd_p95_ms", "p95 ms"),
    ("delay_p50_us", "p50 us"),
    ("request_cpu_ms", "ms"),
    ("cpu_us", "us"),
)
# What the way through a server adds is judged, so the direct way is subtracted from these.
_ADDED = ("single_p50_ms", "crowd_p50_ms", "delay_p50_us")
_COMPARED = (*_ADDED, "request_cpu_ms", "cpu_us")


def _to_table(samples: dict[str, Samples], load: Workload) -> str:
    pace = f"one each {load.pace_ms:g} ms" if load.pace_ms else "without pause"
    lines = [
        f"{load.streams} streams of {load.deltas} deltas, {pace}; medians of {load.rounds} rounds",
        "",
        f"{'':26}{'first byte, 1 stream':>20}{'first byte, all':>20}"
        f"{'delay of':>10}{'CPU for':>10}{'CPU for':>10}",
        f"{'':66}{'a delta':>10}{'a request':>10}{'a delta':>10}",
        f"{'':26}" + "".join(f"{title:>10}" for _, title in _COLUMNS),
    ]
    for name, found in samples.items():
        cells = (_median(found, column) for column, _ in _COLUMNS)
        lines.append(f"{name:26}" + "".join(f"{_to_text(cell):>10}" for cell in cells))
    if "nginx" in samples:
        lines += ["", "What each adds to the direct way, as a multiple of what nginx adds:"]
        lines += [_to_ratios(name, samples) for name in samples if name not in {"direct", "nginx"}]
    else:
        lines += ["", "nginx is not installed, so there are no ratios: apt install nginx"]
    return "\n".join(lines)


def _to_ratios(name: str, samples: dict[str, Samples]) -> str:
    cells: list[str] = []
    for column, _ in _COLUMNS:
        is_added = column in _ADDED
        base = _median(samples["direct"], column) if is_added else 0.0
        own, nginx = _median(samples[name], column), _median(samples["nginx"], column)
        shown = None
        if column in _COMPARED and None not in {own, nginx, base} and nginx > base:
            shown = max(0.0, own - base) / (nginx - base)
        cells.append("" if shown is None else f"{shown:.1f} x")
    return f"{name:26}" + "".join(f"{cell:>10}" for cell in cells).rstrip()


def _median(samples: Samples, column: str) -> float | None:
    values = getattr(samples, column)
    return statistics.median(values) if values else None


def _to_text(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}" if value < 10 else f"{value:.0f}"
