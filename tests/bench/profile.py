"""Where the server's time goes: py-spy beside the load of 50 paced streams."""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop
from tests.bench.client import Failed, open_streams
from tests.bench.processes import Meter, Used, pin, split_cores
from tests.bench.targets import Target, prepared
from tests.servers import NotStarted

SUMMARY = "a py-spy profile of the server under 50 streams, or the load alone for another profiler"
_ENDLESS = 1_000_000_000
_OPEN_S = 10
_IDLE = "concurrent/futures/thread.py"  # threads without work, which py-spy takes for busy
_START_S = 60  # py-spy is fetched the first time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    add = parser.add_argument
    add("--seconds", type=int, default=15, choices=range(1, 601), metavar="1..600")
    add("--streams", type=int, default=50, choices=range(1, 2001), metavar="1..2000")
    add("--pace-ms", type=int, default=20, choices=range(1001), metavar="0..1000")
    add("--out", type=Path, default=Path("profile.txt"), help="where it is written (%(default)s)")
    add(
        "--format",
        default="raw",
        choices=["raw", "flamegraph", "speedscope"],
        help="raw: a line for each stack and how often it was seen; flamegraph: SVG",
    )
    add("--load-only", action="store_true", help="profile by other means; prints the process id")


def run(options: argparse.Namespace) -> None:
    """Holds the load and writes the profile."""
    cores = split_cores()
    pin(os.getpid(), cores.load)
    model = f"bench-{_ENDLESS}-{options.pace_ms}"
    with tempfile.TemporaryDirectory(prefix="sitebrook-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, PostgreSQL runs as a user of its own who must reach it
        with prepared(folder, [model], cores, ["sitebrook"], folder) as bench:
            (target,) = bench.targets
            target.start()
            try:
                used, deltas = uvloop.run(_hold(target, model, options))
            finally:
                target.stop()
    print(
        f"{deltas / used.wall_s:,.0f} chunks/s, {used.server_s / max(deltas, 1) * 1e6:.1f} us CPU "
        f"of a chunk, the server {used.server_s / used.wall_s:.0%} of one core"
    )


async def _hold(target: Target, model: str, options: argparse.Namespace) -> tuple[Used, int]:
    request = target.to_request(model)
    async with open_streams(request, options.streams, within_s=0, limit_s=_OPEN_S) as streams:
        failures = [stream.failure for stream in streams if stream.failure]
        if failures:
            raise Failed(failures[0])
        before = sum(stream.deltas for stream in streams)
        meter = Meter(target.pid, [])
        if options.load_only:
            print(f"the server is process {target.pid}, for {options.seconds} s", file=sys.stderr)
            await asyncio.sleep(options.seconds)
        else:
            await _record(target, options)
        return meter.read(), sum(stream.deltas for stream in streams) - before


async def _record(target: Target, options: argparse.Namespace) -> None:
    command = [
        *(str(Path(sys.executable).with_name("uv")), "tool", "run", "--quiet", "py-spy", "record"),
        *("--pid", str(target.pid), "--duration", str(options.seconds), "--rate", "500"),
        *("--format", options.format, "--output", str(options.out)),
    ]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    _, problem = await asyncio.wait_for(process.communicate(), options.seconds + _START_S)
    if process.returncode:
        reason = problem.decode("utf-8", "replace").strip()
        raise NotStarted(f"py-spy could not run: {reason}")
    print(f"the profile is in {options.out}", file=sys.stderr)
    if options.format == "raw":
        print(_summed(options.out))


def _summed(path: Path) -> str:
    """The functions in which most samples of the loop's thread ended, with their share.

    ``Runner.run`` is uvloop itself: system calls, and waiting where the server is not full.
    """
    counts: dict[str, int] = {}
    for line in path.read_text("utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        innermost = stack.rpartition(";")[2]
        if _IDLE in innermost:
            continue
        counts[innermost] = counts.get(innermost, 0) + int(count)
    total = sum(counts.values()) or 1
    ranked = sorted(counts.items(), key=lambda pair: -pair[1])[:30]
    return "\n".join(f"{count / total:6.1%}  {function}" for function, count in ranked)
