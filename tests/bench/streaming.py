"""Streams through this server beside the direct way, nginx and the LiteLLM proxy, in one run."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import uvloop
from tests.bench import report
from tests.bench.client import Failed
from tests.bench.processes import pin, raise_file_limit, settle, split_cores
from tests.bench.results import Results
from tests.bench.scenarios import (
    ENDLESS,
    FULL_PLAN,
    IN_TURN,
    QUICK_PLAN,
    SCENARIOS,
    TINY_PLAN,
    Ground,
    NotFinished,
    Plan,
    warm,
)
from tests.bench.targets import NAMES, Target, prepared
from tests.servers import NotStarted

SUMMARY = "streams beside the direct way, nginx and LiteLLM: delays, CPU, memory, throughput"
# Of each idle stream: one file in the client, two in the server, one in the upstream.
_FILES_OF_A_STREAM = 2
_OTHER_FILES = 500
_NAMES = ("idle", *IN_TURN, *(name for name in SCENARIOS if name != "idle"))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this bench."""
    add = parser.add_argument
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="one small round, about a minute")
    size.add_argument("--tiny", action="store_true", help="a few streams, to see that it works")
    add("--rounds", type=int, choices=range(1, 10), help="interleaved rounds (3)")
    add("--without", action="append", default=[], choices=NAMES, help="leave a target out")
    add("--only", action="append", default=[], choices=_NAMES, help="run only this scenario")
    add("--markdown", action="store_true", help="print the table for backend/README.md too")
    add("--cache", type=Path, default=_cache_folder(), help="where LiteLLM is kept (%(default)s)")


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "sitebrook-bench"


def run(options: argparse.Namespace) -> None:
    """Measures and prints the tables."""
    plan = TINY_PLAN if options.tiny else QUICK_PLAN if options.quick else FULL_PLAN
    rounds = options.rounds or plan.rounds
    names = [name for name in NAMES if name not in options.without]
    scenarios = [name for name in _NAMES if name in options.only or not options.only]
    _check_files(plan)
    cores = split_cores()
    pin(os.getpid(), cores.load)  # and what is started from here; servers are moved to theirs
    results = Results()
    with tempfile.TemporaryDirectory(prefix="sitebrook-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # as root, PostgreSQL runs as a user of its own who must reach it
        with prepared(folder, plan.models, cores, names, options.cache) as bench:
            ground = Ground(plan, cores, bench.load)
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", file=sys.stderr)
                uvloop.run(_run_round(bench.targets, scenarios, ground, results))
    print(report.to_text(results, plan, cores, rounds))
    if options.markdown:
        print(f"\n{report.to_markdown(results, plan)}")


def _check_files(plan: Plan) -> None:
    needed = plan.idle * _FILES_OF_A_STREAM + _OTHER_FILES
    limit = raise_file_limit()
    if limit < needed:
        raise NotStarted(
            f"A process may open {limit} files here and {plan.idle} idle streams need {needed}: "
            f"raise it with ulimit -Hn {needed}, or use --quick."
        )


async def _run_round(
    targets: list[Target], scenarios: list[str], ground: Ground, results: Results
) -> None:
    try:
        for target in targets:
            await _start(target, ground)
        for scenario in scenarios:
            if scenario in IN_TURN:
                await _measure_in_turn(targets, scenario, ground, results)
                continue
            for target in targets:
                await _measure(target, scenario, ground, results)
        results.end_round()
    finally:
        for target in targets:
            target.stop()


async def _start(target: Target, ground: Ground) -> None:
    try:
        target.start()
        await warm(target, ground)
    except Failed as failure:
        raise Failed(f"{target.name}, first requests: {failure}") from None


async def _measure_in_turn(
    targets: list[Target], scenario: str, ground: Ground, results: Results
) -> None:
    for target in targets:
        if not target.is_running:
            await _start(target, ground)
    print(f"  {scenario}: all in turn", file=sys.stderr)
    await settle(ground.plan.settle_s)
    for name, figures in (await IN_TURN[scenario](targets, ground)).items():
        results.add(scenario, name, figures)


async def _measure(target: Target, scenario: str, ground: Ground, results: Results) -> None:
    """Adds the figures; what once did not finish is not tried again."""
    if results.is_given_up(scenario, target.name):
        return
    if not target.is_running:
        await _start(target, ground)
    print(f"  {scenario}: {target.name}", file=sys.stderr)
    await settle(ground.plan.settle_s)  # what was asked before may still be stored or cleared away
    try:
        results.add(scenario, target.name, await SCENARIOS[scenario](target, ground))
    except NotFinished as late:
        results.give_up(scenario, target.name, f"not finished: {late}", late.figures)
    except Failed as failure:
        results.give_up(scenario, target.name, f"failed: {' '.join(str(failure).split())[:200]}")
    else:
        if not (target.runs_on and scenario in ENDLESS):
            return
    target.stop()  # it may still work on what was left behind
