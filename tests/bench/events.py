"""Delay of events from their writer to its readers, and what the log costs the writer."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

from tests.bench.event_sides import Load
from tests.bench.processes import Meter, cpu_time_s, pin, split_cores
from tests.bench.report import Row, processor, show, verdict
from tests.fakes.redis_server import REDIS_SERVER, running_redis
from tests.servers import NotStarted, clean_environment, stop

SUMMARY = "event delivery to 1,000 readers, in one process and through Redis; cost of a delta"
_TO_MANY, _TO_EACH, _COST = "1 stream to 1,000 readers", "1,000 streams to 1 reader each", "cost"
_LOADS = {
    _TO_MANY: Load(1, 1000, 50, 8),
    _TO_EACH: Load(1000, 1, 250, 8),
    _COST: Load(50, 0, 20, 8),
}
_NEAR, _FAR = "in one process", "through Redis"
# Of what the kernel and its network do outside of any process there is less.
_DISTURBED = 0.2
Figures = dict[str, float]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    add = parser.add_argument
    add("--rounds", type=int, choices=range(1, 10), default=3, help="rounds (%(default)s)")
    add("--tiny", action="store_true", help="half a second of each, to see that it works")
    add("--markdown", action="store_true", help="print the table for backend/README.md too")


def run(options: argparse.Namespace) -> None:
    """Measures and prints the table."""
    if REDIS_SERVER is None:
        raise NotStarted("redis-server is not installed: apt install redis-server")
    cores = split_cores()
    pin(os.getpid(), cores.load)  # and what is started from here; readers are moved to theirs
    rounds = 1 if options.tiny else options.rounds
    found: dict[tuple[str, str], list[Figures]] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
        for name, load in _LOADS.items():
            sized = replace(load, seconds=0.5) if options.tiny else load
            found.setdefault((name, _NEAR), []).append(_measure_near(sized))
            found.setdefault((name, _FAR), []).append(_measure_far(sized))
    medians = {place: _to_medians(figures) for place, figures in found.items()}
    rows = _to_rows(medians)
    print(
        f"{processor()}; readers on core {min(cores.server)}, writer and Redis on "
        f"{', '.join(map(str, sorted(cores.load)))}; medians of {rounds} rounds"
    )
    for row in rows:
        print(f"  {row.what:52}{row.value:>36}   {row.target:28}{verdict(row)}")
    if max(figures["others"] for figures in medians.values()) > _DISTURBED:
        print("Other programs took part of the cores: take no figure from here.")
    if options.markdown:
        print("\n| what | measured | target | reached |\n|---|---|---|---|")
        for row in rows:
            print(f"| {row.what} | {row.value} | {row.target} | {verdict(row)} |")


class _Side:
    """A process of the bench."""

    def __init__(self, role: str, load: Load, *url: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.event_sides", role, load.to_json(), *url],
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def wait_until_ready(self) -> None:
        """Returns when it waits to be told to go on."""
        line = self._read()
        if line.strip() != "ready":
            raise NotStarted(f"a side of the events bench ended: {line}")

    def go_on(self) -> None:
        """Tells it so."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def read_figures(self) -> Figures:
        """What it measured, when it is done."""
        return json.loads(self._read())

    def stop(self) -> None:
        """Ends it, if it has not ended."""
        stop(self._process)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def _side(role: str, load: Load, *url: str) -> Iterator[_Side]:
    side = _Side(role, load, *url)
    try:
        yield side
    finally:
        side.stop()


def _measure_near(load: Load) -> Figures:
    """Writer and readers in one process."""
    with _side("both", load) as both:
        pin(both.pid, split_cores().server)
        both.wait_until_ready()
        both.go_on()
        both.wait_until_ready()
        meter = Meter(both.pid, [])
        both.go_on()
        return {**both.read_figures(), "others": _others(meter)}


def _measure_far(load: Load) -> Figures:
    """The writer in one process, all readers in another one."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(running_redis())
        writer = stack.enter_context(_side("write", load, server.url))
        writer.wait_until_ready()
        reader = stack.enter_context(_side("read", load, server.url))
        pin(reader.pid, split_cores().server)
        reader.wait_until_ready()
        writer.go_on()
        writer.wait_until_ready()
        meter = Meter(reader.pid, [writer.pid, server.pid])
        redis_s = cpu_time_s([server.pid])
        writer.go_on()
        reader.go_on()
        figures = {**writer.read_figures(), **reader.read_figures()}
        figures["redis_us"] = (cpu_time_s([server.pid]) - redis_s) / load.deltas * 1e6
        return {**figures, "others": _others(meter)}


def _others(meter: Meter) -> float:
    used = meter.read()
    return used.others_s / used.wall_s / (os.cpu_count() or 1)


def _to_medians(rounds: list[Figures]) -> Figures:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def _to_rows(medians: dict[tuple[str, str], Figures]) -> list[Row]:
    rows: list[Row] = []
    for (name, place), figures in medians.items():
        if name == _COST:
            load = _LOADS[_COST]
            what = f"CPU of a delta, {load.streams} streams, {place}"
            extra = f", Redis {show(figures['redis_us'])} us" if place == _FAR else ""
            value = f"{show(figures['cpu_us'])} us{extra}"
            rows.append(Row(what, value, "at most 20 us", figures["cpu_us"] <= 20))
            continue
        value = f"p50 {show(figures['p50_ms'])} ms, p99 {show(figures['p99_ms'])} ms"
        if figures["missing"]:
            value += f", {figures['missing']:.0f} missing"
        reached = figures["p50_ms"] <= 10 and figures["p99_ms"] <= 80 and not figures["missing"]
        rows.append(Row(f"{name}, {place}", value, "p50 at most 10 ms, p99 80 ms", reached))
    return rows
