"""Programs that ask without HTTP, over the embedded database."""

from __future__ import annotations

import subprocess
import sys

from tests.commands import command_environment
from tests.integration.start.installation import Installation

_ASK = """
from sitebrook import embed
print(embed.ask_sync("How do I add documents?").text)
"""
# Leaves a stream, and the program, in the middle of an answer.
_LEAVE = """
from sitebrook import embed
for delta in embed.ask_stream_sync("How do I add documents?"):
    print(delta)
    raise SystemExit(7)
"""


def _run(installation: Installation, text: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", text],
        env=command_environment(**installation.env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_program_joins_the_database_of_a_server_or_starts_and_ends_its_own(
    installation: Installation,
) -> None:
    with installation.serving():
        running = installation.postmaster()
        code, joined, complaint = _run(installation, _ASK)
        assert (code, complaint) == (0, "")
        assert "[1]" in joined
        assert installation.postmaster() == running
        assert installation.is_ready()
    assert installation.postmaster() is None
    assert _run(installation, _ASK) == (0, joined, "")
    assert installation.postmaster() is None


def test_a_program_that_leaves_in_the_middle_leaves_nothing_running(
    installation: Installation,
) -> None:
    with installation.serving():
        pass
    code, begun, complaint = _run(installation, _LEAVE)
    assert (code, complaint) == (7, "")
    assert begun.strip()
    assert installation.postmaster() is None
