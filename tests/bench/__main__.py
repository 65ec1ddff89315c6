"""The benches by name; without one, the list of them."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.bench import events, jobs, profile, retrieval, streaming
from tests.bench.client import Failed
from tests.servers import NotStarted

from sitebrook.errors import SitebrookError

_BENCHES = {
    "streaming": streaming,
    "events": events,
    "jobs": jobs,
    "retrieval": retrieval,
    "profile": profile,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Compares this server with a baseline in the same run, all on 127.0.0.1.",
    )
    commands = parser.add_subparsers(title="benches", metavar="BENCH", dest="bench")
    for name, bench in _BENCHES.items():
        command = commands.add_parser(name, help=bench.SUMMARY, description=bench.SUMMARY)
        bench.add_arguments(command)
    options = parser.parse_args()
    if options.bench is None:
        parser.print_help()
        return
    # What was started ends with the bench, also when it is told to stop.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        _BENCHES[options.bench].run(options)
    except (NotStarted, SitebrookError, Failed, TimeoutError) as error:
        sys.exit(f"scripts/bench {options.bench}: {error or 'a run took too long'}")
    except KeyboardInterrupt:
        sys.exit(130)


main()
