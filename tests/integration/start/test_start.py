from __future__ import annotations

import json
import os
import re
import signal
import stat
import urllib.request
from pathlib import Path

import pytest
from tests.commands import wait_until
from tests.integration.start.installation import ROOT, Installation, Started


def ask(installation: Installation, question: str) -> dict[str, object]:
    """The answer with the keys of demo.env."""
    keys = installation.keys()
    request = urllib.request.Request(
        f"{keys['SITEBROOK_URL']}/v1/chat/completions",
        json.dumps({"messages": [{"role": "user", "content": question}]}).encode(),
        {
            "Authorization": f"Bearer {keys['SITEBROOK_SECRET_KEY']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def printed(server: Started) -> dict[str, str]:
    return dict(re.split(r"\s{2,}|: ", line, maxsplit=1) for line in server.lines)


def test_the_first_start_prints_and_writes_what_one_needs_to_ask(fresh: Installation) -> None:
    with fresh.serving() as server:
        said = printed(server)
        assert said["Demo page"] == f"{fresh.url}/demo"
        assert said["Test page"] == f"{fresh.url}/test-streaming.html"
        assert said["API docs"] == f"{fresh.url}/docs"
        assert said["Keys for a shell"] == f"source {fresh.demo_env}"
        for page in ("Demo page", "Test page", "API docs"):
            with urllib.request.urlopen(said[page], timeout=10) as answer:
                assert answer.status == 200
        assert stat.S_IMODE(fresh.demo_env.stat().st_mode) == 0o600
        assert fresh.keys() == {
            "SITEBROOK_URL": fresh.url,
            "SITEBROOK_MODEL": said["Model"],
            "SITEBROOK_SECRET_KEY": said["Secret key"],
            "SITEBROOK_PUBLISHABLE_KEY": said["Publishable"],
        }
        assert said["Secret key"].startswith("sk-")
        assert said["Publishable"].startswith("pk-")
        answer = ask(fresh, "How do I put the widget on my page?")
        assert answer["citations"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everything_and_a_second_start_keeps_it(
    installation: Installation, number: signal.Signals
) -> None:
    with installation.serving() as server:
        before = printed(server)
        conversation = ask(installation, "How do I add documents?")["conversation_id"]
        assert installation.postmaster()
        server.process.send_signal(number)
        assert server.process.wait(20) == 0
    assert installation.postmaster() is None
    with installation.serving() as server:
        assert printed(server) == before
        request = urllib.request.Request(
            f"{installation.url}/api/conversations/{conversation}",
            headers={"Authorization": f"Bearer {before['Secret key']}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            kept = json.load(answer)["messages"]
    assert [message["role"] for message in kept] == ["user", "assistant"]
    assert installation.postmaster() is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_ends_everything_too(
    fresh: Installation, number: signal.Signals
) -> None:
    with fresh.command("serve") as process:
        wait_until(fresh.postmaster)
        process.send_signal(number)
        assert process.wait(30) in {0, 130, 143}
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()
    assert fresh.postmaster() is None


def test_a_lost_secret_key_is_made_anew_and_the_page_key_stays(
    installation: Installation,
) -> None:
    with installation.serving() as server:
        before = printed(server)
    installation.demo_env.write_text("export SITEBROOK_SECRET_KEY='sk-cut", "utf-8")
    with installation.serving() as server:
        after = printed(server)
        assert after["Publishable"] == before["Publishable"]
        assert after["Secret key"] != before["Secret key"]
        assert stat.S_IMODE(installation.demo_env.stat().st_mode) == 0o600
        assert ask(installation, "How do I add documents?")["citations"]


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="scripts/run has made no .venv here")
def test_the_run_script_serves_with_what_is_installed_and_ends_with_ctrl_c(
    installation: Installation, with_redis: dict[str, str]
) -> None:
    command = (ROOT / "scripts" / "run", "--workers", "2")
    with installation.serving(*command, **with_redis) as server:
        pid = server.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        commands = [Path(f"/proc/{child}/cmdline").read_bytes() for child in children]
        assert sum(b"sitebrook.cli.worker" in command for command in commands) == 2
        assert ask(installation, "How do I add documents?")["citations"]
        os.kill(server.process.pid, signal.SIGINT)
        assert server.process.wait(20) == 0
    assert installation.postmaster() is None


def test_the_database_of_the_operator_needs_no_embedded_one(
    fresh: Installation, database_url: str
) -> None:
    env = {"DATABASE_URL": database_url}
    with fresh.serving(**env):
        assert ask(fresh, "How do I add documents?")["citations"]
        assert not (fresh.data_dir / "postgres").exists()
