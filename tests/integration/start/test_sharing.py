"""One embedded database, several processes: the last to leave ends it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.commands import succeed, wait_until
from tests.integration.start.installation import Installation


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Enough text to keep an ingest busy for a while."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(400):
        text = f"# Page {number}\n\n" + f"Paragraph {number} of this page. " * 200
        (folder / f"{number:03}.md").write_text(text, "utf-8")
    return folder


@contextlib.contextmanager
def ingesting(installation: Installation, documents: Path) -> Iterator[None]:
    """An ingest under way in this command, which is interrupted at the end of the block."""
    arguments = ("ingest", "--sync", "--site", "sitebrook demo", documents)
    with installation.command(*arguments) as process:
        assert process.stderr is not None
        assert b"added" in process.stderr.readline()
        yield
        process.send_signal(signal.SIGINT)
        said = process.stderr.read().decode()
        assert process.wait(30) == 130, said


def test_commands_join_the_database_of_a_running_server(installation: Installation) -> None:
    with installation.serving():
        running = installation.postmaster()
        assert "sitebrook demo" in succeed("site", "list", **installation.env)
        assert installation.postmaster() == running
        assert installation.is_ready()
    assert installation.postmaster() is None


def test_a_command_alone_starts_the_database_and_ends_it(installation: Installation) -> None:
    succeed("db", "migrate", **installation.env)
    assert "needed" in succeed("db", "status", **installation.env)
    assert installation.postmaster() is None


def test_a_command_that_started_it_leaves_it_to_a_server_that_has_joined(
    installation: Installation, documents: Path
) -> None:
    with installation.serving():
        pass
    with contextlib.ExitStack() as later:
        with ingesting(installation, documents):
            begun = installation.postmaster()
            later.enter_context(installation.serving())
        assert installation.postmaster() == begun
        assert installation.is_ready()
    assert installation.postmaster() is None


def test_a_server_that_started_it_leaves_it_to_a_command_under_way(
    installation: Installation, documents: Path
) -> None:
    with contextlib.ExitStack() as later, installation.serving() as server:
        begun = installation.postmaster()
        later.enter_context(ingesting(installation, documents))
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert installation.postmaster() == begun
    assert installation.postmaster() is None


def test_a_killed_server_leaves_a_database_that_the_next_command_ends(
    installation: Installation,
) -> None:
    with installation.serving() as server:
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        assert installation.postmaster()
    assert "sitebrook demo" in succeed("site", "list", **installation.env)
    wait_until(lambda: installation.postmaster() is None)
